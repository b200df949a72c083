"""What a load balancer is told of a server.

Rule 1: `/primary` and `/standby` are never both well, and a primary that can acknowledge nothing is not.
Rule 2: it is a hint, as a name is: who is asked by mistake says who leads, and does nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from bankrmi.metrics.health import Checks, Health, alive
from bankrmi.replication.condition import Condition
from bankrmi.replication.roles import Role
from bankrmi.server.status import Fetched, why_not_in_sync

__all__ = ["checks_of"]


def checks_of(
    condition: Callable[[], Condition], fetched: Callable[[], Fetched | None], *, left_behind_ms: float
) -> Checks:
    """Return what may be asked of a server; `fetched` tells how much it has of a copy.

    A standby that has heard nothing for longer than `left_behind_ms` may be in sync no more, and not know it.
    """

    def ready() -> Health:
        now = condition()
        return _has_role(now, now.role, fetched(), left_behind_ms)

    def has(role: Role) -> Callable[[], Health]:
        return lambda: _has_role(condition(), role, fetched(), left_behind_ms)

    return {
        "/health": alive,
        "/ready": ready,
        "/primary": has(Role.PRIMARY),
        "/standby": has(Role.STANDBY),
    }


def _has_role(now: Condition, wanted: Role, fetched: Fetched | None, left_behind_ms: float) -> Health:
    """Whether it has that role, and can do what it is for."""
    why = why_not_in_sync(now, fetched)
    if why is not None:
        return Health(False, f"{now.role.value}: {why}")
    silent_ms = now.primary_silent_ms or 0.0
    if silent_ms > left_behind_ms:
        return Health(
            False, f"{now.role.value}: nothing was heard of the primary for {silent_ms / 1000:.1f} s"
        )
    said = f"{now.role.value}, epoch {now.epoch or 0}, action id {now.tip.action_id}"
    if now.acknowledges is False:
        return Health(False, f"{said}; nothing is acknowledged before the view changes")
    return Health(now.role is wanted, said)
