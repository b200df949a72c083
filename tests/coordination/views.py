"""Views to test with."""

from __future__ import annotations

from dataclasses import replace

from bankrmi.replication.view import View


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
