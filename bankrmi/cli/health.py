"""Is this bank well? Judged by the dictionary of `client.overview`; the worst that is wrong comes first.
Pure.

Rule: a bank is well if somebody leads, can acknowledge, and could be replaced; whatever is not so has a code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bankrmi.cli.exit_codes import ExitCode, HealthCode

__all__ = ["Status", "health", "missed"]

Status = Mapping[str, Any]


def health(status: Status) -> tuple[int, str]:
    """Return the exit code of `status --check`, and its sentence."""
    if not any(part["reachable"] for part in (*status["servers"], status["witness"], status["nameserver"])):
        return ExitCode.UNREACHED, "nobody answers: no server, no witness, no name server"
    return _leading(status) or _acknowledging(status) or _copies(status) or _witness(status) or _well(status)


def _leading(status: Status) -> tuple[int, str] | None:
    view = status["view"]
    leaders = [one["server"] for one in status["servers"] if one["reachable"] and one["role"] == "primary"]
    if view is None:
        return None if leaders else (HealthCode.NOBODY_LEADS, "nobody leads: no view is known")
    primary = view["primary"]
    if primary in leaders:
        return None
    one = _named(status, primary)
    if one.get("reachable"):
        how = one.get("why") or f"is {one['role']}"
    else:
        how = one.get("reason", "not configured")
    return HealthCode.NOBODY_LEADS, f"nobody leads: {primary} does not ({how}){_only_copy(status)}"


def _only_copy(status: Status) -> str:
    """Return why no other server takes over from a primary that is away, as the end of a sentence."""
    view = status["view"]
    if view is None or len(view["in_sync"]) != 1:
        return ""
    primary = view["primary"]
    if _named(status, primary).get("reachable", True):
        return ""
    return f"; nobody else may, for only {primary} is known to hold everything: start it again"


def _acknowledging(status: Status) -> tuple[int, str] | None:
    view = status["view"]
    if view is None:
        return None
    waited_for = missed(status)
    if waited_for:
        names = ", ".join(waited_for)
        return (
            HealthCode.NOTHING_ACKNOWLEDGED,
            f"nothing is acknowledged without {names}, until the view changes",
        )
    copies, needed = len(view["in_sync"]), status.get("copies_min", 1)
    if copies < needed:
        return HealthCode.NOTHING_ACKNOWLEDGED, f"nothing is acknowledged on {copies} of {needed} copies"
    return None


def missed(status: Status) -> list[str]:
    """Return the copies that count and cannot be reached: for a moment, or while the witness is away."""
    return [one["server"] for one in status["servers"] if one.get("in_sync") and not one["reachable"]]


def _copies(status: Status) -> tuple[int, str] | None:
    view = status["view"]
    if view is None or len(view["in_sync"]) > 1 or len(status["servers"]) == 1:
        return None
    return HealthCode.ONE_COPY, f"ONE COPY ONLY: what {view['primary']} holds is all there is"


def _witness(status: Status) -> tuple[int, str] | None:
    if not status["witness"]["reachable"]:
        return HealthCode.NO_WITNESS, "the witness cannot be reached: no change of primary until it can"
    if status["view"] is None:
        return HealthCode.NO_WITNESS, "the witness has lost its memory: run `bankrmi witness restore`"
    return None


def _well(status: Status) -> tuple[int, str]:
    view = status["view"]
    return ExitCode.DONE, f"well: {view['primary']} leads, {len(view['in_sync'])} copies in sync"


def _named(status: Status, name: str) -> Status:
    return next((one for one in status["servers"] if one["server"] == name), {})
