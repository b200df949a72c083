"""A bank on three machines and a client on a fourth (see `machines`).

What happens to machines is done to their networks: a machine that is lost is one that nothing reaches any
more. What changes there while the bank runs is in `test_machines_change.py`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bankrmi.cli.main import main
from tests.robustness.networks import in_a_thread
from tests.system.machines import CLIENT, NAMESERVER, machines, other


@in_a_thread
def test_a_machine_is_lost_and_comes_back(tmp_path: Path) -> None:
    with machines(tmp_path) as bank:
        bank.withdraw()
        lost = bank.until_in_sync()
        bank.network.cut(*bank.ways(lost))
        bank.withdraw()
        assert bank.balance() == 298
        bank.until(lambda: bank.view() == (other(lost), (other(lost),)), "the other one leads alone")
        bank.network.heal(*bank.ways(lost))
        assert bank.until_in_sync() == other(lost)
        bank.withdraw()
        assert bank.balance() == 297


@pytest.mark.long
@in_a_thread
def test_a_primary_that_nobody_hears_is_replaced(tmp_path: Path) -> None:
    with machines(tmp_path) as bank:
        unheard = bank.until_in_sync()
        ways = [way for way in bank.ways(unheard) if way[0] == unheard]
        bank.network.cut(*ways)
        bank.withdraw()
        assert bank.view()[0] == other(unheard)
        bank.network.heal(*ways)
        bank.until_in_sync()
        assert bank.balance() == 299


@pytest.mark.long
@in_a_thread
@pytest.mark.parametrize("whose", ["the primary", "the standby"])
def test_a_server_that_hears_nothing_takes_the_lead_from_nobody(tmp_path: Path, whose: str) -> None:
    """What it sends arrives: if it proposed a view it would win it, and never learn of it."""
    with machines(tmp_path) as bank:
        leads = bank.until_in_sync()
        deaf = leads if whose == "the primary" else other(leads)
        ways = [way for way in bank.ways(deaf) if way[1] == deaf]
        bank.network.cut(*ways)
        bank.until(lambda: bank.run("withdraw", "2", "1").returncode == 0, "money can be withdrawn")
        assert bank.view() == (other(deaf), (other(deaf),))
        bank.network.heal(*ways)
        bank.until_in_sync()


@pytest.mark.long
@in_a_thread
def test_the_bank_goes_on_without_the_witness_and_waits_for_it_when_it_is_needed(tmp_path: Path) -> None:
    with machines(tmp_path) as bank:
        leads = bank.until_in_sync()
        witness = bank.ways(NAMESERVER)
        bank.network.cut(*witness)
        bank.withdraw()
        bank.kill(leads)
        refused = bank.run("withdraw", "2", "1", "--timeout", "2")
        assert refused.returncode in (5, 6), refused.stderr
        bank.network.heal(*witness)
        bank.until(lambda: bank.view()[0] == other(leads), "the other one leads")
        assert bank.balance() in (299, 298 if refused.returncode == 6 else 299)
        bank.start(leads)
        bank.until_in_sync()


@pytest.mark.long
@in_a_thread
def test_a_machine_is_replaced_under_the_same_name(tmp_path: Path) -> None:
    with machines(tmp_path) as bank:
        gone = other(bank.until_in_sync())
        bank.withdraw()
        bank.kill(gone)
        shutil.rmtree(tmp_path / gone / "data")
        bank.start(gone)
        bank.until_in_sync()
        bank.kill(other(gone))
        assert bank.balance() == 299


@pytest.mark.long
@in_a_thread
def test_who_has_no_certificate_and_who_has_another_banks_gets_nowhere(tmp_path: Path) -> None:
    with machines(tmp_path) as bank:
        assert main(["cert", "create-ca", "--folder", str(tmp_path / "foreign")]) == 0
        assert main(["cert", "create-client", "teller", "--folder", str(tmp_path / "foreign")]) == 0
        kept = tmp_path / CLIENT / "certificates"
        kept.rename(tmp_path / "kept")
        (tmp_path / "foreign").rename(kept)
        refused = bank.run("withdraw", "2", "1", "--timeout", "2")
        assert refused.returncode == 5, refused.stderr
        kept.rename(tmp_path / "foreign")
        none = bank.run("withdraw", "2", "1", "--timeout", "2")
        assert none.returncode == 2
        assert "certificates" in none.stderr
        (tmp_path / "kept").rename(kept)
        assert bank.balance() == 300
