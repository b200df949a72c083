"""What operators do: hand over, fail over, pause, compare copies, give the witness its memory back.

Plain values for the CLI.

Rule: each of these either did what it says, or raises and says why it did not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bankrmi.bank.operations import LARGEST
from bankrmi.client.asking import Ask, ask_once, asking
from bankrmi.client.failover import FailoverFacts, FailoverPlan, judged
from bankrmi.client.overview import overview, view_fields
from bankrmi.client.view_history import history
from bankrmi.config import Configuration
from bankrmi.coordination import moving, restoring
from bankrmi.coordination.keepers import KeeperSilent, asked_keeper, keeper_in_words, place_of_keeper
from bankrmi.coordination.restore import NoSafeView
from bankrmi.errors import OperationFailed, Unreached, Unsettled
from bankrmi.foreign_text import foreign
from bankrmi.own_credentials import own_credentials
from bankrmi.replication.messages import Holdings
from bankrmi.replication.view import View
from bankrmi.rmi import Failure

__all__ = [
    "Export",
    "change_servers",
    "changed_views",
    "export",
    "failover",
    "move_view",
    "pause",
    "plan_failover",
    "plan_view_move",
    "plan_witness_restore",
    "restore_witness",
    "resume",
    "switchover",
]

_SECONDS = 30.0
_CHANGES = 10_000
"""Of the view, that are looked through for when a server was in sync last."""


def switchover(configuration: Configuration, target: str | None) -> dict[str, Any]:
    """Have the primary hand over to `target`, or to any server in sync; return the views before and after."""
    primary, configuration = _primary(configuration)
    return changed_views(primary, _ask_operator(configuration, primary, "switchover", target))


def changed_views(server: str, answer: Any) -> dict[str, Any]:
    """Return the views before and after of what an operator's word has changed."""
    try:
        return {when: view_fields(answer[when]) for when in ("before", "after")}
    except (AttributeError, KeyError, TypeError):
        raise OperationFailed(f"{server} did not answer with a view; `bankrmi status` shows it") from None


def plan_failover(configuration: Configuration, server: str, *, forced: bool) -> FailoverPlan:
    """Return what it would mean to let `server` lead; nothing is changed by it.

    Raises OperationFailed, with what was found, if it is not to lead so.
    """
    try:
        view = asked_keeper(configuration).read()
    except KeeperSilent as silent:
        remedy = "start it; if it has lost its disk, `bankrmi witness restore` is the way"
        raise OperationFailed(f"{silent.message}: nobody leads without its word. {remedy}") from silent
    if view is None:
        raise OperationFailed(
            f"{keeper_in_words(configuration)} holds no view: `bankrmi witness restore` is the way"
        )
    shown = {one["server"]: one for one in overview(configuration)["servers"]}
    configuration = configuration.with_servers({name: one["address"] for name, one in shown.items()})
    names = list(configuration.servers)
    with ThreadPoolExecutor(len(names)) as pool:
        told = pool.map(lambda name: restoring.holding_of(name, configuration, "holdings"), names)
        holds = dict(zip(names, told, strict=True))
    facts = FailoverFacts(
        view=view,
        changes=history(configuration, limit=_CHANGES),
        holds=holds,
        told=shown,
        copies_min=configuration.copies_min,
    )
    verdict = judged(facts, server, forced=forced)
    if isinstance(verdict, str):
        raise OperationFailed(f"{verdict}; nothing was changed")
    return verdict


def failover(
    configuration: Configuration,
    plan: FailoverPlan,
    *,
    resumes: bool = False,
    confirmed_off: Collection[str] = (),
) -> dict[str, Any]:
    """Let the server lead as it was planned; return the views before and after.

    `confirmed_off` are those that the operator says are off, for the record.

    It leads as soon as every lease that it granted is over.  Raises OperationFailed if it does not come to
    that; and Unsettled if that is not known.
    """
    shown = plan.view.history, plan.view.epoch
    server, configuration = plan.server, configuration.with_servers({plan.server: plan.address})
    try:
        off = list(confirmed_off)
        answer = _ask_operator(configuration, server, "take_over", *shown, plan.forced, resumes, off)
    except OperationFailed as failed:
        if isinstance(failed.__cause__, Failure):
            raise Unsettled(
                f"{server} may have taken over, or may yet: {failed.message}; `bankrmi status` shows it"
            ) from failed
        raise
    except KeyboardInterrupt as interruption:
        interruption.add_note(f"interrupted: {server} may take over yet; `bankrmi status` shows it")
        raise
    return changed_views(server, answer)


def pause(configuration: Configuration, reason: str | None) -> dict[str, Any]:
    """Have the primary turn automatic takeover off; return the views before and after."""
    primary, configuration = _primary(configuration)
    return changed_views(primary, _ask_operator(configuration, primary, "pause", reason))


def resume(configuration: Configuration) -> dict[str, Any]:
    """Have automatic takeover on again: by the primary, or by a member that takes over if it is gone."""
    found = overview(configuration)
    view = found["view"]
    servers = {one["server"]: one for one in found["servers"]}
    primary = servers.get(view["primary"], {}) if view is not None else {}
    if view is None or (primary.get("reachable") and primary.get("role") == "primary"):
        leader, configuration = _primary(configuration)
        return changed_views(leader, _ask_operator(configuration, leader, "resume"))
    if view["paused"] is None:
        raise OperationFailed("automatic takeover is not paused")
    able = [one["server"] for one in found["servers"] if one["reachable"] and one.get("role") == "standby"]
    member = next((name for name in able if name in view["in_sync"]), None)
    if member is None:
        raise Unreached(
            f"{view['primary']} does not lead, and no other server that is in sync can be reached: start one"
        )
    return failover(configuration, plan_failover(configuration, member, forced=False), resumes=True)


def change_servers(
    configuration: Configuration, change: str, server: str, address: str | None
) -> dict[str, Any]:
    """Have the primary `add`, `remove` or `move` a server; return the views before and after, and `servers`.

    Raises OperationFailed with the reason if that was not done, or nobody knows.
    """
    primary, configuration = _primary(configuration)
    args = (server,) if address is None else (server, address)
    answer = _ask_operator(configuration, primary, f"server_{change}", *args)
    try:
        servers = {foreign(name): foreign(at) for name, at in answer["after"]["servers"].items()}
        changed = {when: view_fields(answer[when]) for when in ("before", "after")}
    except (AttributeError, KeyError, TypeError):
        raise OperationFailed(f"{primary} did not answer with a view; `bankrmi status` shows it") from None
    return {**changed, "servers": servers}


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One acknowledged state of a bank, and its accounts, which come page by page while they are taken."""

    server: str
    action_id: int
    history: str
    balances: Iterator[tuple[int, int]]
    """(account id, balance), in the order of the ids; raises an error of ours if it ends before its end."""


@contextmanager
def export(configuration: Configuration, server: str | None) -> Iterator[Export]:
    """Open an export of a server: of the primary, or of this one's copy, which may be a little older.

    Holds a page at a time, however long the ledger is.
    """
    name, configuration = (server, configuration) if server else _primary(configuration)
    credentials = own_credentials(configuration, "operator")
    with asking(configuration.servers[name], restoring.OPERATOR_ID + name, credentials=credentials) as ask:
        first = _page(name, ask("export", [None, server is None], seconds=_SECONDS))
        yield Export(
            server=name,
            action_id=first["action_id"],
            history=first["history"],
            balances=_balances(name, first, ask),
        )


def _balances(name: str, page: dict[str, Any], ask: Ask) -> Iterator[tuple[int, int]]:
    state = page["action_id"], page["history"]
    newest = -1
    while True:
        for account, balance in page["balances"]:
            if account <= newest:
                raise OperationFailed(f"{name} gave accounts out of order: export again")
            newest = account
            yield account, balance
        if page["next"] is None:
            return
        page = _page(name, ask("export", [page["next"]], seconds=_SECONDS))
        if (page["action_id"], page["history"]) != state:
            raise OperationFailed(f"{name} gave pages of different states: export again")


def _page(name: str, answer: Any) -> dict[str, Any]:
    """Return a page as it should be; raise OperationFailed if it is not."""
    match answer:
        case {"action_id": int(), "history": str(), "balances": list() | tuple(), "next": None | str()}:
            if all(_is_account(row) for row in answer["balances"]):
                return dict(answer)
    raise OperationFailed(f"{name} answered export with what cannot be read")


def _is_account(row: Any) -> bool:
    return (
        isinstance(row, list | tuple)
        and len(row) == 2
        and all(type(number) is int and 0 <= number <= LARGEST for number in row)
    )


def plan_witness_restore(configuration: Configuration, *, given_up: Collection[str] = ()) -> dict[str, Any]:
    """Return what each server holds (`found`, a line for each) and the only safe view (`view`).

    Nothing is changed by it: nobody is fenced.  Raises OperationFailed, with the same lines and
    the reason, if no view is safe. `given_up` names servers that are lost, machine or disk: the operator's
    word, and the loss of what only they held.
    """
    findings = restoring.survey(configuration, given_up=given_up)
    found = [_line(name, answer) for name, answer in findings.answers.items()]
    if isinstance(findings.verdict, NoSafeView):
        raise OperationFailed("\n".join([*found, f"no view is safe: {findings.verdict.why}"]))
    view = findings.verdict.view
    return {"found": [*found, findings.verdict.why], "view": view.to_wire()}


def restore_witness(
    configuration: Configuration, view: dict[str, Any], *, given_up: Collection[str] = ()
) -> dict[str, Any]:
    """Fence every server, and propose the view that `plan_witness_restore` found; return it.

    What was found is looked up once more before anybody is told, and again when everybody is fenced: the
    view proposed is led by the same server, or none is proposed, and OperationFailed says what became of the
    bank.
    """
    return restoring.restore(configuration, View.from_wire(view).primary, given_up=given_up).to_wire()


def plan_view_move(configuration: Configuration, new: Configuration) -> dict[str, Any]:
    """Return what moving the view to where `new` keeps it would do: `view`, `begun`, `done`, `sentence`.

    Nothing is changed by it.  Raises OperationFailed if it cannot be moved there.
    """
    if configuration.service != new.service:
        raise OperationFailed(
            f"{new.path} is the configuration of another service ({new.service}, not {configuration.service})"
        )
    planned = moving.plan(asked_keeper(configuration), asked_keeper(new))
    return {
        "view": planned.view.to_wire(),
        "begun": planned.is_begun,
        "done": planned.is_done,
        "sentence": f"from {keeper_in_words(configuration)} to {keeper_in_words(new)}",
    }


def move_view(configuration: Configuration, new: Configuration) -> dict[str, Any]:
    """Move the view to the keeper that `new` names; return it.

    Raises OperationFailed, which says what was done; to do the same again goes on from there.
    """
    old = asked_keeper(configuration)
    return moving.move(old, asked_keeper(new), place=place_of_keeper(configuration)).to_wire()


def _line(name: str, answer: Holdings | str) -> str:
    if isinstance(answer, str):
        return f"{name}: cannot be asked ({answer})"
    if answer.history is None:
        return f"{name}: holds nothing"
    return (
        f"{name}: epoch {answer.epoch} led by {foreign(answer.primary)}, newest entry {answer.tip.action_id} "
        f"(of epoch {answer.tip.epoch}), history {foreign(answer.history)}"
    )


def _primary(configuration: Configuration) -> tuple[str, Configuration]:
    """Return who leads, and the configuration with the servers that there are by now, and where they live."""
    shown = overview(configuration)
    view, servers = shown["view"], {row["server"]: row["address"] for row in shown["servers"]}
    if view is None or view["primary"] not in servers:
        raise Unreached("nobody knows of a primary; `bankrmi status` shows who can be reached")
    return str(view["primary"]), configuration.with_servers(servers)


def _ask_operator(configuration: Configuration, server: str, method: str, *args: object) -> Any:
    address = configuration.servers[server]
    return ask_once(
        address,
        restoring.OPERATOR_ID + server,
        method,
        args,
        seconds=_SECONDS,
        credentials=own_credentials(configuration, "operator"),
    )
