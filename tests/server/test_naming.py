"""How a server keeps its name: it says which process and which disk it is, and asks again when refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bankrmi.config import Configuration
from bankrmi.errors import AccessDenied
from bankrmi.rmi import Call, Daemon, Exposed, Limits
from bankrmi.server import naming
from bankrmi.server.naming import Naming


class Names:
    """A name server that answers as told, and keeps the calls."""

    exposed = Exposed(methods=frozenset({"register"}))

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.refuses = False
        self.answers = True

    def invoke(self, call: Call) -> None:
        self.calls.append(call)
        if self.refuses:
            call.fail(AccessDenied("another process has that name"))
        elif self.answers:
            call.answer(None)

    def said(self) -> list[str]:
        """Return the disks that were introduced, in their order."""
        return [str(call.peer.handshake["incarnation"]) for call in self.calls]


class Kept:
    """A name, kept with a name server in this event loop."""

    def __init__(self, names: Names, folder: Path) -> None:
        self.names = names
        self.disk = "disk-1"
        self._folder = folder
        self._daemon = Daemon(Limits(), dict)

    async def __aenter__(self) -> Kept:
        self._daemon.register("Pyro.NameServer", self.names)
        await self._daemon.listen("127.0.0.1:0")
        configuration = Configuration(
            path=self._folder, nameserver=self._daemon.address, servers={"s1": "127.0.0.1:9101"}
        )
        self._naming = Naming(configuration, "s1", "start-1", lambda: self.disk)
        self._naming.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._naming.close()
        await self._daemon.close()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    for wait in ("RETRY_SECONDS", "RENEW_SECONDS", "REFUSED_SECONDS", "DISK_SECONDS"):
        monkeypatch.setattr(naming, wait, 0.05)


def test_a_server_says_which_start_and_which_disk_it_is(tmp_path: Path) -> None:
    async def work() -> None:
        async with Kept(Names(), tmp_path) as kept:
            await kept.until(lambda: len(kept.names.calls) >= 3)
            for call in kept.names.calls:
                said = {key: call.peer.handshake[key] for key in ("server", "start_id", "incarnation")}
                assert said == {"server": "s1", "start_id": "start-1", "incarnation": "disk-1"}
                assert call.args[:2] == ("bankrmi.account.s1", "PYRO:bankrmi.account.s1@127.0.0.1:9101")

    asyncio.run(work())


def test_with_another_disk_it_introduces_itself_anew(tmp_path: Path) -> None:
    async def work() -> None:
        async with Kept(Names(), tmp_path) as kept:
            await kept.until(lambda: "disk-1" in kept.names.said())
            kept.disk = "disk-2"
            await kept.until(lambda: "disk-2" in kept.names.said())
            await kept.until(lambda: kept.names.said()[-3:] == ["disk-2"] * 3)

    with capture_logs() as lines:
        asyncio.run(work())
    assert lines == []


def test_a_refusal_is_said_once_and_the_name_is_asked_for_again(tmp_path: Path) -> None:
    names = Names()
    names.refuses = True

    async def work() -> None:
        async with Kept(names, tmp_path) as kept:
            await kept.until(lambda: len(names.calls) >= 5)
            names.refuses = False
            await kept.until(lambda: any(line["event"] == "the name is ours again" for line in lines))

    with capture_logs() as lines:
        asyncio.run(work())
    assert [line["event"] for line in lines] == [
        "the name server did not take our name",
        "the name is ours again",
    ]


def test_a_name_server_that_does_not_answer_is_tried_on_another_connection(tmp_path: Path) -> None:
    names = Names()
    names.answers = False

    async def work() -> None:
        async with Kept(names, tmp_path) as kept:
            await kept.until(lambda: len({call.peer.address for call in names.calls}) >= 3)
            names.answers = True
            await kept.until(lambda: any(line["event"] == "the name server is back" for line in lines))

    with capture_logs() as lines:
        asyncio.run(work())
    assert len([line for line in lines if "no name server" in str(line["event"])]) == 1
