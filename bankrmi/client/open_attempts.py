"""Which attempts of a call are open, and when is each one to be sent on, pinged, or taken for silent?

An attempt is one connection, and what was sent on it. It is open until it failed, or broke, or makes room for
another one to the same server; to one server there are two at most. `attempts` decides what follows.

Rule 1: slow is not dead. A server is *silent* when there was no sign of life for the patience: no greeting,
        no answer, no answer to the ping at half of it. Until then it is waited for. A ping that went out late
        (this process stood still, or asked somebody else) has its half of the patience all the same.
Rule 2: a sign of life that another call of this client had from the same server counts, but not for ever:
        this connection may be broken all the same.
Rule 3: a server that was silent gets a second connection from time to time, ever more seldom. If it greets
        there, and still is not heard on the first, the first is broken, and the request goes out again;
        else no server is sent it twice.
Rule 4: nothing here reads a clock; the caller brings the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto

from bankrmi.client.decisions import Candidate, Ping, Send
from bankrmi.client.signs import Signs

__all__ = ["OpenAttempt", "OpenAttempts", "Stage"]

_DOUBLINGS = 2
"""A server that answers pings is pinged after half the patience, the whole, and then twice the patience."""

_OWN_PATIENCES = 8
"""How many patiences may pass without a sign of life on a connection, if others hear the same server."""

_RENEWALS = 3
"""A server that was silent gets a second connection after two patiences, then after 4 and 8, never longer."""


class Stage(Enum):
    """How far an attempt has come."""

    CONNECTING = auto()
    GREETED = auto()
    ASKED = auto()


class OpenAttempt:
    """One connection, and what was sent on it."""

    __slots__ = (
        "begun_ms",
        "candidate",
        "enquires",
        "heard_ms",
        "number",
        "patience_ms",
        "pinged_ms",
        "stage",
    )

    def __init__(self, number: int, candidate: Candidate, now_ms: int, patience_ms: int, *, enquires: bool):
        self.number = number
        self.candidate = candidate
        self.enquires = enquires
        self.stage = Stage.CONNECTING
        self.begun_ms = self.heard_ms = now_ms
        self.patience_ms = patience_ms
        self.pinged_ms: int | None = None  # Since it was last heard.

    @property
    def has_the_request(self) -> bool:
        """Whether the server may have taken it."""
        return self.stage is Stage.ASKED and not self.enquires


class OpenAttempts:
    """Those of one call, in the order in which they began, and which servers were silent.

    "Never" is the deadline of the call.
    """

    __slots__ = ("_deadline_ms", "_numbers", "_open", "_patience_ms", "_renewals", "_signs", "_silent")

    def __init__(self, *, deadline_ms: int, patience_ms: int, signs: Signs) -> None:
        self._deadline_ms = deadline_ms
        self._patience_ms = patience_ms
        self._signs = signs
        self._open: dict[int, OpenAttempt] = {}
        self._numbers = 0
        self._renewals = 0
        self._silent: set[Candidate] = set()  # And not heard since.

    def __iter__(self) -> Iterator[OpenAttempt]:
        return iter(self._open.values())

    def find(self, number: int) -> OpenAttempt | None:
        """Return the attempt of this number, unless it is closed."""
        return self._open.get(number)

    @property
    def is_under_way(self) -> bool:
        """Whether a server may have taken the request, and its answer may still come."""
        return any(attempt.has_the_request for attempt in self)

    @property
    def slow_server(self) -> str | None:
        """Return who has the request, and is not silent."""
        for attempt in self:
            if attempt.has_the_request and attempt.candidate not in self._silent:
                return attempt.candidate.server
        return None

    def is_silent(self, candidate: Candidate) -> bool:
        """Whether it was silent, and not heard since."""
        return candidate in self._silent

    def has(self, candidate: Candidate, now_ms: int) -> bool:
        """Whether anything is under way there; an enquiry that hangs is nothing."""
        return any(attempt.candidate == candidate and not self._hangs(attempt, now_ms) for attempt in self)

    def _hangs(self, attempt: OpenAttempt, now_ms: int) -> bool:
        return attempt.enquires and now_ms - attempt.heard_ms >= self._patience_ms

    # --- from the beginning to the end ------------------------------------------------------------------

    def make_room(self, candidate: Candidate) -> OpenAttempt | None:
        """Two connections to a server are enough: close the one that has to go for another, and return it.

        Of two that are not greeted yet the younger one: the older one has waited, and may be greeted soon.
        """
        there = [one for one in self if one.candidate == candidate]
        self._renewals += any(not one.enquires for one in there)
        goes = next((one for one in there if one.enquires), None)
        if goes is None and len(there) > 1:
            goes = next((one for one in reversed(there) if not one.has_the_request), there[0])
        if goes is not None:
            self.close(goes)
        return goes

    def begin(self, candidate: Candidate, now_ms: int, *, enquires: bool) -> int:
        """Open another one, and return its number."""
        self._numbers += 1
        self._open[self._numbers] = OpenAttempt(
            self._numbers, candidate, now_ms, self._patience_ms, enquires=enquires
        )
        return self._numbers

    def begin_asked(self, candidate: Candidate, now_ms: int) -> None:
        """Open the first one, on a connection that was there already, with the request sent at once."""
        self._open[self.begin(candidate, now_ms, enquires=False)].stage = Stage.ASKED

    def send(self, attempt: OpenAttempt, now_ms: int) -> Send:
        """From now on the server may have what is sent."""
        attempt.stage = Stage.ASKED
        attempt.heard_ms = now_ms
        return Send(attempt.number, attempt.enquires)

    def ping(self, attempt: OpenAttempt, now_ms: int) -> Ping:
        """Ask for a sign of life, for all calls of this client."""
        attempt.pinged_ms = now_ms
        self._signs.ping(attempt.candidate, now_ms)
        return Ping(attempt.number)

    def hear(self, attempt: OpenAttempt, now_ms: int) -> None:
        """Note a sign of life, for all calls of this client."""
        attempt.heard_ms = now_ms
        attempt.pinged_ms = None
        self._silent.discard(attempt.candidate)
        self._signs.hear(attempt.candidate, now_ms)

    def have_more_patience(self, attempt: OpenAttempt) -> None:
        """It answers pings: ping it less often."""
        attempt.patience_ms = min(2 * attempt.patience_ms, self._patience_ms << _DOUBLINGS)

    def fall_silent(self, candidate: Candidate) -> None:
        """Note that there was no sign of life."""
        self._silent.add(candidate)

    def close(self, attempt: OpenAttempt) -> None:
        """Nothing of it counts any more."""
        del self._open[attempt.number]

    # --- times ------------------------------------------------------------------------------------------

    def next_due_ms(self, now_ms: int) -> int:
        """Return when the next one is to be sent on, or pinged, or counts as silent."""
        due_ms = self._deadline_ms
        for attempt in self:
            if attempt.stage is Stage.GREETED:
                due_ms = min(due_ms, self.send_at_ms(attempt))
            elif not attempt.enquires:
                silent_at_ms = self.silent_at_ms(attempt)
                if now_ms < silent_at_ms:
                    due_ms = min(due_ms, silent_at_ms, self.ping_at_ms(attempt))
        return due_ms

    def send_at_ms(self, attempt: OpenAttempt) -> int:
        """Return when to send: now; or, if the server has the request, when that connection is broken."""
        if attempt.enquires:
            return attempt.heard_ms
        for other in self._asked(attempt.candidate):
            if other.has_the_request:
                if other.heard_ms >= attempt.heard_ms:
                    return self._deadline_ms
                return attempt.heard_ms + self._patience_ms
        return attempt.heard_ms

    def silent_at_ms(self, attempt: OpenAttempt) -> int:
        """Return from when on it counts as silent, unless it is heard before."""
        quiet_since_ms = self._quiet_since_ms(attempt)
        silent_at_ms = min(
            quiet_since_ms + attempt.patience_ms, attempt.heard_ms + _OWN_PATIENCES * self._patience_ms
        )
        if attempt.stage is Stage.ASKED:
            pinged_ms = attempt.pinged_ms
            if pinged_ms is None:  # Then another call's ping counts.
                pinged_ms = self._signs.pinged_ms(attempt.candidate)
            silent_at_ms = max(silent_at_ms, pinged_ms + attempt.patience_ms // 2)
        return silent_at_ms

    def ping_at_ms(self, attempt: OpenAttempt) -> int:
        """Return when to ask for a sign of life: later if another call has done so; never if this one has."""
        if attempt.pinged_ms is not None or attempt.stage is not Stage.ASKED:
            return self._deadline_ms
        own_ms = attempt.heard_ms + _OWN_PATIENCES * self._patience_ms // 2
        quiet_since_ms = self._quiet_since_ms(attempt)
        if self._signs.pinged_ms(attempt.candidate) > quiet_since_ms:
            return own_ms
        return min(own_ms, quiet_since_ms + attempt.patience_ms // 2)

    def renewal_at_ms(self, candidate: Candidate) -> int:
        """Return from when on a server may be connected to (again)."""
        asked = self._asked(candidate)
        if not asked:
            return 0
        if len(asked) > 1 and any(one.stage is Stage.GREETED for one in asked):
            return self._deadline_ms  # Its second connection is ready.
        heard_ms = max(one.heard_ms for one in asked)
        return heard_ms + (self._patience_ms << min(1 + self._renewals, _RENEWALS))

    def _quiet_since_ms(self, attempt: OpenAttempt) -> int:
        return max(attempt.heard_ms, self._signs.heard_ms(attempt.candidate))

    def _asked(self, candidate: Candidate) -> list[OpenAttempt]:
        return [one for one in self if one.candidate == candidate and not one.enquires]
