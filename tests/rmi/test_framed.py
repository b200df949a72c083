"""One connection as frames: what becomes of it when it ends in the middle of something."""

from __future__ import annotations

import asyncio

import pytest

from bankrmi.rmi.framed import FramedConnection
from bankrmi.rmi.frames import INVOKE, MSGPACK, FrameRefused
from bankrmi.rmi.limits import Limits


class _Gone:
    """A transport to a caller that has just reset the connection; the loop does not know yet."""

    def __init__(self) -> None:
        self.aborted = False

    def is_closing(self) -> bool:
        return self.aborted

    def can_write_eof(self) -> bool:
        return True

    def write(self, _: bytes) -> None:
        """It takes what nobody will read."""

    def write_eof(self) -> None:
        raise OSError(107, "Transport endpoint is not connected")

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize("greeted", [False, True])
def test_a_caller_that_is_gone_when_it_is_refused_leaves_no_traceback(greeted: bool) -> None:
    """Found by chaos, seed 7001: strangers with too many values, who go away while they are read."""

    async def refuse() -> None:
        connection = FramedConnection(Limits(), asyncio.get_running_loop(), "127.0.0.1:1")
        transport = _Gone()
        connection._transport = transport  # type: ignore[assignment]
        connection.greeted = greeted
        connection._refuse(FrameRefused("too many", kind=INVOKE, serializer=MSGPACK))
        assert transport.aborted
        assert connection.lost

    asyncio.run(refuse())
