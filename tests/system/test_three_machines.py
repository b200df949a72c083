"""A bank on three machines and a client on a fourth (see `machines`).

What happens to machines is done to their networks: a machine that is lost is one that nothing reaches any
more. What changes there while the bank runs is in `test_machines_change.py`. In each, what `status`,
`history`, `why`, the figures and the checks say is compared with what is so (see `told`).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bankrmi.cli.exit_codes import ExitCode, HealthCode
from bankrmi.cli.main import main
from tests.robustness.networks import in_a_thread
from tests.system.machines import CLIENT, NAMESERVER, SERVERS, machines, other
from tests.system.told import alone, answers, at_check, cut_off, told, well, without_the_witness

_QUESTIONS = (("status",), ("status", "--check"), ("history",), ("why",))


@pytest.mark.long
@pytest.mark.timeout(300)
@in_a_thread
def test_a_machine_is_lost(tmp_path: Path) -> None:
    with machines(tmp_path) as bank:
        lost = bank.until_in_sync()
        bank.network.cut(*bank.ways(lost))
        bank.withdraw()
        told(bank, "silence", sentence=rf"silence of {lost}: \d+ ms", by=other(lost))
        alone(bank, other(lost), without=lost, because="no answer")
        cut_off(bank, lost)


@pytest.mark.long
@pytest.mark.timeout(300)
@in_a_thread
def test_a_machine_that_was_lost_comes_back(tmp_path: Path) -> None:
    with machines(tmp_path) as bank:
        bank.withdraw()
        lost = bank.until_in_sync()
        bank.network.cut(*bank.ways(lost))
        bank.withdraw()
        assert bank.balance() == 298
        alone(bank, other(lost), without=lost, because="no answer")
        bank.network.heal(*bank.ways(lost))
        told(bank, "joined", sentence=f"{lost} joined", by=other(lost))
        well(bank, other(lost))
        bank.withdraw()
        assert bank.balance() == 297


@pytest.mark.long
@pytest.mark.timeout(300)
@in_a_thread
def test_a_primary_that_nobody_hears_is_replaced(tmp_path: Path) -> None:
    with machines(tmp_path) as bank:
        unheard = bank.until_in_sync()
        ways = [way for way in bank.ways(unheard) if way[0] == unheard]
        bank.network.cut(*ways)
        bank.withdraw()
        told(bank, "silence", sentence=rf"silence of {unheard}: \d+ ms", by=other(unheard))
        alone(bank, other(unheard), without=unheard, because="no answer")
        cut_off(bank, unheard)
        bank.network.heal(*ways)
        told(bank, "joined", sentence=f"{unheard} joined", by=other(unheard))
        well(bank, other(unheard))
        assert bank.balance() == 299


@pytest.mark.long
@pytest.mark.timeout(300)
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
        if deaf == leads:
            told(bank, "silence", sentence=rf"silence of {deaf}: \d+ ms", by=other(deaf))
        else:
            told(bank, "left_behind", sentence=rf"{deaf} left behind: silent for \d+ ms", by=leads)
        alone(bank, other(deaf), without=deaf, because="no answer")
        cut_off(bank, deaf)
        bank.network.heal(*ways)
        told(bank, "joined", sentence=f"{deaf} joined", by=other(deaf))
        well(bank, other(deaf))


@pytest.mark.long
@pytest.mark.timeout(300)
@in_a_thread
def test_the_bank_goes_on_without_the_witness_and_waits_for_it_when_it_is_needed(tmp_path: Path) -> None:
    with machines(tmp_path) as bank:
        leads = bank.until_in_sync()
        view = bank.status()["view"]
        witness = bank.ways(NAMESERVER)
        bank.network.cut(*witness)
        bank.withdraw()
        without_the_witness(bank, view)
        bank.kill(leads)
        refused = bank.run("withdraw", "2", "1", "--timeout", "2")
        assert refused.returncode in (5, 6), refused.stderr
        said = at_check(bank, HealthCode.NOBODY_LEADS, "nobody leads")
        assert not any(may for may, _ in said.may_take_over.values())
        assert bank.figures(other(leads))["bankrmi_role,role=standby"] == 1
        assert answers(bank, other(leads), "/primary") == 503
        bank.network.heal(*witness)
        where = bank.network.address(leads, seen_by=leads)
        told(bank, "crash", sentence=f"crash of {leads}: refused at {where}", by=other(leads))
        alone(bank, other(leads), without=leads, because="nobody listens")
        assert bank.balance() in (299, 298 if refused.returncode == 6 else 299)
        bank.start(leads)
        told(bank, "joined", sentence=f"{leads} joined", by=other(leads))
        well(bank, other(leads))


@pytest.mark.long
@pytest.mark.timeout(300)
@in_a_thread
def test_a_machine_is_replaced_under_the_same_name(tmp_path: Path) -> None:
    with machines(tmp_path) as bank:
        leads = bank.until_in_sync()
        gone = other(leads)
        where = {name: bank.network.address(name, seen_by=name) for name in SERVERS}
        bank.withdraw()
        bank.kill(gone)
        told(bank, "crash", sentence=f"crash of {gone}: refused at {where[gone]}", by=leads)
        alone(bank, leads, without=gone, because="nobody listens")
        shutil.rmtree(tmp_path / gone)
        bank.equip(gone)
        bank.start(gone)
        told(bank, "joined", sentence=f"{gone} joined", by=leads)
        well(bank, leads)
        bank.kill(leads)
        assert bank.balance() == 299
        told(bank, "crash", sentence=f"crash of {leads}: refused at {where[leads]}", by=gone)
        alone(bank, gone, without=leads, because="nobody listens")


@pytest.mark.long
@pytest.mark.timeout(300)
@in_a_thread
def test_who_has_no_certificate_and_who_has_another_banks_gets_nowhere(tmp_path: Path) -> None:
    """The bank goes on as if nothing had been, and counts whom it did not let in."""
    with machines(tmp_path) as bank:
        leads = bank.until_in_sync()
        well(bank, leads)
        changes = bank.changes()
        processes = (NAMESERVER, *SERVERS)
        before = {name: bank.figures(name)["bankrmi_refused_total,reason=tls"] for name in processes}
        assert main(["cert", "create-ca", "--folder", str(tmp_path / "foreign")]) == 0
        for kind, name in (("client", "teller"), ("operator", "operator")):
            assert main(["cert", f"create-{kind}", name, "--folder", str(tmp_path / "foreign")]) == 0
        kept = tmp_path / CLIENT / "certificates"
        kept.rename(tmp_path / "kept")
        (tmp_path / "foreign").rename(kept)
        refused = bank.run("withdraw", "2", "1", "--timeout", "2")
        assert refused.returncode == ExitCode.UNREACHED, refused.stderr
        asked = {asking: bank.run(*asking) for asking in _QUESTIONS}
        assert all(ended.returncode for ended in asked.values()), asked
        assert "its certificate is not accepted" in asked[("status",)].stdout
        assert "its certificate is not accepted" in asked[("history",)].stderr
        for name in processes:
            assert bank.figures(name)["bankrmi_refused_total,reason=tls"] > before[name]
        kept.rename(tmp_path / "foreign")
        for asking in (("withdraw", "2", "1", "--timeout", "2"), *_QUESTIONS):
            none = bank.run(*asking)
            assert none.returncode in (ExitCode.USAGE, ExitCode.ERROR)
            assert "certificates" in none.stderr
        (tmp_path / "kept").rename(kept)
        assert bank.balance() == 300
        assert bank.changes() == changes
        well(bank, leads)
