"""The first view of a new bank, and the refusal to make a second first one.  Rule V9.

Rule 1: the first view is proposed only when every configured server says that it is empty; a journal without
        a view means that the witness lost its memory.
Rule 2: an operator's word (`first`) stands for those only that have been asked for a while and do not answer;
        never for one that says, or said once, that it holds something.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from bankrmi.replication.cause import Cause, CauseKind
from bankrmi.replication.messages import Census, Holdings
from bankrmi.replication.settings import Settings
from bankrmi.replication.step import Step
from bankrmi.replication.view import View

__all__ = ["FirstView"]

ASK_AGAIN_MS = 100.0
WAIVED_AFTER_MS = 3000.0
"""A server that answered nothing for this long, though it could be asked, counts as not answering."""


class FirstView:
    """An empty server that finds no view."""

    def __init__(self) -> None:
        self.seen_no_view = False
        self._holdings: dict[str, Holdings] = {}
        self._full: dict[str, None] = {}
        self._heard_ms: dict[str, float] = {}
        self._began_ms: float | None = None
        self._linked_ms: dict[str, float] = {}
        self._asked_ms = float("-inf")
        self._reported: tuple[str, ...] | None = None

    def tick(self, step: Step) -> bool:
        """Ask every server whether it is empty; what it said before counts only until the next round.

        It may have joined a bank since, or made one, of which the witness has lost its memory. Return whether
        it was time for that: then the witness is to be asked, too.
        """
        if step.now_ms - self._asked_ms < ASK_AGAIN_MS:
            return False
        self._asked_ms = step.now_ms
        if self._began_ms is None:
            self._began_ms = step.now_ms
        self._report(step)
        self._holdings.clear()
        for server in step.settings.others:
            if server not in step.links:
                self._linked_ms.pop(server, None)
            else:
                self._linked_ms.setdefault(server, step.now_ms)
                step.send(server, Census(server=step.server))
        return True

    def _report(self, step: Step) -> None:
        """Say once what the first start waits for."""
        missing = tuple(self.missing(step.settings))
        full = tuple(sorted(self._full))
        told = full or missing
        if not self.seen_no_view or told == self._reported:
            return
        self._reported = told
        if full:
            why = (
                f"the witness holds no view, but {', '.join(full)} holds accounts: it has lost its memory; "
                f"run `bankrmi witness restore`"
            )
            step.report("nobody can lead", why=why)
        elif missing:
            why = "the first start of a bank needs every configured server, to be sure that all are empty"
            if step.settings.first:
                why = f"--first does without those that do not answer for {WAIVED_AFTER_MS / 1000:g} s"
            step.report("waiting", **{"for": list(missing), "why": why})

    def told(self, holdings: Holdings, now_ms: float) -> None:
        """Another server said what it holds."""
        self._holdings[holdings.server] = holdings
        self._heard_ms[holdings.server] = now_ms
        if holdings.empty:
            self._full.pop(holdings.server, None)
        else:
            self._full[holdings.server] = None

    def forget(self) -> None:
        """There was a view: who was empty before may not be empty now."""
        self._holdings.clear()
        self._full.clear()
        self._began_ms = None

    def missing(self, settings: Settings) -> list[str]:
        """Who has not said whether it is empty."""
        return [server for server in settings.others if server not in self._holdings]

    def _may_be_made(self, step: Step) -> bool:
        """Whether a first view may be made, and it is this server's turn to make it."""
        settings = step.settings
        if not self.seen_no_view or self._full:
            return False
        if settings.first:
            return all(self._is_waived(server, step) for server in self.missing(settings))
        return not self.missing(settings) and settings.server == settings.servers[0]

    def _is_waived(self, server: str, step: Step) -> bool:
        """Whether a server has been asked for long enough, and has answered nothing."""
        not_asked_yet = server in step.links and server not in self._linked_ms
        if self._began_ms is None or not_asked_yet:
            return False
        never_ms = self._began_ms
        since_ms = max(never_ms, self._heard_ms.get(server, never_ms), self._linked_ms.get(server, never_ms))
        return step.now_ms - since_ms >= WAIVED_AFTER_MS

    def may_yet_be_made(self, step: Step) -> bool:
        """Whether a first view may be made now, or soon, if nobody says a word."""
        return self._may_be_made(step) or (step.settings.first and not self._full)

    def wanted_view(self, step: Step, new_id: Callable[[], str]) -> View | None:
        """Return the first view, if this server is to make it."""
        if not self._may_be_made(step):
            return None
        view = View.first(
            history=new_id(),
            server=step.server,
            start_id=step.start_id,
            incarnation=step.journal.incarnation,
        )
        waived = tuple(self.missing(step.settings))
        return view.because(Cause(kind=CauseKind.FIRST, by=step.server, of=waived))


def new_id() -> str:
    """Return an id that is unique for ever."""
    return secrets.token_hex(8)
