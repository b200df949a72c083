"""`bankrmi doctor` on a real bank behind certificates: well, with faults, with a server that is stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from bankrmi.certificates.authority import create, create_authority, revocable, revoke
from bankrmi.cli.main import main
from tests.system.cluster import NAMESERVER, Cluster
from tests.system.commands import bankrmi

SECONDS = 12.0
"""What a look may take on a busy machine; a dead process costs 2.5 s of it."""

Looking = Callable[[int], dict[tuple[str, str], dict[str, Any]]]


def issue(folder: Path) -> Path:
    create_authority(folder, days=200)
    for name in ("s1", "s2", NAMESERVER):
        create(folder, "server", name, days=100, addresses=["127.0.0.1"])
    create(folder, "client", "teller", days=100)
    create(folder, "operator", "anna", days=100)
    return folder


@pytest.fixture
def bank(tmp_path: Path) -> Cluster:
    issue(tmp_path / "certificates")
    return Cluster(tmp_path, checkpoint_timeout_ms=500, certificates={"folder": "certificates"})


def test_a_bank_that_is_well_one_with_faults_and_one_that_does_not_answer(
    bank: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    def look(code: int) -> dict[tuple[str, str], dict[str, Any]]:
        capsys.readouterr()
        began = time.monotonic()
        ended = main(["--config", str(bank.config), "doctor", "--json"])
        took = time.monotonic() - began
        told = json.loads(capsys.readouterr().out)
        assert ended == code, told["findings"]
        assert took < SECONDS
        return {(one["kind"], one["about"]): one for one in told["findings"]}

    with bank:
        assert ("nothing-runs", "all machines") in look(0)
        bank.start_all()
        bank.wait_until_in_sync()
        bank.until(lambda: set(look_quietly(bank, capsys)) == {"one-machine"}, "all is well", seconds=20)
        plant(bank)
        wanted = {
            ("certificate-days", "s2"),
            ("certificate-hosts", "s2"),
            ("certificate-files", "s1"),
            ("settings", "s2"),
        }
        bank.until(lambda: wanted <= look(1).keys(), "all faults are told")
        faults = look(1)
        assert "ends in 2 days" in faults["certificate-days", "s2"]["says"]
        assert "chmod 600" in faults["certificate-files", "s1"]["says"]
        assert "lease_ms is 1000 in" in faults["settings", "s2"]["says"]
        bank.pause("s2")
        assert ("away", "s2") in look(1)
        (bank.directory / "certificates" / "operator-anna.key").unlink()
        (bank.directory / "certificates" / "operator-anna.pem").unlink()
        as_client = look(1)
        assert {("away", "s2"), ("not-told", "nameserver, s1, s2")} <= as_client.keys()
        assert not any(kind == "settings" for kind, _ in as_client)


def test_a_bank_that_is_there_and_lets_us_not_in_is_not_taken_for_dead(bank: Cluster) -> None:
    """Whatever the reason: who it is, and why, is what is told; nobody is told to stop what runs."""
    with bank:
        bank.start_all()
        bank.wait_until_in_sync()
        folder = bank.directory / "certificates"
        foreign, of_both = issue(bank.directory / "foreign"), issue(bank.directory / "of_both")
        theirs, ours = (each / "ca.pem" for each in (folder, of_both))
        ours.write_bytes(ours.read_bytes() + theirs.read_bytes())
        list_unknown = Path(copytree(folder, bank.directory / "list_unknown"))
        for role, name in (("operator", "anna"), ("client", "teller")):
            revoke(folder, revocable(folder, role, name))
        for file in list_unknown.glob("operator-*"):
            file.unlink()

        def configured(place: Path | None) -> Path:
            lines = [line for line in bank.config.read_text().splitlines() if "certificates" not in line]
            lines += [] if place is None else [f"certificates: {{folder: {place}}}"]
            elsewhere = bank.directory / "elsewhere" / "config.yaml"
            elsewhere.parent.mkdir(exist_ok=True)
            elsewhere.write_text("\n".join(lines) + "\n")
            return elsewhere

        bank.until(lambda: "teller is revoked" in told_by(configured(list_unknown)), "the list is read")
        for place, why in (
            (list_unknown, "the certificate of client teller is revoked"),
            (foreign, "its certificate is not accepted"),
            (of_both, "unknown ca"),
            (None, "is called over TLS, with a certificate of its own authority"),
        ):
            told_by_all_commands(configured(place), why)
        own = bankrmi(bank, "doctor")
        assert own.returncode == 1, "what is known to be revoked is not shown to anybody"
        assert "client-teller.pem is revoked" in own.stdout


def told_by(config: Path) -> str:
    return bankrmi(config, "status", "--check").stdout


def told_by_all_commands(config: Path, why: str) -> None:
    checked, explained, examined = (
        bankrmi(config, *command.split()) for command in ("status --check", "why", "doctor")
    )
    assert (checked.returncode, explained.returncode, examined.returncode) == (5, 5, 1)
    for told in (checked.stdout, explained.stdout, examined.stdout, bankrmi(config, "status").stdout):
        assert why in told
        assert "s1, s2, witness, nameserver" in told
        assert not any(wrong in told for wrong in ("answers", "kill", "start the bank", "cannot be reached"))


def look_quietly(bank: Cluster, capsys: pytest.CaptureFixture[str]) -> list[str]:
    main(["--config", str(bank.config), "doctor", "--json"])
    return [one["kind"] for one in json.loads(capsys.readouterr().out)["findings"]]


def plant(bank: Cluster) -> None:
    """A certificate that ends soon and is for another host, a key that others read, a file that differs."""
    folder = bank.directory / "certificates"
    create(folder, "server", "s2", days=3, addresses=["192.0.2.9"], overwrite=True)
    (folder / "server-s1.key").chmod(0o644)
    bank.terminate("s2")
    as_it_is = bank.config.read_text()
    bank.config.write_text(f"{as_it_is}lease_ms: 2000\n")
    bank.start("s2")
    bank.config.write_text(as_it_is)
