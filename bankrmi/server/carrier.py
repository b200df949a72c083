"""Carries out what the rules want: one piece, for production, the simulator, the searches and the scenarios.

    event ──> Replica.step ──> effects, in order ──> ports

Rule 1: all effects of a step are carried out, one after the other, before the next event is taken; what
        happens meanwhile waits in its order.
Rule 2: a commit is handed to the disk and not waited for; `Committed` is taken when the disk has said that it
        is durable. Once the disk has failed nothing is carried out any more (F1).
Rule 3: every effect has its line here; one without is a type error.
Rule 4: no clock, no socket, no file, no chance: those are ports (`ports`).
"""

from __future__ import annotations

from collections import deque
from typing import Any, assert_never

from bankrmi.replication.effects import (
    Answer,
    Commit,
    Effect,
    FetchCopy,
    InstallCopy,
    Leave,
    Probe,
    Propose,
    Reach,
    Read,
    ReadView,
    Report,
    SendMessage,
    Stop,
)
from bankrmi.replication.events import (
    Committed,
    CoordinatorSilent,
    CopyInstalled,
    Event,
    Proceed,
    Proposed,
    RequestArrived,
    Seen,
    Tick,
    ViewRead,
)
from bankrmi.replication.replica import Replica
from bankrmi.server.ports import Callers, Clock, Copies, Disk, Keeper, Life, Links, Timer, Watcher

__all__ = ["Carrier"]


class Carrier:
    """Drives one `Replica`.  `links` and `copies` are set before the first event."""

    links: Links
    copies: Copies

    def __init__(
        self,
        replica: Replica,
        *,
        clock: Clock,
        disk: Disk,
        keeper: Keeper,
        callers: Callers,
        life: Life,
        watcher: Watcher | None = None,
    ) -> None:
        self.replica = replica
        self.over = False
        self.held = False
        self._clock = clock
        self._disk = disk
        self._keeper = keeper
        self._callers = callers
        self._life = life
        self._watcher = watcher
        self._events: deque[Event] = deque()
        self._duties: deque[Effect] = deque()
        self._running = self._proceeding = False
        self._tick_waits = False
        self._ticker: Timer | None = None

    # -- the process -----------------------------------------------------------------------------

    def tick_every(self, tick_ms: float) -> None:
        """Begin to tick: now, and then every `tick_ms` milliseconds."""
        self._tick(tick_ms, self._clock.now_ms())

    def _tick(self, tick_ms: float, due_ms: float) -> None:
        now_ms = self._clock.now_ms()
        self._ticker = self._clock.after(tick_ms, lambda: self._tick(tick_ms, now_ms + tick_ms))
        if not self._tick_waits:
            self._tick_waits = True
            self.take(Tick(max(0.0, now_ms - due_ms)))

    def end(self) -> None:
        """Take nothing and do nothing any more."""
        self.over = True
        self._events.clear()
        self._duties.clear()
        if self._ticker is not None:
            self._ticker.cancel()

    def hold(self) -> None:
        """Stand still: what arrives waits."""
        self.held = True

    def release(self) -> None:
        """Go on after `hold`, or after a watcher left an effect for later."""
        self.held = False
        self._go_on()

    @property
    def is_between_steps(self) -> bool:
        """Whether all that the rules have wanted so far is carried out."""
        return not self._duties

    # -- events ----------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Give an event to the rules and carry out what they want; at once, unless something is under way."""
        if type(event) is RequestArrived and self._is_idle and self._put(event):
            if not self.held:
                self._proceed_if_there_is_work()
        elif not self.over:
            self._events.append(event)
            self._go_on()

    def _put(self, event: RequestArrived) -> bool:
        """Put a request where it waits for its group, if that is all there is to do: no step of its own."""
        now_ms, watcher = self._clock.now_ms(), self._watcher
        if watcher is None:
            return self.replica.put(event, now_ms=now_ms)
        watcher.taking(event)
        is_put = self.replica.put(event, now_ms=now_ms)
        if is_put:
            watcher.taken(event, ())
        return is_put

    def read_at_once(self, query: Any, seen: Seen | None) -> Read | None:
        """Return what the rules answer to a read that neither they nor anything under way keep waiting.

        None: it has to be an event, and wait for its turn.
        """
        if not self._is_idle:
            return None
        try:
            return self.replica.read_at_once(query, seen, now_ms=self._clock.now_ms())
        except Exception as error:  # As in a step: what cannot be read is a disk that failed, too (F1, F3).
            self._fail(error)
            return None

    @property
    def _is_idle(self) -> bool:
        """Whether nothing is under way, and nothing waits."""
        return not (self._running or self._events or self._duties or self.held or self.over)

    def _go_on(self) -> None:
        if self._running:
            return
        self._running = True
        try:
            self._carry_on()
        except Exception as error:  # Whatever was half done is nothing to go on from (F1, F3).
            self._fail(error)
        finally:
            self._running = False

    def _fail(self, error: Exception) -> None:
        self.end()
        self._life.failed(error)

    def _carry_on(self) -> None:
        duties, events, watcher = self._duties, self._events, self._watcher
        while not (self.held or self.over):
            if duties:
                effect = duties.popleft()
                if watcher is None:
                    self._carry_out(effect)
                elif not watcher.doing(effect):
                    duties.appendleft(effect)
                    return
                elif not self.over:
                    self._carry_out(effect)
            elif events:
                self._step(events.popleft())
            else:
                self._proceed_if_there_is_work()
                return

    def _step(self, event: Event) -> None:
        watcher = self._watcher
        if type(event) is Tick:
            self._tick_waits = False
        if watcher is not None:
            watcher.taking(event)
        effects = self.replica.step(event, now_ms=self._clock.now_ms())
        self._duties.extend(effects)
        if watcher is not None:
            watcher.taken(event, effects)

    def _proceed_if_there_is_work(self) -> None:
        if not self._proceeding and self.replica.has_work:
            self._proceeding = True
            self._clock.soon(self._proceed)

    def _proceed(self) -> None:
        self._proceeding = False
        self.take(Proceed(self._clock.wall_us()))

    # -- effects ---------------------------------------------------------------------------------

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Answer(token=token, reply=reply):
                if token is not None:
                    self._callers.answer(token, reply)
            case SendMessage(to=to, message=message):
                self.links.send(to, message)
            case Commit():
                self._disk.commit(lambda: self._committed(effect))
                return
            case ReadView():
                self._read_view(effect)
            case Propose():
                self._propose(effect)
            case Probe(server=server, epoch=epoch, delay_ms=delay_ms):
                self.links.probe(server, epoch, delay_ms)
            case Reach(servers=servers):
                self.links.reach(servers)
            case FetchCopy(primary=primary):
                self.copies.fetch(primary)
            case InstallCopy():
                self._install_copy(effect)
            case Report(event=event, details=details):
                self._life.report(event, details)
            case Stop():
                self.end()
                self._life.stop("")
            case Leave(why=why):
                self.end()
                self._life.leave(why)
            case _:
                assert_never(effect)
        if self._watcher is not None:
            self._watcher.done(effect)

    def _committed(self, effect: Commit) -> None:
        """The disk says that it is durable; the rules hear of it in its turn."""
        if self.over:
            return
        if self._watcher is not None:
            self._watcher.done(effect)
        self.take(Committed(effect.number))

    def _read_view(self, effect: ReadView) -> None:
        self._keeper.read(
            lambda view: self.take(ViewRead(view, effect.since_epoch)),
            lambda _why, _sent: self.take(CoordinatorSilent(proposal=False)),
        )

    def _propose(self, effect: Propose) -> None:
        self._keeper.propose(
            effect.expected,
            effect.view,
            lambda view, _won: self.take(Proposed(view)),
            lambda _why, sent: self.take(CoordinatorSilent(proposal=True, sent=sent)),
        )

    def _install_copy(self, effect: InstallCopy) -> None:
        self._disk.finish()  # What was asked of the database that goes.
        journal = self.copies.install(effect.adopted)
        if journal is not None:
            self._disk.use(journal)
            self._events.appendleft(CopyInstalled(journal))
