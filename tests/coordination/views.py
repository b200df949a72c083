"""Views to test with."""

from __future__ import annotations

from dataclasses import replace

from bankrmi.replication.cause import Cause, CauseKind
from bankrmi.replication.view import View

WRITTEN_US = 1_700_000_000_000_000
CRASH = Cause(kind=CauseKind.CRASH, by="s2", of=("s1",), address="127.0.0.1:9101")
LONGEST = Cause(
    kind=CauseKind.SILENCE,
    by="b" * 200,
    of=tuple(f"{number}{'o' * 199}" for number in range(5)),
    address="a" * 200,
    silent_ms=1 << 60,
    operator="u" * 200,
)


def first(server: str = "s1") -> View:
    return View.first(history="h1", server=server, start_id=f"start-{server}", incarnation=f"disk-{server}")


def both() -> View:
    """Epoch 2: s1 leads, s2 is in sync."""
    return first().letting_in("s2", "disk-s2")


def forced(after: View | None, *, server: str = "s2", history: str = "h2", epoch: int | None = None) -> View:
    return replace(
        View.first(history=history, server=server, start_id=f"start-{server}", incarnation=f"disk-{server}"),
        epoch=epoch or (1 if after is None else after.epoch + 1),
        forced=True,
    )
