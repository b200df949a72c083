"""The witness lost its disk: which view, if any, is safe, judged by what the servers hold?  Pure.

Everything here rests on one sentence of the design: whoever acts in an epoch has adopted it durably before,
its primary first. So, E being the highest epoch that any server has adopted, nothing was ever acknowledged in
an epoch above E; and *the primary of E holds everything that was ever acknowledged*, on any server, in any
epoch: what was acknowledged before E it held as a member that was in sync (V1 to V5 let nobody else lead),
and in E nothing is acknowledged that is not durable on it. The same holds for every other member of view E,
by the definition of "in sync", as long as it still has the disk that the view names.

The longest journal, or the newest by Raft's comparison, is *not* safe here. The primary of e1 journals x,
which reaches the standby; it dies before its own commit, starts again in e2, journals y in x's place, and is
silent again; the standby takes over in e3 and acknowledges x, which it inherited, without writing anything
new. Now the newest entry is y, of e2, and x, of e1, is the acknowledged one. (Raft never acknowledges an
inherited entry by itself; we do.) What tells the two apart is who has adopted e3.

So there is a safe view if
- every configured server answers: one that cannot be asked may have led, alone, in a higher epoch. So may one
  that is empty, if it was not always empty; it was, if all others remember the view that they acted in, it is
  not in it, and they proposed nothing since. The operator can give servers up, with all that only they had;
- all of them are fenced, for they found no view, and will answer nobody until there is one; or what they hold
  could change behind our back. (`foreseen`: before anybody is fenced, an operator is shown what would be
  safe if everybody were now. That is not yet a view to propose.)
- all that hold something are of one history;
- a server is left that is known to hold everything by the rule above: the primary of E if it has adopted E,
  else a member of the newest view that any server remembers, if nobody adopted a higher epoch, on the disk
  that is named in it. Of several, one is as safe as another; the primary is taken, or else the newest copy.

The new view: a history of its own (what is still on its way under the old one then fits nothing, and old and
new action ids are never compared), an epoch far above E, and that one server alone in sync: the others join
it, roll back to what they have in common, and only then count again. Far above: epochs may have been won in
which nobody acted, and news of them may be on its way; a server follows what is newer, of whatever history,
so none of them may be as high as the new one. If none is safe after all, though everybody is fenced by now,
the view before the loss may be (`unchanged`): it is, if all its members answer, and know of nothing that may
have followed it. With it everybody goes on.
Assumption: the rules were kept until the loss. A server put back from a backup breaks it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bankrmi.replication.cause import OPERATOR, Cause, CauseKind
from bankrmi.replication.messages import Holdings
from bankrmi.replication.view import View

__all__ = ["EPOCHS_UNHEARD", "NoSafeView", "SafeView", "decide", "unchanged"]

EPOCHS_UNHEARD = 1000
"""More epochs than are ever won one after the other with nobody acting in any: each takes a process that
proposes it, and ends before it has adopted it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeView:
    """The view to propose, and in one sentence why."""

    view: View
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSafeView:
    """There is none, and in one sentence why."""

    why: str


def decide(
    configured: Sequence[str],
    answers: Mapping[str, Holdings | str],
    *,
    new_history: str,
    given_up: Collection[str] = (),
    foreseen: bool = False,
) -> SafeView | NoSafeView:
    """Return the only safe view, or why there is none; if `foreseen`, as it would be if all were fenced now.

    `answers` has the holdings of each server that answered, the reason (a text) for each that did not.
    `given_up` names the servers that the operator declares lost, with everything that only they held.
    """
    asked = [name for name in configured if name not in given_up]
    moves = None if foreseen else _not_fenced(configured, answers)
    why = _unheard(asked, answers) or moves or _wiped(asked, answers)
    if why is not None:
        return NoSafeView(why=why)
    everyone = [one for name in asked if isinstance(one := answers[name], Holdings)]
    holdings = [one for one in everyone if one.history is not None]
    if not holdings:
        return NoSafeView(why="no server holds anything: a new bank makes its first view by itself")
    histories = sorted({str(one.history) for one in holdings})
    if len(histories) > 1:
        which = ", ".join(histories)
        return NoSafeView(why=f"the servers are of different histories ({which}): nothing tells which counts")
    chosen = _chosen(holdings, new_history)
    if isinstance(chosen, NoSafeView):
        return chosen
    return replace(chosen, view=chosen.view.because(_cause(given_up)))


def _cause(given_up: Collection[str] = ()) -> Cause:
    return Cause(
        kind=CauseKind.FORCED if given_up else CauseKind.RESTORED, by=OPERATOR, of=tuple(sorted(given_up))
    )


def unchanged(answers: Mapping[str, Holdings | str]) -> View | None:
    """Return the view that was before the loss, if it is certain that none followed it; else None.

    Only a member proposes what follows. All of them are here, on their disks, are fenced, and have proposed
    nothing that may have won; and nobody acted in a newer epoch. (A process before them may have won one,
    unheard. It ended before it adopted it, so nobody ever acted in it, nor will: its start id is gone.)
    """
    holdings = [one for one in answers.values() if isinstance(one, Holdings) and one.history is not None]
    view = _newest_view(holdings)
    if view is None or any(one.epoch > view.epoch or one.history != view.history for one in holdings):
        return None
    members = [one for one in holdings if view.names(one.server, one.incarnation)]
    sure = all(one.fenced and one.last_view == view and not one.may_have_moved_on for one in members)
    return replace(view, forced=True, cause=_cause()) if sure and len(members) == len(view.in_sync) else None


def _unheard(asked: Iterable[str], answers: Mapping[str, Holdings | str]) -> str | None:
    for name in asked:
        answer = answers.get(name, "it was not asked")
        if isinstance(answer, str):
            return f"{name} cannot be asked ({answer}), and may hold more than the others: start it first"
    return None


def _not_fenced(configured: Iterable[str], answers: Mapping[str, Holdings | str]) -> str | None:
    """Return who is not fenced: not even one that is given up may go on in the history before."""
    for name in configured:
        answer = answers.get(name)
        if isinstance(answer, Holdings) and not answer.fenced:
            return f"{name} has not seen yet that the witness holds no view: ask again in a moment"
    return None


def _wiped(asked: Iterable[str], answers: Mapping[str, Holdings | str]) -> str | None:
    """Return why an empty server stands in the way: others know it as one that was not empty."""
    holdings = [one for name in asked if isinstance(one := answers[name], Holdings)]
    full = [one for one in holdings if one.history is not None]
    names = {one.server for one in full}
    for empty in holdings:
        if empty.history is None and full and not all(_never_knew(empty.server, one, names) for one in full):
            return f"{empty.server} holds nothing; if it lost its disk, it may have held more than the others"
    return None


def _never_knew(server: str, witness: Holdings, full: Collection[str]) -> bool:
    """Return whether `witness` knows that `server` was no member when the newest view was made.

    It remembers the view it acted in; whoever may have changed that view is one of the `full` ones, which say
    so of themselves, too; and none of them has proposed anything that may have won unheard.
    """
    view = witness.last_view
    if view is None or view.epoch < witness.epoch or witness.may_have_moved_on:
        return False
    return view.in_sync <= set(full) and server not in view.in_sync


def _chosen(holdings: Sequence[Holdings], new_history: str) -> SafeView | NoSafeView:
    newest = max(one.epoch for one in holdings)
    leaders = {one.primary for one in holdings if one.epoch == newest}
    if len(leaders) > 1:
        return NoSafeView(why=f"the servers disagree on who led epoch {newest}: the rules were not kept")
    remembered = _newest_view(holdings)
    known = newest if remembered is None else max(newest, remembered.epoch)
    led = [one for one in holdings if one.epoch == newest and one.server in leaders]
    members = _members(holdings, remembered, newest)
    if not led and not members:
        return NoSafeView(
            why=f"{', '.join(map(str, leaders))} led epoch {newest} and does not hold it any more, "
            "and nobody else is known to hold everything"
        )
    best = max(led or members, key=lambda one: (one.tip.epoch, one.tip.action_id))
    led_newest = f"led epoch {newest}, the newest that any server acted in"
    role = led_newest if led else f"was in sync in epoch {known}"
    return SafeView(
        view=View(
            history=new_history,
            epoch=known + EPOCHS_UNHEARD,
            primary=best.server,
            start_id=best.start_id,
            in_sync=frozenset({best.server}),
            incarnations={best.server: best.incarnation},
            forced=True,
            paused=None if remembered is None else remembered.paused,
            servers=None if remembered is None else remembered.servers,
            retired_for=_retired_for(best, remembered, newest),
        ),
        why=f"{best.server} {role}, so it holds everything that was ever acknowledged, "
        f"up to action id {best.tip.action_id}",
    )


def _retired_for(best: Holdings, remembered: View | None, newest: int) -> str | None:
    """V14: it stays so: as the newest view has it, or what was noted with the epoch that was led."""
    is_unheard = remembered is None or remembered.epoch < newest
    return best.retired_for if is_unheard or remembered is None else remembered.retired_for


def _newest_view(holdings: Iterable[Holdings]) -> View | None:
    views = [one.last_view for one in holdings if one.last_view and one.last_view.history == one.history]
    return max(views, key=lambda view: view.epoch, default=None)


def _members(holdings: Iterable[Holdings], remembered: View | None, newest: int) -> list[Holdings]:
    if remembered is None or remembered.epoch < newest:
        return []
    return [one for one in holdings if remembered.names(one.server, one.incarnation)]
