"""The keeper of the view, followed to where it is moved while the process runs.

    old keeper: "moved to X" ──> the configuration file is read again ──> it names another keeper: ask that

Rule 1: what the old keeper refuses is silence, for the rules: nothing was decided, and nothing can win there.
Rule 2: nothing but `witness` is taken from the file that is read again; and only after the keeper in use has
        said that it is closed. A file that was edited for the next start changes nothing before that.
Rule 3: while the view is moved and not yet asked for there, this process states the id of the new keeper as
        its own (see `server.agreement`): it can win nothing anywhere else.
Rule 4: what was asked of the old keeper before is answered by it, so that every call is answered once.
Rule 5: whose own certificate counts no more proposes nothing. The others cut him off, each at a moment of its
        own, and an etcd goes by other certificates altogether: a primary that lost its standby so, and still
        reached the keeper, would go on alone, where no client reaches it and nobody may take over. To read
        harms nobody: so it learns that another one leads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import structlog

from bankrmi.config import Configuration, load
from bankrmi.coordination.coordinator import Expected, OnSilence
from bankrmi.coordination.keepers import check_keeper, coordinator_of, keeper_in_words
from bankrmi.errors import ConfigurationError
from bankrmi.replication.view import View

if TYPE_CHECKING:
    from bankrmi.coordination.etcd import EtcdClient
    from bankrmi.coordination.witness_client import WitnessClient

__all__ = ["MovableKeeper"]

log = structlog.get_logger("bankrmi.coordination")

_LOOK_SECONDS = 1.0
"""How often the file is looked at while it does not name another keeper yet."""
_LAST_ANSWERS_SECONDS = 30.0
"""Longer than any call to a keeper takes."""


def _ignore(*_: object) -> None:
    """Nobody wants to know."""


class MovableKeeper:
    """A `Coordinator`: whichever keeps the view now."""

    def __init__(
        self,
        configuration: Configuration,
        greeting: Mapping[str, object],
        why_not: Callable[[], str] | None = None,
    ) -> None:
        """`why_not` says why the own certificate counts no more, and nothing while it does."""
        self._configuration = configuration
        self._greeting = greeting
        self._why_not = why_not
        self.on_met: Callable[[str | None, str | None], None] = _ignore
        """Told the id of the keeper that answers, None when nobody does any more; and the id of the one that
        was left for it, if any was."""
        self.on_followed: Callable[[Configuration], None] = _ignore
        """Told the configuration as it is when another keeper is asked from then on."""
        self._met: str | None = None
        self._left: str | None = None
        self._look_next = 0.0
        self._told = ""
        self._leaving: list[asyncio.TimerHandle] = []
        self._keeper = self._opened()

    @property
    def in_words(self) -> str:
        """Who is asked now, and where."""
        return keeper_in_words(self._configuration)

    def read(self, on_answer: Callable[[View | None], None], on_silence: OnSilence) -> None:
        """Ask for the view."""
        self._keeper.read(on_answer, on_silence)

    def propose(
        self,
        expected: Expected,
        view: View,
        on_answer: Callable[[View | None, bool], None],
        on_silence: OnSilence,
    ) -> None:
        """Propose `view` to follow `expected`; or tell at once why nothing was sent."""
        if self._why_not is not None and (why := self._why_not()):
            on_silence(why, False)
            return
        self._keeper.propose(expected, view, on_answer, on_silence)

    def history(
        self, after: Expected, on_answer: Callable[[list[View]], None], on_silence: OnSilence
    ) -> None:
        """Ask for the views that followed `after`, as many as fit one answer."""
        self._keeper.history(after, on_answer, on_silence)

    def close(self) -> None:
        """Forget all that is under way, without a word."""
        for handle in self._leaving:
            handle.cancel()
        self._keeper.close()

    def _opened(self) -> WitnessClient | EtcdClient:
        keeper = coordinator_of(self._configuration, self._greeting)

        def met(keeper_id: str | None) -> None:
            if self._keeper is keeper:
                self._met = keeper_id or self._met
                self.on_met(keeper_id, self._left)

        def moved(keeper_id: str) -> None:
            if self._keeper is keeper:
                if self._met != keeper_id:
                    self._left, self._met = self._met, keeper_id
                self.on_met(keeper_id, self._left)
                self._follow(keeper_id)

        keeper.on_met, keeper.on_moved = met, moved
        return keeper

    def _follow(self, keeper_id: str) -> None:
        """Ask another keeper from now on, if the file names one."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._look_next:
            return
        self._look_next = loop.time() + _LOOK_SECONDS
        try:
            found = load(self._configuration.path, insecure=self._configuration.insecure)
            check_keeper(found)
        except ConfigurationError as error:
            self._tell(keeper_id, error.message)
            return
        if found.witness == self._configuration.witness:
            self._tell(keeper_id, f"{found.path} still names {keeper_in_words(found)}")
            return
        old, self._configuration = (
            self._keeper,
            self._configuration.model_copy(update={"witness": found.witness}),
        )
        self._leaving.append(loop.call_later(_LAST_ANSWERS_SECONDS, old.close))
        self._keeper = self._opened()
        self._told = ""
        self.on_followed(self._configuration)
        log.info("the view is asked for elsewhere now", at=keeper_in_words(found))

    def _tell(self, keeper_id: str, why: str) -> None:
        """Say once why nothing can be asked, until that changes."""
        if why != self._told:
            self._told = why
            log.warning(
                "the view was moved, and no change of it can be made from here", to=keeper_id, why=why
            )
