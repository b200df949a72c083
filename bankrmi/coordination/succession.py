"""May this view follow that one?  What the witness decides about a proposal: compare, check, set.  Pure.

Production's witness, the simulated one, the exhaustive search's and the scenarios' all decide by this.

The servers' own rules (V1 to V9) make only legal proposals; this is the second lock on the door, for a server
that is wrong, and for whatever else may speak to the witness.

Rule 1: within a history, the epoch grows by one. Another history begins only with the first view (epoch 1)
        or by force: a forced takeover (V7), or a restore, which needs a witness that holds nothing.
Rule 2: a history that ended never comes back.
Rule 3: a proposal wins once, over the view that it was made for; one that comes twice has won both times: it
        names the process that made it, so nobody else takes its victory for his own.
Rule 4: who leads was in sync before, on the same disk; and only a primary that stays lets others in.
Rule 5: who leads by force is in sync alone: of nobody else is it known what he holds of the new history.
Rule 6: a pause begins and ends in a view of the same primary and members; or it ends with a takeover.
Rule 7: the set of servers, once there, stays; it changes by one server at a time, by a primary that stays,
        and is never that one. Who comes or moves is not in sync (V12).
Rule 8: servers are retired, and reinstated, in a view of the same primary and members; and stay so (V14).
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from bankrmi.coordination.coordinator import Expected
from bankrmi.replication.view import View

__all__ = ["Ruling", "decided", "objection"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What becomes of a proposal."""

    follows: bool = False
    """It has to be kept: it is the view from now on."""
    won: bool = False
    """It is the view, from now on or already."""
    objection: str | None = None
    """Why it can never follow, though it was made for the view that there is."""


def decided(
    current: View | None, expected: Expected, proposed: View, past_histories: Container[str] = ()
) -> Ruling:
    """Return what becomes of a proposal to follow `expected`, where `current` is the view."""
    held = None if current is None else (current.history, current.epoch)
    if held != expected:
        return Ruling(won=current == proposed)
    reason = objection(current, proposed, past_histories)
    return Ruling(objection=reason) if reason is not None else Ruling(follows=True, won=True)


def objection(current: View | None, proposed: View, past_histories: Container[str] = ()) -> str | None:
    """Return why `proposed` can never follow `current`, None if it can."""
    if current is None:
        return _objection_to_a_first(proposed)
    if proposed.epoch != current.epoch + 1:
        return f"epoch {proposed.epoch} cannot follow epoch {current.epoch}"
    if proposed.forced:
        if proposed.history in past_histories or proposed.history == current.history:
            return "a forced takeover begins a history of its own"
        if proposed.in_sync != {proposed.primary}:
            return "who leads by force is in sync alone"
        if proposed.servers != current.servers:
            return "a forced takeover leaves the set of servers as it is"
        if proposed.retired_for != current.retired_for:
            return "a forced takeover reinstates nobody"
        return None if proposed.paused == current.paused else "a forced takeover leaves a pause as it is"
    if proposed.history != current.history:
        return "only a forced takeover begins another history"
    return (
        _objection_to_members(current, proposed)
        or _objection_to_pause(current, proposed)
        or _objection_to_retirement(current, proposed)
    )


def _objection_to_a_first(proposed: View) -> str | None:
    if proposed.epoch < 1:
        return "epochs count from 1"
    if proposed.epoch > 1 and not proposed.forced:
        return "the witness holds no view: the first one has epoch 1, and a restored one is marked as forced"
    return None


def _objection_to_members(current: View, proposed: View) -> str | None:
    leads = proposed.primary
    if current.incarnations.get(leads) != proposed.incarnations[leads]:
        return f"{leads}, on the disk that it has now, is not in sync, and leads only by force"
    kept = proposed.incarnations.items() & current.incarnations.items()
    if leads != current.primary and len(kept) < len(proposed.in_sync):
        return "only the primary lets servers in"
    return _objection_to_servers(current, proposed)


def _objection_to_servers(current: View, proposed: View) -> str | None:
    before, after = current.servers, proposed.servers
    if before == after:
        return None
    if after is None:
        return "it forgets which servers there are"
    if proposed.primary != current.primary:
        return "only a primary that stays adds, removes or moves servers"
    if before is None:
        return None  # They were those of the primary's configuration.
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if len(changed) > 1:
        return f"it changes more than one server: {', '.join(changed)}"
    if proposed.primary in changed:
        return f"{proposed.primary} leads, and moves itself"
    if not proposed.in_sync.isdisjoint(changed):
        return f"{changed[0]} lives elsewhere than before, and is called in sync"
    return None


def _objection_to_retirement(current: View, proposed: View) -> str | None:
    if proposed.retired_for == current.retired_for:
        return None
    if (proposed.primary, proposed.incarnations) == (current.primary, current.incarnations):
        return None
    return "to retire the servers, or to reinstate them, changes nothing else"


def _objection_to_pause(current: View, proposed: View) -> str | None:
    if proposed.paused == current.paused:
        return None
    if proposed.primary == current.primary:
        same = proposed.incarnations == current.incarnations
        return None if same else "to pause or to resume changes nothing else"
    if proposed.paused is None and proposed.handed_over_by is None:
        return None
    return "whoever takes over pauses nothing"
