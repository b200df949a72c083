"""What changes on a machine while the bank runs on all of them: its address, and the end of its certificate.

In each, `status`, `history`, `why` and the figures for Prometheus say the same of it (see `told`).
"""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from bankrmi.certificates.forms import Dates
from bankrmi.cli.main import main
from bankrmi.config import split_address
from tests.certificates.made import issue
from tests.robustness.networks import in_a_thread
from tests.system.machines import CLIENT, NAMESERVER, SERVERS, Machines, machines, other
from tests.system.told import told

_NEW_HOST = "10.77.0.77"


@pytest.mark.long
@in_a_thread
def test_a_machine_gets_another_address(tmp_path: Path) -> None:
    """As docs/how-to/change-servers.md has it; no client's file is touched, and none notices."""
    with machines(tmp_path) as bank:
        leads = bank.until_in_sync()
        moved = other(leads)
        teller = bank.teller()
        old = bank.network.address(moved, seen_by=moved)
        new = f"{_NEW_HOST}:{split_address(old)[1]}"
        assert teller.withdraw() == 299
        ended = bank.run("server", "move", moved, new)
        assert ended.returncode == 0, ended.stderr
        assert bank.wait_for_end(moved) == 2
        assert f"{moved} lives at {new}, as the view has it" in bank.log(moved)
        assert teller.withdraw() == 298

        # The machine has both addresses for a while; its certificate and its file name the new one.
        bank.inside(moved, "ip", "addr", "add", f"{_NEW_HOST}/24", "dev", "eth0")
        told(bank, "moved", sentence=rf"{moved} moved to {new} by operator", by=leads)
        office = ["--folder", str(bank.office / "certificates")]
        assert main(["cert", "renew", moved, "--address", _NEW_HOST, *office]) == 0
        bank.bring_certificates(moved)
        config = tmp_path / moved / "config.yaml"
        config.write_text(config.read_text().replace(old, new))
        bank.start(moved)
        bank.until(lambda: f'cause="{moved} joined"' in _since(bank, f"{moved} moved to"), "it joins")
        told(bank, "joined", sentence=f"{moved} joined", by=leads)
        assert {one["server"]: one["address"] for one in bank.status()["servers"]}[moved] == new

        # The old address is gone (and with it for a moment all of them), and it leads at one that no client's
        # file has.
        without, having = f"{split_address(old)[0]}/24 dev eth0", f"{_NEW_HOST}/24 dev eth0"
        bank.inside(moved, "sh", "-c", f"ip addr del {without} && ip addr add {having}")
        ended = bank.run("switchover", "--to", moved, "--yes")
        assert ended.returncode == 0, ended.stderr
        assert teller.withdraw() == 297
        bank.kill(leads)
        assert teller.withdraw() == 296
        assert bank.balance() == 296  # Of a client that begins now.
        assert new not in (tmp_path / CLIENT / "config.yaml").read_text()


def _started_with_an_end(bank: Machines, name: str) -> datetime:
    """Start a bank in which the certificate of one server ends soon; return when, once both are in sync."""
    for lives_s in (8, 30, 90):  # A slow machine takes its time to start.
        ends = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=lives_s)
        issue(bank.office / "certificates", "server", name, Dates(begin=ends - timedelta(days=1), end=ends))
        bank.bring_certificates(name)
        bank.start(NAMESERVER, *SERVERS)
        bank.until(partial(_in_sync_or_over, bank, ends), "both are in sync")
        if not _is_over(ends - timedelta(seconds=1)):
            return ends
        bank.kill_all()
        for process in (NAMESERVER, *SERVERS):
            shutil.rmtree(bank.folder / process / "data", ignore_errors=True)
            (bank.folder / f"{process}.log").unlink()
    raise AssertionError("this machine is too slow for certificates that end soon")


def _in_sync_or_over(bank: Machines, ends: datetime) -> bool:
    return "primary=s1 in_sync=s1,s2" in bank.log(NAMESERVER) or _is_over(ends)


def _is_over(moment: datetime) -> bool:
    return datetime.now(UTC) > moment


def _refused_by_all(bank: Machines, whose: str) -> None:
    """Check what is told of a server whose certificate has ended, and of the bank without it."""
    [shown] = [one for one in bank.status()["servers"] if one["server"] == whose]
    assert not shown["reachable"]
    assert "certificate has expired" in shown["reason"]
    assert f"{whose} may not: it is not in sync" in bank.run("why").stdout
    assert f"the certificate server-{whose} ended on" in bank.log(whose)
    assert bank.figures(whose)["bankrmi_certificate_left_seconds"] < 0
    refused = bank.figures(other(whose))
    assert refused["bankrmi_refused_total,reason=certificate"] > 0, "connections that were open"
    assert refused["bankrmi_refused_total,reason=tls"] > 0, "new ones"


@pytest.mark.long
@in_a_thread
@pytest.mark.parametrize("whose", ["s1", "s2"], ids=["the primary's", "the standby's"])
def test_a_certificate_ends_while_the_bank_runs(tmp_path: Path, whose: str) -> None:
    """It counts for nothing from then on, not for connections that are open either; the other one leads."""
    with machines(tmp_path, running=False) as bank:
        ends = _started_with_an_end(bank, whose)
        teller = bank.teller()
        assert teller.withdraw() == 299
        alone = f"primary={other(whose)} in_sync={other(whose)} "
        bank.until(lambda: alone in _since(bank, "in_sync=s1,s2"), "the other one goes on alone")
        assert _is_over(ends)
        assert teller.withdraw() == 298
        if whose == "s1":
            told(bank, "silence", sentence=r"silence of s1: \d+ ms", by="s2")
        else:
            told(bank, "left_behind", sentence=r"s2 left behind: silent for \d+ ms", by="s1")
        _refused_by_all(bank, whose)

        assert main(["cert", "renew", whose, "--folder", str(bank.office / "certificates")]) == 0
        bank.bring_certificates(whose)
        joined = f'cause="{whose} joined"'
        bank.until(lambda: joined in _since(bank, "in_sync=s1,s2"), "it is back, and was not started")
        told(bank, "joined", sentence=f"{whose} joined", by=other(whose))
        assert bank.figures(whose)["bankrmi_certificate_left_seconds"] > 0
        assert teller.withdraw() == 297


def _since(bank: Machines, line: str) -> str:
    """Return what the witness has logged since then."""
    return bank.log(NAMESERVER).partition(line)[2]


@pytest.mark.long
@in_a_thread
def test_a_primary_that_counts_for_nothing_does_not_go_on_alone(tmp_path: Path) -> None:
    """The witness has not heard of it yet, and would let it win: then no client would reach who leads."""
    with machines(tmp_path) as bank:
        leads = bank.until_in_sync()
        teller = bank.teller()
        assert teller.withdraw() == 299
        office = bank.office / "certificates"
        assert main(["cert", "revoke", leads, "--yes", "--folder", str(office)]) == 0
        for machine in (leads, other(leads)):
            shutil.copy(office / "revoked.txt", tmp_path / machine / "certificates")
        alone = re.compile(r"primary=(\w+) in_sync=\1 ")
        bank.until(lambda: alone.search(_since(bank, "in_sync=s1,s2")), "somebody leads alone")
        found = alone.search(_since(bank, "in_sync=s1,s2"))
        assert found is not None
        assert found[1] == other(leads)
        assert teller.withdraw() == 298
        told(bank, "silence", sentence=rf"silence of {leads}: \d+ ms", by=other(leads))
        assert f"the certificate of server {leads} is revoked" in bank.log(leads)
