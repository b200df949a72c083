"""Places at which a test can make the process kill itself, as a power cut would.

    BANKRMI_FAILPOINT=before-commit:group:3             kill -9 at the third time that place is reached
    BANKRMI_FAILPOINT=on-signal:before-commit:group:1   ... counted from the first SIGUSR1 on

Places, in the order in which one withdrawal passes them:

    before-apply                 the primary is about to decide a group of requests
    checkpoint-sent              the primary has sent entries to a standby (committed: neither here nor there)
    before-commit:group          the primary is about to make a group durable
    after-commit:group           it is durable, and the answer has not left
    before-commit:checkpoint     a standby is about to make durable what it got
    after-commit:checkpoint      it is durable, and the acknowledgement has not left
    before-answer                everything is acknowledged, and the client has not been told

and around each change of view, of every kind (first, start-again, take-over, go-alone, let-in, switchover):

    before-proposal:KIND         the witness has not been asked
    proposal-sent:KIND           it has been, and may have said yes
    after-proposal:KIND          it has answered; nobody acts on it yet
    before-commit:lead           the epoch was won, and is about to be adopted durably
    after-commit:lead            it is adopted; nothing was done in it

and when a joiner has fetched a copy of the database: before-install, after-install.

Rule 1: without the variable there is nobody who watches for places, and they cost nothing.
Rule 2: a place that does not exist is refused when the process starts, or a test would wait for ever.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence

from bankrmi.errors import ConfigurationError
from bankrmi.replication.effects import Answer, Commit, Decided, Effect, InstallCopy, Propose, SendMessage
from bankrmi.replication.events import Event, Proceed, Proposed
from bankrmi.replication.messages import Checkpoint
from bankrmi.replication.view import View

__all__ = ["PLACES", "PROPOSALS", "VARIABLE", "Failpoints", "kind_of_proposal"]

VARIABLE = "BANKRMI_FAILPOINT"

_ON_SIGNAL = "on-signal:"
PROPOSALS = ("first", "start-again", "take-over", "go-alone", "let-in", "switchover")
_COMMITS = ("group", "checkpoint", "lead")

PLACES = frozenset(
    {
        *("before-apply", "checkpoint-sent", "before-answer", "before-install", "after-install"),
        *(f"{place}:{purpose}" for place in ("before-commit", "after-commit") for purpose in _COMMITS),
        *(
            f"{place}:{kind}"
            for place in ("before-proposal", "proposal-sent", "after-proposal")
            for kind in PROPOSALS
        ),
    }
)
"""The names that the variable may carry, each followed by a colon and a count."""


def kind_of_proposal(before: View | None, proposed: View) -> str:
    """Return what changes if `proposed` follows `before`, in a word of `PROPOSALS`."""
    if before is None:
        return "first"
    if proposed.handed_over_by is not None:
        return "switchover"
    if proposed.primary != before.primary:
        return "take-over"
    if proposed.in_sync == before.in_sync and proposed.incarnations == before.incarnations:
        return "start-again"
    return "go-alone" if proposed.in_sync < before.in_sync else "let-in"


def _armed(wanted: str) -> Callable[[str, str], None]:
    place, _, count = wanted.removeprefix(_ON_SIGNAL).rpartition(":")
    if place not in PLACES or not count.isdecimal() or int(count) < 1:
        raise ConfigurationError(f"{VARIABLE}={wanted}: there is no such place (PLACE:COUNT, a count from 1)")
    left = int(count)
    counting = not wanted.startswith(_ON_SIGNAL)

    def begin(*_: object) -> None:
        nonlocal counting
        counting = True

    if not counting:
        signal.signal(signal.SIGUSR1, begin)

    def reach(name: str, kind: str) -> None:
        nonlocal left
        if counting and place == (f"{name}:{kind}" if kind else name):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return reach


class Failpoints:
    """Reaches the places, as a carrier gets to them (see `ports.Watcher`)."""

    def __init__(self, reach: Callable[[str, str], None], view: Callable[[], View | None]) -> None:
        self._reach = reach
        self._view = view
        self._proposed = ""

    @classmethod
    def armed(cls, view: Callable[[], View | None]) -> Failpoints | None:
        """Return what the variable asks for; None without it.  `view` tells the newest view known."""
        wanted = os.environ.get(VARIABLE)
        return cls(_armed(wanted), view) if wanted else None

    def taking(self, event: Event) -> None:
        match event:
            case Proceed():
                self._reach("before-apply", "")
            case Proposed():
                self._reach("after-proposal", self._proposed)

    def taken(self, event: Event, effects: Sequence[Effect]) -> None:
        """No place is here."""

    def doing(self, effect: Effect) -> bool:
        match effect:
            case Commit(purpose=purpose):
                self._reach("before-commit", purpose)
            case Answer(reply=Decided()):
                self._reach("before-answer", "")
            case Propose(view=view):
                self._proposed = kind_of_proposal(self._view(), view)
                self._reach("before-proposal", self._proposed)
            case InstallCopy():
                self._reach("before-install", "")
        return True

    def done(self, effect: Effect) -> None:
        match effect:
            case Commit(purpose=purpose):
                self._reach("after-commit", purpose)
            case SendMessage(message=Checkpoint(records=records)) if records:
                self._reach("checkpoint-sent", "")
            case Propose():
                self._reach("proposal-sent", self._proposed)
            case InstallCopy():
                self._reach("after-install", "")
