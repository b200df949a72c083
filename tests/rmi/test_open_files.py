"""How many files may be open, and what that means for servers that are added later."""

from __future__ import annotations

import resource

import pytest

from bankrmi.rmi import Limits
from bankrmi.rmi.open_files import allow_files, plan_seats


@pytest.mark.parametrize("hard", [100_000, resource.RLIM_INFINITY])
def test_servers_that_are_added_later_take_no_seats_from_others(
    monkeypatch: pytest.MonkeyPatch, hard: int
) -> None:
    """However low the limit is that a process begins with, if it may be raised."""
    limits, now = Limits(), [1024]
    added: list[str] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (now[0], hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: now.__setitem__(0, both[0]))
    before = plan_seats(limits, ["s2"], None)
    files = allow_files(before.total, 1)
    for number in range(3, 8):
        added.append(f"s{number}")
        plan = plan_seats(limits, ["s2", *added], files)
        assert (plan.callers, plan.unfinished, plan.operators, plan.of_each_server) == (
            before.callers,
            before.unfinished,
            before.operators,
            before.of_each_server,
        )
