"""What a server holds, to test with."""

from __future__ import annotations

from bankrmi.replication.messages import Holdings
from bankrmi.replication.record import Position


def holding(
    server: str, *, epoch: int = 3, primary: str | None = "s1", tip: tuple[int, int] = (7, 3)
) -> Holdings:
    return Holdings(
        server=server,
        incarnation=f"disk-{server}",
        start_id=f"start-{server}",
        history="h1",
        epoch=epoch,
        primary=primary,
        tip=Position(*tip, b""),
        fenced=True,
    )
