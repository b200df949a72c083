"""Connections over TLS: every way to call, everybody who should not get in, and crowds that never finish."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import accumulate, cycle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankrmi.certificates import Credentials
from bankrmi.certificates.authority import create, create_authority, revocable, revoke
from bankrmi.rmi import (
    AnswerOverdue,
    Call,
    ConnectDenied,
    Daemon,
    Exposed,
    Failure,
    Limits,
    Link,
    NotConnected,
    PolledLink,
    PolledLinks,
    connect,
    handshake,
    open_link,
    over_tls,
)
from bankrmi.rmi.refusals import refusals
from bankrmi.rmi.secured import Secured
from bankrmi.rmi.tls import TlsRefused, TlsSession
from tests.examples import examples

from .account import Account, until
from .conftest import Serving

ACCOUNT = "bank.s1"
WAYS = ("connection", "link", "polled")


def issue(folder: Path) -> Path:
    """Make an authority, and a certificate of each kind."""
    create_authority(folder, days=30)
    for name in ("s1", "s2"):
        create(folder, "server", name, days=20, addresses=["127.0.0.1"])
    create(folder, "client", "teller", days=20)
    create(folder, "operator", "anna", days=20)
    return folder


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return issue(tmp_path_factory.mktemp("bank") / "certificates")


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what another bank's authority has issued, to the same names."""
    return issue(tmp_path_factory.mktemp("other") / "certificates")


def of(folder: Path, role: str, name: str) -> Credentials:
    return Credentials.of(folder, role, name)


class Who:
    """Answers with what is known of the caller."""

    def __init__(self) -> None:
        self.exposed = Exposed(methods=frozenset({"ask"}))

    def invoke(self, call: Call) -> None:
        call.answer([call.peer.role, call.peer.name, call.peer.our_protocol])


@pytest.fixture
def bank(serving: Serving, issued: Path) -> Daemon:
    return serve(serving, issued)


def serve(serving: Serving, folder: Path, limits: Limits | None = None, name: str = "s1") -> Daemon:
    daemon = serving.daemon(
        limits, {ACCOUNT: Account(), "who.s1": Who()}, ("s2",), credentials=of(folder, "server", name)
    )
    daemon.register("standby.s1", Account(), for_servers=True)
    daemon.register("operator.s1", Account(), roles={"operator"})
    return daemon


def ask(
    way: str, address: str, said: Any, *, object_id: str = ACCOUNT, method: str = "echo", args: list[object]
) -> Any:
    """Return the answer to one call, made in one of our ways."""
    if way == "connection":
        with connect(address, object_id, said, 10) as connection:
            return connection.call(method, args, timeout=10)
    if way == "link":

        async def call() -> Any:
            link = await open_link(address, object_id, said, 10)
            try:
                return await link.ask(method, args, 10)
            finally:
                link.close()

        return asyncio.run(call())
    return ask_polled(address, said, object_id, method, args)


def ask_polled(address: str, said: Any, object_id: str, method: str, args: list[object]) -> Any:
    links = PolledLinks()
    answers: list[object] = []
    link: Link
    link = PolledLink(
        links,
        address,
        object_id,
        said,
        lambda _: link.call(method, args, answers.append),
        lambda _: None,
        limits=Limits(),
    )
    link.open()

    def turn() -> bool:
        links.wait(0.1)
        return bool(answers) or link.failure is not None

    until(turn)
    link.close()
    if link.failure is not None and not answers:
        raise link.failure
    return answers[0]


def client(folder: Path, role: str = "client", name: str = "teller", **more: object) -> Any:
    return over_tls(handshake(role, **more), of(folder, role, name))


# --- who may --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_call_is_answered_and_who_calls_is_known(bank: Daemon, issued: Path, way: str) -> None:
    assert ask(way, bank.address, client(issued), args=["ü"]) == "ü"
    asked = ask(way, bank.address, client(issued), object_id="who.s1", method="ask", args=[])
    assert asked == ["client", "teller", True]


@pytest.mark.parametrize("way", WAYS)
def test_messages_of_many_records_arrive_whole(bank: Daemon, issued: Path, way: str) -> None:
    """A record of TLS has 16 KB; whatever is longer comes in pieces, and goes out in pieces."""
    sent = bytes(range(256)) * 2000
    assert ask(way, bank.address, client(issued), args=[sent]) == sent


def test_an_operator_may_do_what_a_client_may(bank: Daemon, issued: Path) -> None:
    said = over_tls(handshake("client"), of(issued, "operator", "anna"))
    assert ask("connection", bank.address, said, args=[1]) == 1


def test_a_stock_pyro_client_with_a_certificate_of_its_own_is_served(bank: Daemon, issued: Path) -> None:
    """With the settings that Pyro5 has for it, and what the certificate says it is."""
    program = f"""
import Pyro5.api
from Pyro5 import config
config.SSL = True
config.SSL_CACERTS = {str(issued / "ca.pem")!r}
config.SSL_CLIENTCERT = {str(issued / "client-teller.pem")!r}
config.SSL_CLIENTKEY = {str(issued / "client-teller.key")!r}
with Pyro5.api.Proxy("PYRO:{ACCOUNT}@{bank.address}") as proxy:
    print(proxy.echo("hello"), len(proxy.echo("x" * 40000)))
with Pyro5.api.Proxy("PYRO:who.s1@{bank.address}") as proxy:
    print(proxy.ask())
try:
    with Pyro5.api.Proxy("PYRO:operator.s1@{bank.address}") as proxy:
        proxy.echo(1)
except Exception as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    served, known, denied = done.stdout.splitlines()
    assert (served, known) == ("hello 40000", "['client', 'teller', False]"), done.stderr
    assert "operator.s1 is for operators only" in denied


# --- who may not ----------------------------------------------------------------------------------------


def plain(_issued: Path, _others: Path) -> Any:
    return handshake("client")


def of_another_authority(_issued: Path, others: Path) -> Any:
    return client(others)


def a_client_as_operator(issued: Path, _others: Path) -> Any:
    return over_tls(handshake("operator"), of(issued, "client", "teller"))


def a_client_as_server(issued: Path, _others: Path) -> Any:
    return over_tls(handshake("server", server="s2"), of(issued, "client", "teller"))


def an_operator_as_server(issued: Path, _others: Path) -> Any:
    return over_tls(handshake("server", server="s2"), of(issued, "operator", "anna"))


def a_server_as_another(issued: Path, _others: Path) -> Any:
    return over_tls(handshake("server", server="s2"), of(issued, "server", "s1"))


def a_server_without_a_name(issued: Path, _others: Path) -> Any:
    return over_tls(handshake("server"), of(issued, "server", "s2"))


ATTACKS = {
    plain: "is called over TLS, with a certificate of its own authority",
    of_another_authority: "certificate",
    a_client_as_operator: "for the client teller, and the caller says it is an operator",
    a_client_as_server: "for the client teller, and the caller says it is a server",
    an_operator_as_server: "for the operator anna, and the caller says it is a server",
    a_server_as_another: "for the server s1, and the caller says it is 's2'",
    a_server_without_a_name: "for the server s2, and the caller says it is 'a server without a name'",
}


@pytest.mark.parametrize("object_id", [ACCOUNT, "standby.s1", "operator.s1"])
@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("way", WAYS)
def test_nobody_gets_in_who_is_not_named_by_his_certificate(
    bank: Daemon, issued: Path, others: Path, way: str, attack: Callable[[Path, Path], Any], object_id: str
) -> None:
    with pytest.raises(NotConnected, match=ATTACKS[attack]) as caught:
        ask(way, bank.address, attack(issued, others), object_id=object_id, args=[1])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("way", WAYS)
def test_an_alert_that_comes_when_our_part_of_the_handshake_is_done_denies_as_one_before(
    bank: Daemon, issued: Path, way: str, tmp_path: Path
) -> None:
    """In TLS 1.3 what the caller shows is judged only then; he believes the bank, and it not him."""
    folder = issue(tmp_path / "certificates")
    believed = (issued / "ca.pem").read_text() + (folder / "ca.pem").read_text()
    (folder / "ca.pem").write_text(believed)
    told = r"does not believe the authority of the certificate that it was shown \(tlsv1 alert unknown ca\)"
    with pytest.raises(ConnectDenied, match=told) as caught:
        ask(way, bank.address, client(folder), args=[1])
    assert caught.value.reason == "denied"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("object_id", "role", "name"),
    [
        ("standby.s1", "client", "teller"),
        ("operator.s1", "client", "teller"),
        ("standby.s1", "operator", "anna"),
    ],
)
def test_an_object_is_for_the_roles_that_it_is_for(
    bank: Daemon, issued: Path, way: str, object_id: str, role: str, name: str
) -> None:
    with pytest.raises(ConnectDenied, match=f"{object_id} is for .* only"):
        ask(way, bank.address, client(issued, role, name), object_id=object_id, args=[1])


@pytest.mark.parametrize("way", WAYS)
def test_another_server_in_place_of_the_one_that_is_meant_is_not_spoken_to(
    serving: Serving, issued: Path, others: Path, way: str
) -> None:
    """Nothing is said to it: not even what would be asked."""
    false = serve(serving, issued, name="s2")
    with pytest.raises(ConnectDenied, match="for the server s2, and not for the server s1"):
        ask(way, false.address, client(issued), args=[1])
    foreign = serve(serving, others)
    with pytest.raises(ConnectDenied, match="certificate"):
        ask(way, foreign.address, client(issued), args=[1])
    assert not any(connection.greeted for daemon in (false, foreign) for connection in daemon._connections())


@pytest.mark.parametrize("way", WAYS)
def test_a_server_without_tls_is_told_from_one_with(serving: Serving, issued: Path, way: str) -> None:
    without = serving.daemon(objects={ACCOUNT: Account()})
    with pytest.raises(NotConnected, match=r"TLS|handshake|closed"):
        ask(way, without.address, client(issued), args=[1])


@pytest.mark.parametrize("lacks", ["a certificate", "TLS 1.3"])
def test_who_shows_no_certificate_or_speaks_an_older_tls_is_told_so(
    bank: Daemon, issued: Path, lacks: str
) -> None:
    """In the words of TLS, which every client knows how to show."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(issued / "ca.pem")
    if lacks == "TLS 1.3":
        context.load_cert_chain(issued / "client-teller.pem", issued / "client-teller.key")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    host, _, port = bank.address.rpartition(":")

    def answer() -> bytes:
        with (
            socket.create_connection((host, int(port)), 10) as raw,
            context.wrap_socket(raw, suppress_ragged_eofs=False) as secured,
        ):
            return secured.recv(1)

    alert = "ALERT_PROTOCOL_VERSION" if lacks == "TLS 1.3" else "ALERT_CERTIFICATE_REQUIRED"
    with pytest.raises(ssl.SSLError, match=alert):
        answer()


def test_the_end_of_a_connection_is_said_in_tls_too(serving: Serving, issued: Path) -> None:
    """Else a client could not tell it from a line that was cut."""
    daemon = serve(serving, issued)
    with connect(daemon.address, ACCOUNT, client(issued), 10) as caller:
        assert isinstance(caller._socket, ssl.SSLSocket)
        serving.run(daemon.close())
        assert caller._socket.recv(1) == b""  # Not SSLEOFError: ragged ends are not suppressed.


def test_a_handshake_in_a_thousand_pieces_waits_for_one_turn(issued: Path) -> None:
    turns: list[Callable[[], None]] = []
    session = TlsSession(of(issued, "server", "s1").server_context(), serves=True)
    secured = Secured(
        asyncio.Protocol(),
        session,
        shaken=lambda _: None,
        refused=lambda _: None,
        in_turn=turns.append,
    )
    for byte in hello(issued):
        secured.data_received(bytes([byte]))
    assert len(turns) == 1


def test_of_a_handshake_that_never_ends_only_so_much_is_kept(issued: Path) -> None:
    session = TlsSession(of(issued, "server", "s1").server_context(), serves=True)
    session.feed(bytes(16 << 10))
    with pytest.raises(TlsRefused, match="longer than 16384 bytes"):
        session.feed(b"x")


def shaken_pair(issued: Path) -> tuple[TlsSession, TlsSession]:
    """Return a client's side and a server's side that have shaken hands."""
    client_side = TlsSession(of(issued, "client", "teller").client_context(), serves=False)
    server_side = TlsSession(of(issued, "server", "s1").server_context(), serves=True)
    while not (client_side.shaken and server_side.shaken):
        for one, other in ((client_side, server_side), (server_side, client_side)):
            if not one.shaken:
                one.shake()
            other.feed(one.to_send.read())
    return client_side, server_side


@settings(max_examples=examples(8))
@given(
    messages=st.lists(st.one_of(st.integers(1, 300), st.integers(16_000, 40_000)), min_size=1, max_size=6),
    cuts=st.lists(st.one_of(st.integers(1, 60), st.integers(1, 20_000)), min_size=1, max_size=40),
)
def test_however_the_records_are_cut_what_was_said_is_said_in_time(
    issued: Path, messages: list[int], cuts: list[int]
) -> None:
    client_side, server_side = shaken_pair(issued)
    said = [bytes([number + 1]) * size for number, size in enumerate(messages)]
    sealed = [client_side.seal(message) for message in said]
    raw, whole_at = b"".join(sealed), list(accumulate(map(len, sealed)))
    heard, at = bytearray(), 0
    for size in cycle(cuts):
        piece = raw[at : at + size]
        if not piece:
            break
        at += len(piece)
        heard += server_side.open(piece)
        arrived = sum(end <= at for end in whole_at)
        assert len(heard) >= sum(messages[:arrived]), "a record that is here is not kept back"
    assert bytes(heard) == b"".join(said)


# --- while it runs ----------------------------------------------------------------------------------------


def test_a_certificate_that_is_revoked_is_cut_off_and_the_others_go_on(
    serving: Serving, tmp_path: Path
) -> None:
    folder = issue(tmp_path / "certificates")
    create(folder, "client", "thief", days=20)
    shown = of(folder, "server", "s1")
    daemon = serving.daemon(objects={ACCOUNT: Account()}, credentials=shown)
    with (
        connect(daemon.address, ACCOUNT, client(folder), 10) as honest,
        connect(daemon.address, ACCOUNT, client(folder, name="thief"), 10) as thief,
    ):
        said = client(folder, name="thief")  # What he has read by then, he has.
        assert thief.call("echo", [1], timeout=10) == 1
        revoke(folder, revocable(folder, "client", "thief"))
        assert serving.do(shown.look)
        serving.do(daemon.cut_refused)
        until(lambda: thief.closed)
        with pytest.raises(ConnectDenied, match="revoked"):
            connect(daemon.address, ACCOUNT, said, 10)
        assert honest.call("echo", [2], timeout=10) == 2


def test_new_certificates_are_used_for_whoever_comes_next(serving: Serving, tmp_path: Path) -> None:
    folder = issue(tmp_path / "certificates")
    shown = of(folder, "server", "s1")
    daemon = serving.daemon(objects={ACCOUNT: Account()}, credentials=shown)
    with connect(daemon.address, ACCOUNT, client(folder), 10) as before:
        create(folder, "server", "s1", days=20, addresses=["127.0.0.1"], overwrite=True)
        assert serving.do(shown.look)
        with connect(daemon.address, ACCOUNT, client(folder), 10) as after:
            assert after.call("echo", [1], timeout=10) == 1
        assert before.call("echo", [2], timeout=10) == 2


# --- strangers --------------------------------------------------------------------------------------------


@pytest.fixture
def crowd() -> Iterator[list[socket.socket]]:
    sockets: list[socket.socket] = []
    yield sockets
    for one in sockets:
        one.close()


def hello(issued: Path) -> bytes:
    """Return the first message of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = of(issued, "client", "teller").client_context().wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("said", ["nothing", "half", "hello"])
def test_a_crowd_that_never_ends_its_handshakes_keeps_nobody_out(
    serving: Serving, issued: Path, crowd: list[socket.socket], said: str
) -> None:
    daemon = serve(serving, issued, Limits(connections=40, unfinished=40))
    host, _, port = daemon.address.rpartition(":")
    greeting = hello(issued)
    first = {"nothing": b"", "half": greeting[:60], "hello": greeting}[said]
    with connect(daemon.address, ACCOUNT, client(issued), 10) as early:
        for _ in range(150):
            one = socket.create_connection((host, int(port)), 10)
            one.sendall(first)
            crowd.append(one)
        assert early.call("echo", [1], timeout=10) == 1
        with connect(daemon.address, ACCOUNT, client(issued), 10) as late:
            assert late.call("echo", [2], timeout=10) == 2
    assert daemon.connections <= daemon.seats.total


def test_a_handshake_that_is_not_ended_in_time_is_cut(
    serving: Serving, issued: Path, crowd: list[socket.socket]
) -> None:
    daemon = serve(serving, issued, Limits(message_deadline_ms=200, sweep_ms=50))
    host, _, port = daemon.address.rpartition(":")
    slow = socket.create_connection((host, int(port)), 10)
    crowd.append(slow)
    slow.sendall(hello(issued)[:60])
    assert slow.recv(1) == b""


def is_cut(stranger: socket.socket) -> bool:
    """Wait until the other side has closed it, whatever it says before."""
    try:
        while stranger.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\x16\x03\x01\xff\xff" + bytes(70000), b"PYR\x16" * 10]
)
def test_what_is_no_handshake_is_cut(bank: Daemon, crowd: list[socket.socket], sent: bytes) -> None:
    host, _, port = bank.address.rpartition(":")
    stranger = socket.create_connection((host, int(port)), 10)
    crowd.append(stranger)
    before = refusals.by_reason["tls"]
    stranger.sendall(sent)
    assert is_cut(stranger)
    assert refusals.by_reason["tls"] == before + 1


def test_what_follows_a_handshake_and_is_not_tls_is_cut(bank: Daemon, issued: Path) -> None:
    with connect(bank.address, ACCOUNT, client(issued), 10) as caller:
        assert isinstance(caller._socket, ssl.SSLSocket)
        number = caller._socket.fileno()
        with socket.socket(fileno=number) as below:
            below.sendall(b"PYRO" + bytes(100))
            with pytest.raises(Failure):
                caller.call("echo", [1], timeout=10)
            below.detach()


def test_a_caller_who_does_not_answer_in_time_is_overdue_also_over_tls(bank: Daemon, issued: Path) -> None:
    with (
        connect(bank.address, ACCOUNT, client(issued), 10) as caller,
        pytest.raises(AnswerOverdue),
    ):
        caller.call("keep", timeout=0.2)
