"""The first view of a new bank, and the refusal to make a second first one.  Rule V9.

Rule 1: the first view is proposed only when every configured server says that it is empty, or an
        operator says so; a journal without a view means that the witness lost its memory.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from bankrmi.replication.effects import Report, Send
from bankrmi.replication.messages import Census, Holdings
from bankrmi.replication.view import View

if TYPE_CHECKING:
    from bankrmi.replication.replica import Replica

__all__ = ["FirstView"]

ASK_AGAIN_MS = 100.0


class FirstView:
    """An empty server that finds no view."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.seen_no_view = False
        self._holdings: dict[str, Holdings] = {}
        self._asked_ms = float("-inf")
        self._reported: tuple[str, ...] | None = None

    def tick(self) -> None:
        """Ask every server whether it is empty; what it said before counts only until the next round.

        It may have joined a bank since, or made one, of which the witness has lost its memory.
        """
        replica = self.replica
        if replica.now_ms - self._asked_ms < ASK_AGAIN_MS:
            return
        self._asked_ms = replica.now_ms
        self._report(tuple(name for name in replica.settings.others if name not in self._holdings))
        self._holdings.clear()
        for server in replica.settings.others:
            if server in replica.links:
                replica.effects.append(Send(server, Census(server=replica.settings.server)))
        replica.viewing.read()

    def _report(self, missing: tuple[str, ...]) -> None:
        """Say once what the first start waits for."""
        full = tuple(name for name, holdings in self._holdings.items() if not holdings.empty)
        told = full or missing
        if not self.seen_no_view or told == self._reported or self.replica.settings.first:
            return
        self._reported = told
        if full:
            why = (
                f"the witness holds no view, but {', '.join(full)} holds accounts: it has lost its memory; "
                f"run `bankrmi witness restore`"
            )
            self.replica.effects.append(Report("nobody can lead", {"why": why}))
        elif missing:
            why = "the first start of a bank needs every configured server, to be sure that all are empty"
            self.replica.effects.append(Report("waiting", {"for": list(missing), "why": why}))

    def told(self, holdings: Holdings) -> None:
        """Another server said what it holds."""
        self._holdings[holdings.server] = holdings

    def forget(self) -> None:
        """There was a view: who was empty before may not be empty now."""
        self._holdings.clear()

    @property
    def may_be_made(self) -> bool:
        """Whether a first view may be made, and it is this server's turn to make it."""
        settings = self.replica.settings
        everyone = all(
            server in self._holdings and self._holdings[server].empty for server in settings.others
        )
        turn = settings.server == settings.servers[0]
        return self.seen_no_view and (settings.first or (everyone and turn))

    def wanted_view(self) -> View | None:
        """Return the first view, if this server is to make it."""
        if not self.may_be_made:
            return None
        return View.first(
            history=self.replica.new_id(),
            server=self.replica.settings.server,
            start_id=self.replica.start_id,
            incarnation=self.replica.journal.incarnation,
        )


def new_id() -> str:
    """Return an id that is unique for ever."""
    return secrets.token_hex(8)
