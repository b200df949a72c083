"""Who gets at what behind certificates: each kind of attacker at each object, with what he would like best.

Before, the bank is in sync; during, an honest client is served; after, view and money are as they were.
"""

from __future__ import annotations

import re
import shutil
import ssl
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

import bankrmi
from bankrmi.certificates import Credentials
from bankrmi.certificates.authority import create, create_authority, revocable, revoke
from bankrmi.client.asking import ask_once
from bankrmi.errors import BankError
from bankrmi.rmi import TlsIdentity
from bankrmi.server.account import AccountObject
from bankrmi.server.operator_object import OperatorObject
from bankrmi.server.standby_object import StandbyObject
from tests.certificates import made
from tests.system.cluster import NAMESERVER, Cluster

OBJECTS: dict[str, Collection[str]] = {
    "bankrmi.account.s1": AccountObject.exposed.methods,
    "bankrmi.standby.s1": StandbyObject.exposed.methods,
    "bankrmi.operator.s1": OperatorObject.exposed.methods,
    "bankrmi.diagnosis.s1": ("facts",),
    "bankrmi.diagnosis.nameserver": ("facts",),
    "bankrmi.witness": ("read", "propose", "history", "history_before"),
    "bankrmi.witness.moves": ("kept", "move"),
    "Pyro.NameServer": ("register", "remove", "set_metadata"),
}
"""Every object of the bank's processes, and what may be asked of it; of names, what changes something."""

BEST: dict[tuple[str, str], list[object]] = {
    ("bankrmi.account.s1", "withdraw"): [2, 1, "thief:1"],
    ("bankrmi.account.s1", "deposit"): [2, 1, "thief:2"],
    ("bankrmi.account.s1", "submit"): [[["withdraw", 2, 1]], "thief:3"],
    ("bankrmi.account.s1", "balance"): [2],
    ("bankrmi.account.s1", "outcome"): ["thief:4"],
    ("bankrmi.standby.s1", "checkpoint"): [{}],
    ("bankrmi.operator.s1", "switchover"): [None],
    ("bankrmi.operator.s1", "take_over"): ["a history", 2, True, False],
    ("bankrmi.operator.s1", "pause"): ["for ever"],
    ("bankrmi.operator.s1", "server_add"): ["s9", "127.0.0.1:1"],
    ("bankrmi.operator.s1", "server_remove"): ["s2"],
    ("bankrmi.operator.s1", "server_move"): ["s2", "127.0.0.1:1"],
    ("bankrmi.witness", "read"): ["account"],
    ("bankrmi.witness", "propose"): ["account", None, {}],
    ("bankrmi.witness.moves", "kept"): ["account"],
    ("bankrmi.witness.moves", "move"): ["account", None, "elsewhere"],
    ("Pyro.NameServer", "register"): [
        "bankrmi.account.s1",
        "PYRO:bankrmi.account.s1@127.0.0.1:1",
        False,
        [],
    ],
    ("Pyro.NameServer", "remove"): ["bankrmi.account.s1"],
}
"""What an attacker would say; elsewhere nothing, and whoever is let in is told that this is too little."""

ATTACKERS = {
    "no certificate": ("bank", ""),
    "a client of another authority": ("other", "client-teller"),
    "a server of another authority": ("other", "server-s2"),
    "an operator of another authority": ("other", "operator-anna"),
    "an expired client": ("expired", "client-teller"),
    "an expired server": ("expired", "server-s2"),
    "an expired operator": ("expired", "operator-anna"),
    "a revoked client": ("revoked", "client-thief"),
    "a revoked operator": ("revoked", "operator-thief"),
    "a revoked server": ("revoked", "server-s9"),
    "a client": ("bank", "client-teller"),
    "an operator": ("bank", "operator-anna"),
    "another server": ("bank", "server-s2"),
}
"""Where his certificate is from, and which it is."""

_INSIDE = [(name, place) for name, (place, stem) in ATTACKERS.items() if place == "bank" and stem]

MAY = {
    ("a client", "bankrmi.account.s1", "client"),
    ("an operator", "bankrmi.account.s1", "client"),
    ("an operator", "bankrmi.account.s1", "operator"),
    ("an operator", "bankrmi.operator.s1", "operator"),
    ("an operator", "bankrmi.diagnosis.s1", "operator"),
    ("an operator", "bankrmi.diagnosis.nameserver", "operator"),
    ("an operator", "bankrmi.witness", "operator"),
    ("an operator", "bankrmi.witness.moves", "operator"),
    ("another server", "bankrmi.account.s1", "client"),
}
"""What is no attack: who may call which object as what."""


class Shown:
    """What an attacker shows: a certificate and its key, whatever they are worth, and he asks nobody."""

    def __init__(self, folder: Path, stem: str, honest: Credentials) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        if stem:
            self._context.load_cert_chain(folder / f"{stem}.pem", folder / f"{stem}.key")
        self._honest = honest

    def client_context(self) -> ssl.SSLContext:
        return self._context

    def server_context(self) -> ssl.SSLContext:
        raise AssertionError("it serves nobody")

    def identity_of(self, der: bytes) -> TlsIdentity:
        return self._honest.identity_of(der)


def issue(folder: Path) -> Path:
    create_authority(folder, days=30)
    for name in ("s1", "s2", NAMESERVER):
        create(folder, "server", name, days=20, addresses=["127.0.0.1"])
    create(folder, "client", "teller", days=20)
    create(folder, "operator", "anna", days=20)
    return folder


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("attacked")
    folder = issue(directory / "certificates")
    issue(directory / "other")
    thieves = (("client", "thief"), ("operator", "thief"), ("server", "s9"))
    for role, name in thieves:
        create(folder, role, name, days=20, addresses=["127.0.0.1"] if role == "server" else ())
    shutil.copytree(folder, directory / "revoked")
    for role, name in thieves:
        revoke(folder, revocable(folder, role, name))
        for file in folder.glob(f"{role}-{name}.*"):
            file.unlink()
    shutil.copytree(folder, directory / "expired")
    for role, name in (("client", "teller"), ("server", "s2"), ("operator", "anna")):
        made.issue(directory / "expired", role, name, made.between(-9, -1))
    with Cluster(directory, certificates={"folder": "certificates"}) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        yield cluster


def _cases() -> list[Any]:
    """Return each attacker with how much he tries.

    Who is let in tries every method. Who is not gets no further than the handshake, whatever he would call:
    there it is one method of each object, as each role; all of them in the long tests.
    """
    outside = [name for name, (place, _) in ATTACKERS.items() if (name, place) not in _INSIDE]
    return [
        *(pytest.param(name, True, id=name) for name, _ in _INSIDE),
        *(pytest.param(name, False, id=name) for name in outside),
        *(pytest.param(name, True, id=f"{name}, everything", marks=pytest.mark.long) for name in outside),
    ]


@pytest.mark.parametrize(("attacker", "everything"), _cases())
def test_nobody_does_what_his_certificate_does_not_name_him_for(
    bank: Cluster, attacker: str, everything: bool
) -> None:
    place, stem = ATTACKERS[attacker]
    folder = bank.directory / ("certificates" if place == "bank" else place)
    shown = Shown(folder, stem, Credentials.of(bank.directory / "certificates", "client", "teller"))
    honest = bank.client()
    view, balance = bank.view(), honest.balance(2).balance
    for object_id, methods in OBJECTS.items():
        at = bank.configuration.servers["s1"] if object_id.endswith(".s1") else bank.configuration.nameserver
        for role in ("client", "server", "operator"):
            if (attacker, object_id, role) in MAY:
                continue
            dearest = sorted(methods, key=lambda method: ((object_id, method) not in BEST, method))
            for method in dearest if everything else dearest[:1]:
                args = BEST.get((object_id, method), [])
                with pytest.raises(BankError) as refused:
                    ask_once(at, object_id, method, args, seconds=10, role=role, credentials=shown)
                assert "bug" not in str(refused.value)
            assert honest.balance(2).balance == balance
    assert bank.view() == view


def test_every_object_of_a_process_is_in_the_table() -> None:
    """Whoever registers another one in a process sees here that nobody has attacked it yet."""
    registered = {"ACCOUNT_ID", "STANDBY_ID", "OPERATOR_ID", "DIAGNOSIS_ID"}
    registered |= {"WITNESS_ID", "WITNESS_MOVES_ID", "NAMESERVER_NAME"}
    found = set()
    for file in ("server/process.py", "nameserver/process.py"):
        text = (Path(bankrmi.__file__).parent / file).read_text()
        found |= set(re.findall(r"\.register\(\s*([A-Z_]+)", text))
    assert found == registered
    assert len(OBJECTS) == len(registered) + 1  # Both processes have a diagnosis.
