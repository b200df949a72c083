"""The view in etcd: the three verbs by compare-and-set on one key (see `etcd_keys`).

Rule 1: safety rests on the comparison of the transaction alone. What was read before decides only what is
        compared; if it has changed since, nothing is written, and the answer is the view as it is now.
Rule 2: no answer in time, from any member, is silence, which says whether a proposal may still win (V6). A
        proposal of ours that won unheard is found at the next reading: it names the process that made it.
Rule 3: which view may follow which is judged here as the witness judges it (`succession`): the second lock.
Rule 4: slow is not dead. After a silence the next call has twice the time, up to `PATIENCE` times the usual;
        after an answer, twice what that took.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from time import time_ns
from typing import Any, TypeVar

import structlog

from bankrmi.config import EtcdSettings
from bankrmi.coordination.coordinator import Expected, OnSilence
from bankrmi.coordination.etcd_keys import HISTORY_VIEWS, Form, Keys, Stored, ViewRecord
from bankrmi.coordination.etcd_members import Members, NoAnswer
from bankrmi.coordination.succession import decided
from bankrmi.replication.view import View

__all__ = ["EtcdClient", "EtcdKeeper"]

log = structlog.get_logger("bankrmi.coordination")

PATIENCE = 4
TIMEOUT_MS = 1000
"""Longer than a witness has: etcd's members elect a leader in about that time."""

_VIEW_BYTES = 64 << 10
_HISTORY_BYTES = 4 << 20
_RANGE, _TXN = "/v3/kv/range", "/v3/kv/txn"
_NOT_AN_ANSWER = (AttributeError, KeyError, TypeError, ValueError, RecursionError)

Value = TypeVar("Value")


class ViewRefused(Exception):
    """It can never be as it was asked; says why.  Nothing that could win was sent."""

    def __init__(self, reason: str, *, moved_to: str | None = None) -> None:
        super().__init__(reason)
        self.moved_to = moved_to


class EtcdKeeper:
    """The view of one service in etcd, for whoever can wait; each verb raises NoAnswer or ViewRefused."""

    def __init__(self, settings: EtcdSettings, service: str) -> None:
        """Raises ConfigurationError if a certificate or the password cannot be read."""
        self._members = Members(settings)
        self._keys = Keys(settings.prefix, service)
        self._prefix = settings.prefix

    @property
    def id(self) -> str | None:
        """What tells two keepers apart, whatever their addresses; None before anybody has answered."""
        cluster_id = self._members.cluster_id
        return None if cluster_id is None else f"etcd:{cluster_id}:{self._prefix}"

    async def read(self, seconds: float) -> View | None:
        """Return the view."""
        stored = await self._stored(_Time(seconds))
        return None if stored is None else _here(stored)

    async def propose(self, expected: Expected, view: View, seconds: float) -> tuple[View | None, bool]:
        """Propose `view` to follow `expected`; return the view as it is now, and whether it won."""
        time = _Time(seconds)
        try:
            before = await self._stored(time)
            current = None if before is None else _here(before)
            past = [view.history] if view.forced and await self._has_had(view.history, time) else []
        except NoAnswer as silence:  # To a reading: of the proposal nothing has left.
            raise NoAnswer(silence.reason, sent=False) from silence
        ruling = decided(current, expected, view, past)
        if ruling.objection is not None:
            raise ViewRefused(f"the proposed view is refused: {ruling.objection}")
        if not ruling.follows:
            return current, ruling.won
        dated = replace(view, written_us=time_ns() // 1000, moves=())  # By our clock: etcd has none to ask.
        won, now = await self._change(before, ViewRecord(view=dated), time)
        if won:
            return dated, True
        current = None if now is None else _here(now)
        return current, current == view

    async def history(self, after: Expected, seconds: float) -> list[View]:
        """Return the views that followed `after` (None: all that are kept), oldest first."""
        return await self._part(self._keys.following(0 if after is None else after[1]), after, seconds)

    async def history_before(self, before: Expected, seconds: float) -> list[View]:
        """Return the views before `before` (None: the newest), newest first, as many as fit one answer."""
        question = self._keys.preceding(None if before is None else before[1])
        return await self._part(question, before, seconds)

    async def _part(self, question: Form, reached: Expected, seconds: float) -> list[View]:
        """Return what comes after the view that was reached, which has to be the first that is answered."""
        answer = await self._ask(_RANGE, question, _Time(seconds), most_bytes=_HISTORY_BYTES)
        views = _read(lambda: self._keys.views(answer))
        if reached is None:
            return views[:HISTORY_VIEWS]
        if not views or (views[0].history, views[0].epoch) != reached:
            raise ViewRefused(f"no view of epoch {reached[1]} in that history is kept")
        return views[1:]

    async def kept(self, seconds: float) -> Stored | None:
        """Return what there is, moved away or not."""
        return await self._stored(_Time(seconds))

    async def change(self, before: Stored | None, record: ViewRecord, seconds: float) -> bool:
        """Set the record, for operators who move the view; return whether it was still as it was read."""
        done, _ = await self._change(before, record, _Time(seconds))
        return done

    async def close(self) -> None:
        """Hang up."""
        await self._members.close()

    async def _stored(self, time: _Time) -> Stored | None:
        answer = await self._ask(_RANGE, self._keys.read(), time)
        return _read(lambda: self._keys.stored(answer))

    async def _has_had(self, history: str, time: _Time) -> bool:
        answer = await self._ask(_RANGE, self._keys.has_had(history), time)
        return _read(lambda: self._keys.is_there(answer))

    async def _change(
        self, before: Stored | None, record: ViewRecord, time: _Time
    ) -> tuple[bool, Stored | None]:
        answer = await self._ask(_TXN, self._keys.change(before, record), time)
        return _read(lambda: self._keys.decided(answer))

    async def _ask(self, path: str, question: Form, time: _Time, most_bytes: int = _VIEW_BYTES) -> Form:
        return await self._members.ask(path, question, seconds=time.left(), most_bytes=most_bytes)


class _Time:
    """How much is left of the time that a call has."""

    def __init__(self, seconds: float) -> None:
        self._ends = asyncio.get_running_loop().time() + seconds

    def left(self) -> float:
        return self._ends - asyncio.get_running_loop().time()


def _here(stored: Stored) -> View:
    """Return the view, if it is kept here."""
    moved_to = stored.record.moved_to
    if moved_to is not None:
        raise ViewRefused(
            f"the view was moved to {moved_to}, and is not kept here any more", moved_to=moved_to
        )
    return stored.record.view


def _read(read: Callable[[], Value]) -> Value:
    try:
        return read()
    except _NOT_AN_ANSWER as error:
        why = f" ({error})" if type(error) is ValueError else ""  # Then it is a sentence of ours.
        raise NoAnswer(
            f"what stands in etcd, or is answered, cannot be read{why}", sent=True, unread=True
        ) from error


class EtcdClient:
    """A `Coordinator`: the view of `service`, kept in etcd."""

    def __init__(self, settings: EtcdSettings, service: str, *, timeout_ms: int = TIMEOUT_MS) -> None:
        """Raises ConfigurationError if a certificate or the password cannot be read."""
        self._keeper = EtcdKeeper(settings, service)
        self._timeout = self._allowed = timeout_ms / 1000
        self._under_way: set[asyncio.Task[None]] = set()
        self._met: str | None = None
        self._complained = ""
        self.on_met: Callable[[str | None], None] = lambda _: None
        """Told the id of what keeps the view, when it answers; None when nobody answers any more."""
        self.on_moved: Callable[[str], None] = lambda _: None
        """Told the id of the keeper to which the view was moved, whenever etcd says so."""

    def read(self, on_answer: Callable[[View | None], None], on_silence: OnSilence) -> None:
        """Ask for the view."""
        self._begin(self._keeper.read, on_answer, on_silence)

    def propose(
        self,
        expected: Expected,
        view: View,
        on_answer: Callable[[View | None, bool], None],
        on_silence: OnSilence,
    ) -> None:
        """Propose `view` to follow `expected`."""

        def propose(seconds: float) -> Coroutine[Any, Any, tuple[View | None, bool]]:
            return self._keeper.propose(expected, view, seconds)

        self._begin(propose, lambda answer: on_answer(*answer), on_silence)

    def history(
        self, after: Expected, on_answer: Callable[[list[View]], None], on_silence: OnSilence
    ) -> None:
        """Ask for the views that followed `after`, as many as fit one answer."""
        self._begin(lambda seconds: self._keeper.history(after, seconds), on_answer, on_silence)

    def close(self) -> None:
        """Forget all that is under way, without a word."""
        for task in self._under_way:
            task.cancel()
        self._spawn(self._keeper.close())

    async def closed(self) -> None:
        """Return when it has hung up, after `close`."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _begin(
        self,
        ask: Callable[[float], Awaitable[Value]],
        on_answer: Callable[[Value], None],
        on_silence: OnSilence,
    ) -> None:
        self._spawn(self._work(ask, on_answer, on_silence))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _work(
        self,
        ask: Callable[[float], Awaitable[Value]],
        on_answer: Callable[[Value], None],
        on_silence: OnSilence,
    ) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            answer = await ask(self._allowed)
        except NoAnswer as silence:
            self._allowed = min(2 * self._allowed, PATIENCE * self._timeout)
            self._meet(None)
            if silence.unread:
                self._complain(silence.reason)
            on_silence(f"etcd does not answer: {silence.reason}", silence.sent)
            return
        except ViewRefused as refusal:
            if refusal.moved_to is not None:
                self.on_moved(refusal.moved_to)
            else:
                self._complain(str(refusal))
                self._meet(self._keeper.id)
            on_silence(str(refusal), False)
            return
        except Exception as error:  # Whoever asked has to be answered, whatever it is.
            log.error("this is a bug in bankrmi", exc_info=error)
            on_silence(f"etcd could not be asked: {type(error).__name__}", True)
            return
        self._complained = ""
        took = loop.time() - began
        self._allowed = min(max(self._timeout, 2 * took), PATIENCE * self._timeout)
        self._meet(self._keeper.id)
        on_answer(answer)

    def _complain(self, reason: str) -> None:
        """Say why, once: it is asked for again and again."""
        if reason != self._complained:
            self._complained = reason
            log.error("refused, by what etcd holds", reason=reason)

    def _meet(self, keeper_id: str | None) -> None:
        if keeper_id != self._met:
            self._met = keeper_id
            self.on_met(keeper_id)
