"""Members of etcd that are not as they should be: they flood, drip, lie; and what TLS and passwords do."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bankrmi.config import EtcdSettings
from bankrmi.coordination.etcd_members import Members, NoAnswer
from bankrmi.errors import ConfigurationError
from tests.coordination.test_etcd import client_of, heard, told
from tests.coordination.views import both, first
from tests.etcd import EtcdMembers, certificate_for, needs_etcd, new_authority

QUESTION = {"key": "eA=="}
USER = ("bank", "a password of the bank")

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(body: bytes, status: str = "200 OK", more: str = "") -> Serve:
    """A member that answers every question with these bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await one_question(reader):
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
            writer.write(head.encode() + body)
            await writer.drain()

    return serve


def of_cluster(cluster_id: str, **more: Any) -> bytes:
    return json.dumps({"header": {"cluster_id": cluster_id}, **more}).encode()


async def one_question(reader: asyncio.StreamReader) -> bytes:
    """Return a question's body; nothing at the end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    [length] = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return await reader.readexactly(int(length.partition(b":")[2]))


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A gigabyte that never ends, as fast as it is taken."""
    await one_question(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
    for _ in range(1024):
        writer.write(b" " * (1 << 20))
        await writer.drain()


async def flood_of_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await one_question(reader)
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(1_000_000):
        writer.write(b"X-%d: %s\r\n" % (number, b"x" * 1000))
        await writer.drain()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte at a time, for ever."""
    await one_question(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


@asynccontextmanager
async def served(*serves: Serve) -> AsyncIterator[Members]:
    """Ask members that are played by these."""
    handlers: set[asyncio.Task[None]] = set()

    def played(serve: Serve) -> Serve:
        async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            handlers.add(task)
            try:
                await serve(reader, writer)
            except (OSError, asyncio.CancelledError):
                pass
            finally:
                handlers.discard(task)
                writer.transport.abort()

        return play

    servers = [await asyncio.start_server(played(serve), "127.0.0.1", 0) for serve in serves]
    urls = [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in servers]
    members = Members(EtcdSettings(etcd=urls))
    yield members
    await members.close()
    for server in servers:
        server.close()
    for task in tuple(handlers):
        task.cancel()
    await asyncio.gather(*handlers, return_exceptions=True)


async def asked(members: Members, seconds: float = 30.0) -> Any:
    return await members.ask("/v3/kv/range", QUESTION, seconds=seconds, most_bytes=1000)


@pytest.mark.parametrize(
    ("serve", "why"),
    [
        (flood, "it sent more than 1000 bytes"),
        (flood_of_headers, "Receive buffer too long"),
        (answering(b" " * 1001), "it sent more than 1000 bytes"),
    ],
)
def test_a_member_that_says_too_much_is_cut_off(serve: Serve, why: str) -> None:
    async def work() -> None:
        async with served(serve) as members:
            with pytest.raises(NoAnswer, match=why) as failure:
                await asked(members)
            assert failure.value.sent
            assert len(failure.value.reason) < 300

    asyncio.run(work())


@pytest.mark.parametrize("serve", [drip, never], ids=["drips", "says nothing"])
def test_a_member_that_does_not_come_to_an_end_is_waited_for_no_longer_than_allowed(serve: Serve) -> None:
    async def work() -> None:
        async with served(serve) as members:
            with pytest.raises(NoAnswer, match="no answer from") as failure:
                await asked(members, seconds=0.3)
            assert failure.value.sent

    asyncio.run(work())


@pytest.mark.parametrize(
    "serve",
    [
        answering(b""),
        answering(b"[]"),
        answering(b"nonsense"),
        answering(b"\xff\xfe"),
        answering(b"[" * 900),
        answering(b"{}"),
        answering(b'{"header": {"cluster_id": 7}}'),
        answering(b'{"header": {"cluster_id": "%s"}}' % (b"9" * 500)),
        answering(b"9" * 999),
        answering(b"", "302 Found", "Location: http://127.0.0.1:1/\r\n"),
        answering(of_cluster("7"), "500 Internal Server Error"),
        answering(b'{"error": "%s", "code": 14}' % (b"\\u001b[2J" * 80), "503 Service Unavailable"),
        answering(b"x", more="Content-Encoding: gzip\r\n"),
    ],
)
def test_what_is_not_an_answer_of_etcd_is_silence_told_in_a_short_line(serve: Serve) -> None:
    async def work() -> None:
        async with served(serve) as members:
            with pytest.raises(NoAnswer) as failure:
                await asked(members)
            assert failure.value.reason.isprintable()
            assert len(failure.value.reason) < 300

    asyncio.run(work())


def test_whoever_answers_counts_however_the_others_are() -> None:
    async def work() -> None:
        good = answering(of_cluster("7"))
        async with served(never, flood, answering(b"{}"), good) as members:
            assert await asked(members, seconds=4.0) == {"header": {"cluster_id": "7"}}

    asyncio.run(work())


def test_who_answered_last_is_asked_first() -> None:
    """So a silent member costs its time once."""
    asked_there = 0

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked_there
        asked_there += 1
        await reader.read()

    async def work() -> None:
        async with served(silent, answering(of_cluster("7"))) as members:
            for _ in range(5):
                await asked(members, seconds=4.0)

    asyncio.run(work())
    assert asked_there == 1


def test_another_cluster_is_no_keeper_of_this_view() -> None:
    """A configuration with members of two clusters: two keepers, of which only the first is believed."""

    async def first_then_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await one_question(reader)
        body = of_cluster("7")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        serves[0] = never

    serves: list[Serve] = [first_then_gone]

    async def work() -> None:
        async def changing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await serves[0](reader, writer)

        async with served(changing, answering(of_cluster("8"))) as members:
            assert await asked(members)
            assert members.cluster_id == "7"
            with pytest.raises(NoAnswer, match="another cluster"):
                await asked(members, seconds=1.0)

    asyncio.run(work())


def test_a_question_that_was_refused_a_connection_has_not_left() -> None:
    async def work() -> None:
        async with served(answering(b"")) as members:
            pass  # Nobody listens there any more.
        gone = Members(members._settings)
        with pytest.raises(NoAnswer, match="no connection") as failure:
            await asked(gone)
        assert not failure.value.sent
        await gone.close()

    asyncio.run(work())


def test_a_proposal_whose_reading_was_not_answered_has_not_left() -> None:
    """What was sent was a question: nothing of it can win."""

    async def work() -> None:
        async with served(never) as members, client_of(members._settings, timeout_ms=300) as client:
            assert (await told(client.propose, None, first()))[::2] == ("silence", False)
            assert (await told(client.read))[::2] == ("silence", True)

    asyncio.run(work())


def test_a_proposal_whose_transaction_was_not_answered_may_win() -> None:
    async def read_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await one_question(reader)
        body = of_cluster("7")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await reader.read()

    async def work() -> None:
        async with served(read_only) as members, client_of(members._settings, timeout_ms=500) as client:
            assert (await told(client.propose, None, first()))[::2] == ("silence", True)

    asyncio.run(work())


# -- TLS and passwords -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdMembers]:
    with EtcdMembers(tmp_path_factory.mktemp("secured"), tls=True, user=USER) as members:
        yield members


@pytest.fixture
def members(secured: EtcdMembers) -> EtcdMembers:
    def clear() -> None:
        token = secured.ask("/v3/auth/authenticate", {"name": "root", "password": "of root"})["token"]
        everything = {"key": "Lw==", "range_end": "MA=="}
        secured.ask("/v3/kv/deleterange", everything, token=token)

    clear()
    return secured


@needs_etcd
def test_certificate_and_password_open_etcd(members: EtcdMembers) -> None:
    async def work() -> None:
        async with client_of(members.settings()) as client:
            assert await heard(client.propose, None, first()) == (first(), True)
            assert await heard(client.propose, ("h1", 1), both()) == (both(), True)
            assert await heard(client.history, None) == ([first(), both()],)

    asyncio.run(work())


@needs_etcd
@pytest.mark.parametrize(
    ("others", "why"),
    [
        ({"password": "another"}, "authentication failed"),
        ({"user": None, "password": None}, "user name is empty"),
        ({"prefix": "/elsewhere/"}, "permission denied"),
        ({"certificate": None, "key": None}, ""),
        ({"ca": "stranger.pem"}, "verify failed"),
        ({"certificate": "strange.pem", "key": "strange.key"}, ""),
        ({"certificate": "named.pem", "key": "named.key"}, ""),
    ],
)
def test_who_lacks_something_learns_nothing_and_changes_nothing(
    members: EtcdMembers, others: dict[str, Any], why: str
) -> None:
    if not (members.folder / "stranger.pem").exists():
        new_authority(members.folder, "stranger")
        certificate_for(members.folder, "strange", "stranger", common_name="")
        certificate_for(members.folder, "named", "ca", common_name="named")
    paths = {
        name: str(members.folder / value)
        for name, value in others.items()
        if name in ("ca", "certificate", "key") and value is not None
    }

    async def work() -> None:
        async with client_of(members.settings()) as sure:
            await heard(sure.propose, None, first())
            async with client_of(members.settings(**(others | paths))) as client:
                silence, reason, _ = await told(client.propose, ("h1", 1), both())
                assert silence == "silence"
                assert why in reason
                assert "could not be asked" not in reason, "it is not one of the ways in which etcd is silent"
                assert USER[1] not in reason
            assert await heard(sure.read) == (first(),)

    asyncio.run(work())


@needs_etcd
def test_who_is_waited_for_no_more_in_the_middle_of_a_handshake_is_hung_up_on(members: EtcdMembers) -> None:
    async def work() -> None:
        hung_up = asyncio.Event()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            hung_up.set()
            writer.close()

        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            asking = Members(members.settings(etcd=[f"https://127.0.0.1:{port}"]))
            with pytest.raises(NoAnswer, match="no answer from"):
                await asked(asking, seconds=0.3)
            await asyncio.wait_for(hung_up.wait(), 20)  # And not when the garbage is collected.
            await asking.close()

    gc.disable()
    try:
        asyncio.run(work())
    finally:
        gc.enable()


@needs_etcd
def test_a_token_that_is_taken_back_is_asked_for_again(members: EtcdMembers) -> None:
    """As when it has run out; a password that is set anew, even to what it was, takes all tokens back."""

    def take_back() -> None:
        token = members.ask("/v3/auth/authenticate", {"name": "root", "password": "of root"})["token"]
        anew = {"name": USER[0], "password": USER[1]}
        members.ask("/v3/auth/user/changepw", anew, token=token)

    async def work() -> None:
        async with client_of(members.settings(etcd=[members.url("m1")]), timeout_ms=10_000) as client:
            assert await heard(client.propose, None, first()) == (first(), True)
            await asyncio.to_thread(take_back)
            assert await told(client.propose, ("h1", 1), both()) == (both(), True)

    asyncio.run(work())


@needs_etcd
def test_a_certificate_that_is_renewed_is_taken_without_a_restart(
    members: EtcdMembers, tmp_path: Path
) -> None:
    """First one that etcd does not take; then, in the same files, one that it does."""
    for name in ("ca.pem", "client.pem", "client.key"):
        shutil.copy(members.folder / name, tmp_path / name)
    new_authority(tmp_path, "stranger")
    certificate_for(tmp_path, "strange", "stranger", common_name="")
    files = {"ca": "ca.pem", "certificate": "used.pem", "key": "used.key"}

    def use(name: str) -> None:
        for kind in ("pem", "key"):
            shutil.copy(tmp_path / f"{name}.{kind}", tmp_path / f"new.{kind}")
            (tmp_path / f"new.{kind}").replace(tmp_path / f"used.{kind}")

    async def work() -> None:
        use("strange")
        settings = members.settings(**{key: str(tmp_path / file) for key, file in files.items()})
        async with client_of(settings) as client:
            assert (await told(client.read))[0] == "silence"
            use("client")
            assert await heard(client.read) == (None,)
            (tmp_path / "used.pem").write_text("half of a certif")
            assert await heard(client.read) == (None,), "what was read before is used on"

    asyncio.run(work())


def test_files_that_cannot_be_used_are_told_before_anything_starts(tmp_path: Path) -> None:
    settings = EtcdSettings(etcd=["https://127.0.0.1:1"], ca=tmp_path / "ca.pem")
    with pytest.raises(
        ConfigurationError, match=r"witness\.ca: .*ca\.pem is not a certificate: No such file"
    ):
        Members(settings)
    settings = EtcdSettings(etcd=["http://127.0.0.1:1"], user="u", password_file=tmp_path / "none")
    with pytest.raises(ConfigurationError, match=r"witness\.password_file: .*none: No such file"):
        Members(settings)
