"""One call, told step by step what came of its attempts: for the tests of `Attempts`."""

from __future__ import annotations

from bankrmi.client.attempts import Attempts
from bankrmi.client.decisions import (
    Candidate,
    Connect,
    Decision,
    Failed,
    Finish,
    Greeted,
    News,
    Ping,
    Send,
    Unconnected,
    Wait,
)
from bankrmi.client.signs import Signs
from bankrmi.errors import AccessDenied, BankError, Busy, NotPrimary

S1, S2, S3 = (Candidate(f"s{number}", f"127.0.0.1:910{number}") for number in (1, 2, 3))
REFUSED = Unconnected("connection refused")
DENIED = Failed(AccessDenied("clients only"))
BUSY = Failed(Busy("too much to do"))
NOT_PRIMARY = Failed(NotPrimary("another leads"))


class Asking:
    """One call, told step by step; `draw` is always 1, so each pause is as long as it may be."""

    def __init__(self, *candidates: Candidate, signs: Signs | None = None, **changes: object) -> None:
        settings: dict[str, object] = {
            "deadline_ms": 10_000,
            "patience_ms": 300,
            "request_id": "a:1",
            "draw": lambda: 1.0,
            **changes,
        }
        self.attempts = Attempts(candidates or (S1, S2), signs=signs or Signs(), **settings)  # type: ignore[arg-type]
        self.number = 0

    def decides(self, now_ms: int = 0) -> Decision:
        return self.attempts.decide(now_ms)

    def connects(self, now_ms: int = 0) -> Candidate:
        decision = self.decides(now_ms)
        assert isinstance(decision, Connect), decision
        self.number = decision.number
        return decision.candidate

    def sends(self, now_ms: int = 0) -> bool:
        """Return whether it only enquires."""
        self.hears(Greeted(), now_ms)
        decision = self.decides(now_ms)
        assert isinstance(decision, Send), decision
        assert decision.number == self.number
        return decision.enquires

    def asks(self, now_ms: int = 0) -> Candidate:
        candidate = self.connects(now_ms)
        assert not self.sends(now_ms)
        return candidate

    def hears(self, news: News, now_ms: int = 0, *, number: int | None = None) -> None:
        self.attempts.observe(number or self.number, news, now_ms)

    def waits(self, now_ms: int) -> int:
        decision = self.decides(now_ms)
        assert isinstance(decision, Wait), decision
        return now_ms + decision.wait_ms

    def pings(self, now_ms: int) -> int:
        decision = self.decides(now_ms)
        assert isinstance(decision, Ping), decision
        return decision.number

    def ends(self, now_ms: int = 0) -> BankError | None:
        decision = self.decides(now_ms)
        assert isinstance(decision, Finish), decision
        return decision.error

    def falls_silent(self, begun_ms: int) -> int:
        """The server that was just asked says nothing, not to a ping either: return when that shows."""
        at_ms = self.waits(begun_ms)
        assert self.pings(at_ms) == self.number
        return self.waits(at_ms)
