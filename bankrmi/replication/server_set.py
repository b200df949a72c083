"""Which servers there are, where each of them lives, and whether this process is one of them.  Rule V12.

Rule 1: what the view says of servers comes on top of what this process was told; where it says nothing, that
        counts.
Rule 2: who was never named waits to be added; who was, and is not any more, or lives elsewhere, has no place.
Rule 3: nothing here acts on it: the replica does.
"""

from __future__ import annotations

from collections.abc import Mapping

from bankrmi.replication.settings import Settings
from bankrmi.replication.step import Step
from bankrmi.replication.view import View

__all__ = ["ServerSet"]


class ServerSet:
    """The bank's servers, as one process knows them, and its own place among them."""

    def __init__(self, told: Settings) -> None:
        self._told = told
        self.goes_by_view = False
        """Whether the view says which servers there are, and where; else what this process was told."""
        self._had_one = False  # Among the servers that a view named.
        self._waits = False  # For an operator; that was said.

    def go_by(self, servers: Mapping[str, str] | None) -> Settings:
        """Return the settings that hold with these servers; None: what this process was told counts."""
        self.goes_by_view = servers is not None
        return self._told if servers is None else self._told.with_servers(servers)

    def why_not_in(self, view: View, step: Step) -> str | None:
        """Return why this process is none of the bank's; None if it is one, or waits to be one."""
        name, home = step.server, step.settings.home
        if view.servers is None:
            return None
        if name not in view.servers:
            if step.journal.adopted is None and not self._had_one:
                return None  # It was not added yet, and waits.
            return (
                f"{name} is none of the bank's servers any more ({', '.join(view.servers)}): it was removed; "
                f"`bankrmi server add {name} {home}` takes it in again"
            )
        self._had_one = True
        if view.servers[name] == home:
            return None
        return (
            f"{name} lives at {view.servers[name]}, as the view has it, and this process at {home}: start it "
            f"there, or `bankrmi server move {name} {home}`"
        )

    def say_that_it_waits(self, view: View, step: Step) -> None:
        """Say once that this server was not added yet."""
        if view.servers is None or step.server in view.servers or self._waits:
            return
        self._waits = True
        add = f"`bankrmi server add {step.server} {step.settings.home}`"
        why = f"it is none of the bank's servers yet: run {add}"
        step.report("waiting", **{"for": ["an operator"], "why": why})
