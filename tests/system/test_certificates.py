"""A bank behind certificates: all of its processes, and what happens while certificates change."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bankrmi import connect
from bankrmi.certificates.authority import create, create_authority, renew, revocable, revoke
from bankrmi.client.asking import ask_once
from bankrmi.errors import BankError, ConfigurationError, InDoubt, Unreached
from bankrmi.own_credentials import own_credentials
from tests.system.cluster import NAMESERVER, Cluster
from tests.system.commands import bankrmi

KINDS = ("account", "standby", "operator")


def issue(folder: Path) -> None:
    create_authority(folder, days=30)
    for name in ("s1", "s2", NAMESERVER):
        create(folder, "server", name, days=20, addresses=["127.0.0.1"])
    create(folder, "client", "teller", days=20)
    create(folder, "operator", "anna", days=20)


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Cluster]:
    issue(tmp_path / "certificates")
    with Cluster(tmp_path, certificates={"folder": "certificates", "client": "teller"}) as cluster:
        cluster.start_all()
        yield cluster


def test_money_moves_fails_over_and_joins_behind_certificates(bank: Cluster) -> None:
    client = bank.client()
    assert client.withdraw(2, 10).balance == 190
    bank.wait_until_in_sync()
    first = bank.primary()
    bank.kill(first)
    assert client.withdraw(2, 10).balance == 180
    bank.start(first)
    bank.wait_until_in_sync()
    assert bank.switch_over()["after"]["primary"] == first
    assert client.balance(2).balance == 180


@pytest.mark.long
def test_a_disk_is_fetched_over_tls(bank: Cluster) -> None:
    client = bank.client()
    bank.wait_until_in_sync()
    standby = bank.standby()
    bank.kill_the_standby(standby)
    client.withdraw(2, 10)
    for file in bank.data(standby).glob("bank.db*"):
        file.unlink()
    bank.start(standby)
    bank.wait_until_in_sync()
    assert "copy fetched" in bank.log(standby)


def test_commands_show_the_certificates_of_their_role(bank: Cluster) -> None:
    bank.wait_until_in_sync()
    status = json.loads(bankrmi(bank, "status", "--json").stdout)
    assert status["view_from"] == "witness"
    assert all(server["reachable"] for server in status["servers"])
    asked = bankrmi(bank, "balance", "2")
    assert asked.stdout == "Current balance: 200\n", "a warning is no data"
    assert "the certificate client-teller ends on" in asked.stderr
    backed_up = bankrmi(bank, "backup", str(bank.directory / "shown.backup"))
    assert backed_up.returncode == 0, backed_up.stderr
    switched = bankrmi(bank, "switchover", "--yes")
    assert switched.returncode == 0, switched.stderr
    lines = [line for name in bank.servers for line in bank.log(name).splitlines() if "switchover" in line]
    assert any("who=anna" in line and "outcome=done" in line for line in lines), lines


def test_the_status_says_whose_certificate_ends_soon(bank: Cluster) -> None:
    """The name server's, and that of whoever asks, as well as the servers'; each is renewed on its own."""
    bank.wait_until_in_sync()
    folder = bank.directory / "certificates"
    renew(folder, "server", NAMESERVER, days=3)
    renew(folder, "operator", "anna", days=1)

    def said() -> str:
        return bankrmi(bank, "status").stdout

    bank.until(lambda: "of the name server, or its authority's, ends in 2 days" in said(), "it is taken")
    assert "the certificate of the operator anna, who asks, or its authority's, ends within a day" in said()
    for file in folder.glob("operator-*"):
        file.unlink()
    told = said()
    assert "of the name server, or its authority's, ends in 2 days" in told
    assert "the certificate of the client teller, who asks, or its authority's, ends in 19 days" in told


def test_a_clients_certificate_is_enough_for_the_status(bank: Cluster) -> None:
    """But not to ask the witness: then the view is what the primary says."""
    bank.wait_until_in_sync()
    for file in (bank.directory / "certificates").glob("operator-*"):
        file.unlink()
    status = json.loads(bankrmi(bank, "status", "--json").stdout)
    assert [server["reachable"] for server in status["servers"]] == [True, True]
    assert status["view_from"] == status["view"]["primary"] == bank.primary()
    assert "is for operators and servers only" in status["witness"]["denied"]
    assert status["witness"]["reachable"]
    assert {server["certificate_days"] for server in status["servers"]} == {19}
    checked = bankrmi(bank, "status", "--check")
    assert (checked.returncode, "well: " in checked.stdout) == (0, True), checked
    shown = bankrmi(bank, "status").stdout
    assert "the witness tells operators only, and a client asked (" in shown
    assert "has no certificate of an operator: make it" in shown
    why = bankrmi(bank, "why").stdout
    assert "cannot be reached" not in why
    assert "does not answer" not in why
    bank.kill(NAMESERVER)
    bank.until(lambda: bankrmi(bank, "status", "--check").returncode == 10, "that is seen all the same")


@pytest.mark.long
def test_a_client_that_knows_the_name_server_alone_brings_its_certificate(bank: Cluster) -> None:
    address = bank.configuration.nameserver
    with connect(nameserver=address, certificates=bank.directory / "certificates", timeout=20) as client:
        assert client.balance(2).balance == 200
    with (
        pytest.raises(Unreached),
        connect(nameserver=address, timeout=1) as stranger,
    ):
        stranger.balance(2)


def test_pyro5s_own_tools_work_with_a_certificate(bank: Cluster) -> None:
    folder = bank.directory / "certificates"
    host, _, port = bank.configuration.nameserver.rpartition(":")
    environment = os.environ | {
        "PYRO_SSL": "True",
        "PYRO_SSL_CACERTS": str(folder / "ca.pem"),
        "PYRO_SSL_CLIENTCERT": str(folder / "client-teller.pem"),
        "PYRO_SSL_CLIENTKEY": str(folder / "client-teller.key"),
    }
    command = [sys.executable, "-m", "Pyro5.nsc", "-n", host, "-p", port, "list"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert "bankrmi.account.s1" in listed.stdout, listed.stderr


@pytest.mark.long
def test_who_has_no_certificate_moves_nothing(bank: Cluster) -> None:
    """Whatever he asks, whomever he says he is."""
    addresses = {**bank.configuration.servers, NAMESERVER: bank.configuration.nameserver}
    objects = [
        *(
            (name, f"bankrmi.{kind}.{name}")
            for name in bank.servers
            for kind in ("account", "standby", "operator")
        ),
        (NAMESERVER, "bankrmi.witness"),
        (NAMESERVER, "Pyro.NameServer"),
    ]
    for server, object_id in objects:
        for role in ("client", "server", "operator"):
            with pytest.raises(BankError, match="is called over TLS, with a certificate"):
                ask_once(addresses[server], object_id, "status", seconds=10, role=role)


def test_a_revoked_client_is_cut_off_while_the_bank_runs(bank: Cluster) -> None:
    folder = bank.directory / "certificates"
    create(folder, "client", "thief", days=20)
    settings = bank.configuration.certificates
    assert settings is not None
    of_thief = bank.configuration.model_copy(
        update={"certificates": settings.model_copy(update={"client": "thief"})}
    )
    with connect(of_thief, timeout=2) as thief:
        thief.withdraw(2, 1)
        revoke(folder, revocable(folder, "client", "thief"))
        bank.until(lambda: any("is revoked" in bank.log(name) for name in bank.servers), "he is cut off")
        with pytest.raises((Unreached, InDoubt), match="revoked"):
            thief.withdraw(2, 1)
    assert bank.client().withdraw(2, 1).balance == 198
    with pytest.raises(ConfigurationError, match="is revoked"):
        own_credentials(of_thief, "client")


@pytest.mark.long
def test_a_server_whose_certificate_is_revoked_is_left_out(bank: Cluster) -> None:
    """It may hold everything: nobody speaks to it any more, and the bank goes on without it."""
    client = bank.client()
    bank.wait_until_in_sync()
    standby = bank.standby()
    folder = bank.directory / "certificates"
    revoke(folder, revocable(folder, "server", standby))
    bank.until(lambda: standby not in (bank.view() or {"in_sync": [standby]})["in_sync"], "it is left out")
    assert client.withdraw(2, 10).balance == 190


def test_certificates_are_renewed_while_the_bank_runs(bank: Cluster) -> None:
    client = bank.client()
    bank.wait_until_in_sync()
    folder, epoch = bank.directory / "certificates", (bank.view() or {})["epoch"]
    for name in ("s1", "s2", NAMESERVER):
        create(folder, "server", name, days=20, addresses=["127.0.0.1"], overwrite=True)

    def shows(address: str, certificate: bytes) -> bool:
        """Whether it is this one that whoever comes now gets to see."""
        credentials = own_credentials(bank.configuration, "client")
        assert credentials is not None
        host, _, port = address.rpartition(":")
        with (
            socket.create_connection((host, int(port)), 10) as raw,
            credentials.client_context().wrap_socket(raw) as secured,
        ):
            return secured.getpeercert(binary_form=True) == certificate

    for name, address in {**bank.configuration.servers, NAMESERVER: bank.configuration.nameserver}.items():
        renewed = ssl.PEM_cert_to_DER_cert((folder / f"server-{name}.pem").read_text())
        bank.until(partial(shows, address, renewed), f"{name} shows its new certificate")
    assert client.withdraw(2, 10).balance == 190
    assert (bank.view() or {})["epoch"] == epoch


def test_a_client_that_runs_takes_its_new_certificate_too(bank: Cluster) -> None:
    """The old one is revoked, its connection is cut, and the next one shows the new one."""
    folder = bank.directory / "certificates"
    client = bank.client()
    assert client.withdraw(2, 10).balance == 190
    before = revocable(folder, "client", "teller")
    create(folder, "client", "teller", days=20, overwrite=True)
    revoke(folder, before)
    bank.until(lambda: any("is revoked" in bank.log(name) for name in bank.servers), "the old one is cut off")
    assert client.withdraw(2, 10).balance == 180


@pytest.mark.parametrize("missing", ["server-s1.pem", "server-s1.key", "ca.pem"])
def test_a_server_whose_files_are_missing_says_which_and_what_to_do(tmp_path: Path, missing: str) -> None:
    issue(tmp_path / "certificates")
    with Cluster(tmp_path, certificates={"folder": "certificates"}) as cluster:
        (tmp_path / "certificates" / missing).unlink()
        cluster.start("s1", wait=False)
        assert cluster.wait_for_end("s1") == 2
        [line] = [line for line in cluster.log("s1").splitlines() if "error" in line]
        assert missing in line
