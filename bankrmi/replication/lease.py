"""Who may read, and who may lead.  Pure arithmetic; the caller brings the time.

Rule 1: every line that compares a lease with a clock lives in this file.
Rule 2: nothing here reads a clock, so nothing here can be flaky.
Rule 3: a primary counts its lease from the *sending* of what was acknowledged; the one who acknowledged
        counts from the arrival, which is later.  So the primary always stops first.
Rule 4: the primary says in the message how long a lease is; whoever acknowledges that has granted that much,
        whatever its own configuration says.
Rule 5: a refusal proves that nobody lives at the address that was looked at. It ends a lease of whoever said
        that it lived there (V12), and of nobody else.
Rule 6: lengths are whole milliseconds, moments are not; nothing else tells them apart.
Assumption: two clocks (CLOCK_BOOTTIME) drift apart by less than the primary's `drift_ms` within its lease.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import ceil, inf

from bankrmi.replication.journal import Adopted
from bankrmi.replication.settings import Settings

__all__ = ["Grants", "binding_ms", "first_grants", "holds_until", "read_lease_ends_ms", "read_lease_left_ms"]


def binding_ms(lease_ms: float, drift_ms: float) -> int:
    """Return for how long such a lease binds whoever grants it; it began before the grant, and may drift."""
    return ceil(lease_ms + drift_ms) if lease_ms > 0 else 0


def read_lease_ends_ms(lease_ms: float, drift_ms: float, confirmed_at_ms: Iterable[float]) -> float:
    """Return until when a primary may answer from its own copy, unless it hears more (R2).

    `confirmed_at_ms` holds, for every other member (there is one), the sending time of the newest message
    that it acknowledged in this epoch.
    """
    return min(confirmed_at_ms) + lease_ms - drift_ms if lease_ms > 0 else -inf


def holds_until(end_ms: float, now_ms: float) -> bool:
    """Return whether what holds until `end_ms` still does."""
    return end_ms - now_ms > 0


def read_lease_left_ms(
    now_ms: float, lease_ms: float, drift_ms: float, confirmed_at_ms: Iterable[float]
) -> float:
    """Return for how long a primary may still answer from its own copy (R2); 0 or less: not any more."""
    if lease_ms <= 0:
        return 0.0
    return read_lease_ends_ms(lease_ms, drift_ms, [*confirmed_at_ms] or [now_ms]) - now_ms


@dataclass(slots=True)
class _Grant:
    start_id: str | None  # None: which process it was is not known, because we have started since.
    at_ms: float
    length_ms: int
    older_until_ms: float = float("-inf")  # What processes before this one were granted is over by then.

    @property
    def over_at_ms(self) -> float:
        return max(self.at_ms + self.length_ms, self.older_until_ms)


_Holder = tuple[str, str | None]
"""A server, and where it said that it lives; None: we have started since, and that is forgotten."""

_REMEMBERED = 64
"""Holders, beyond which those are forgotten whose lease is over."""


class Grants:
    """The leases that this server has granted by acknowledging; it leads when all are over (R3)."""

    def __init__(self) -> None:
        self._granted: dict[_Holder, _Grant] = {}
        self._answers: dict[
            str, tuple[str, float, str]
        ] = {}  # What came before it was known who lived where.

    def acknowledged(self, server: str, address: str, start_id: str, now_ms: float, length_ms: int) -> None:
        """Something that this process sent, as a primary, arrived at `now_ms`: to acknowledge it binds.

        `address` is where it says that others call it.
        """
        if len(self._granted) >= _REMEMBERED:
            self._granted = {who: one for who, one in self._granted.items() if one.over_at_ms > now_ms}
        known = self._granted.get((server, address))
        older_until_ms = float("-inf")
        if known is not None:
            older_until_ms = known.older_until_ms if known.start_id == start_id else known.over_at_ms
        if older_until_ms <= now_ms:
            older_until_ms = float("-inf")
        self._granted[server, address] = _Grant(start_id, now_ms, length_ms, older_until_ms)

    def started(
        self, servers: Iterable[str], now_ms: float, length_ms: int, *, last_primary: str, last_start_id: str
    ) -> None:
        """This process is new: what the one before it acknowledged, and when, is forgotten.

        Only of the newest adopted epoch is it known which process led it; of all that was granted, only how
        long the longest of it was.
        """
        for server in servers:
            start_id = last_start_id if server == last_primary else None
            self._granted[server, None] = _Grant(start_id, now_ms, length_ms)

    def lived(self, address_of: Callable[[str], str]) -> None:
        """The view is known: whoever led lived where it says, as far as that was forgotten (V12).

        It is no older than what was adopted, so either he lives there still, or his lease is over.
        """
        for server in [server for server, address in self._granted if address is None]:
            forgotten, holder = self._granted.pop((server, None)), (server, address_of(server))
            since = self._granted.setdefault(holder, forgotten)
            if since.start_id != forgotten.start_id:
                since.older_until_ms = max(since.older_until_ms, forgotten.over_at_ms)
        answers, self._answers = self._answers, {}
        for server, (start_id, begun_ms, address) in answers.items():
            self.answered(server, address, start_id, begun_ms)

    def longest_ms(self, now_ms: float) -> int:
        """Return how long the longest lease is that is not over: a process after this one has to know."""
        open_ms = [
            grant.length_ms for grant in self._granted.values() if grant.at_ms + grant.length_ms > now_ms
        ]
        older_ms = [
            ceil(grant.older_until_ms - now_ms)
            for grant in self._granted.values()
            if grant.older_until_ms > now_ms
        ]
        return max([*open_ms, *older_ms], default=0)

    def refused(self, server: str, address: str, begun_ms: float) -> None:
        """A connection tried at `begun_ms` was refused: no process of that server lives there (R3)."""
        grant = self._granted.get((server, address))
        if grant is not None and grant.at_ms <= begun_ms:
            del self._granted[server, address]

    def answered(self, server: str, address: str, start_id: str, begun_ms: float) -> None:
        """Asked at `begun_ms`, the server answered there as the process `start_id`: any other one is gone."""
        if (server, None) in self._granted:
            self._answers[server] = (start_id, begun_ms, address)
        grant = self._granted.get((server, address))
        if (
            grant is not None
            and grant.at_ms <= begun_ms
            and grant.start_id is not None
            and grant.start_id != start_id
        ):
            del self._granted[server, address]

    def handed_over(self, server: str) -> None:
        """The server gave the lead away; it had stopped answering before it proposed to (V5)."""
        for holder in [holder for holder in self._granted if holder[0] == server]:
            del self._granted[holder]

    def over_at_ms(self) -> float:
        """Return when every lease granted is over."""
        return max((grant.over_at_ms for grant in self._granted.values()), default=float("-inf"))


def first_grants(settings: Settings, adopted: Adopted | None, now_ms: float) -> Grants:
    """What the process before this one acknowledged, and when, is not known any more (R3).

    Unless it led: then it had waited for all of that, and acknowledged nothing since.
    """
    grants = Grants()
    if adopted is not None and adopted.primary != settings.server:
        length_ms = adopted.granted_ms
        if length_ms is None:  # By a version in which both were taken for equal.
            length_ms = binding_ms(settings.lease_ms, settings.drift_ms)
        grants.started(
            # Whoever led last may have come after the configuration was written.
            dict.fromkeys([*settings.others, adopted.primary]),
            now_ms,
            length_ms,
            last_primary=adopted.primary,
            last_start_id=adopted.start_id,
        )
    return grants
