"""What operators do: hand over, compare copies, give the witness its memory back.  Plain values for the CLI.

Rule: each of these either did what it says, or raises and says why it did not.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from bankrmi.client.asking import ask_once
from bankrmi.client.overview import overview
from bankrmi.config import Configuration
from bankrmi.coordination import restoring
from bankrmi.coordination.restore import Holding, NoSafeView
from bankrmi.errors import OperationFailed, Unreached
from bankrmi.replication.view import View

__all__ = ["export", "plan_witness_restore", "restore_witness", "switchover"]

_SECONDS = 30.0


def switchover(configuration: Configuration, target: str | None) -> dict[str, Any]:
    """Have the primary hand over to `target`, or to any server in sync; return the views before and after."""
    return dict(_ask_operator(configuration, _primary(configuration), "switchover", target))


def export(configuration: Configuration, server: str | None) -> dict[str, Any]:
    """Return the accounts of a server, the primary unless named: {"action_id", "history", "balances"}.

    A large ledger comes in pages ("next" in one asks for the following), all of them of one state.
    """
    name = server or _primary(configuration)
    page = dict(_ask_operator(configuration, name, "export"))
    whole = {key: page[key] for key in ("action_id", "history")}
    balances = list(page["balances"])
    while page.get("next") is not None:
        page = dict(_ask_operator(configuration, name, "export", page["next"]))
        if any(page[key] != value for key, value in whole.items()):
            raise OperationFailed(f"{name} gave pages of different states: export again")
        balances += page["balances"]
    return {**whole, "balances": balances}


def plan_witness_restore(configuration: Configuration, *, given_up: Collection[str] = ()) -> dict[str, Any]:
    """Return what each server holds (`found`, a line for each) and the only safe view (`view`).

    Nothing is changed by it: nobody is asked to hold still.  Raises OperationFailed, with the same lines and
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
    """Have every server hold still, and propose the view that `plan_witness_restore` found; return it.

    What was found is looked up once more when everybody holds still: the view proposed is led by the same
    server, or none is proposed, and OperationFailed says what became of the bank.
    """
    return restoring.restore(configuration, View.from_wire(view).primary, given_up=given_up).to_wire()


def _line(name: str, answer: Holding | str) -> str:
    if isinstance(answer, str):
        return f"{name}: cannot be asked ({answer})"
    if answer.history is None:
        return f"{name}: holds nothing"
    return (
        f"{name}: epoch {answer.epoch} led by {answer.primary}, newest entry {answer.tip.action_id} "
        f"(of epoch {answer.tip.epoch}), history {answer.history}"
    )


def _primary(configuration: Configuration) -> str:
    view = overview(configuration)["view"]
    if view is None or view["primary"] not in configuration.servers:
        raise Unreached("nobody knows of a primary; `bankrmi status` shows who can be reached")
    return str(view["primary"])


def _ask_operator(configuration: Configuration, server: str, method: str, *args: object) -> Any:
    address = configuration.servers[server]
    return ask_once(address, restoring.OPERATOR_ID + server, method, args, seconds=_SECONDS)
