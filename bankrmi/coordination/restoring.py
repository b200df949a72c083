"""How the witness is restored: look, let the operator decide, fence, and propose.  For operators.

Rule 1: only a witness that answers, and holds no view, is restored; and none while a server serves on with
        another keeper of the view, which answers it.
Rule 2: looking (`survey`) changes nothing: a bank that is well without the view goes on if no view is safe,
        or if the operator says no.
Rule 3: after the yes, which may be long after the look, all is looked at once more: nobody is told anything
        if what the operator was shown is not so any more.
Rule 4: then each server is fenced; it answers nobody until there is a view, so nothing that was
        seen changes before the view that rests on it is made. It is proposed only if the server that the
        operator was shown is still the one to lead.
Rule 5: if it comes to nothing, the witness is given back the view that was, if that is certain (`unchanged`),
        and everybody goes on. However it ends, Ctrl-C included, it is said who is fenced, and what to do.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from bankrmi.config import Configuration
from bankrmi.coordination.keepers import KeeperSilent, asked_keeper, keeper_in_words
from bankrmi.coordination.restore import NoSafeView, SafeView, decide, unchanged
from bankrmi.errors import BankError, OperationFailed
from bankrmi.foreign_text import foreign
from bankrmi.own_credentials import own_credentials
from bankrmi.replication.cause import named
from bankrmi.replication.forms import holdings_of
from bankrmi.replication.messages import Holdings
from bankrmi.replication.view import View
from bankrmi.rmi import Failure, RemoteError, connect, handshake, over_tls
from bankrmi.who_runs_this import who_runs_this

__all__ = [
    "OPERATOR_ID",
    "Findings",
    "holding_of",
    "propose",
    "restore",
    "survey",
]

OPERATOR_ID = "bankrmi.operator."
"""What the ids of operator objects begin with; the name of the server follows."""

_SECONDS = 3.0
_FENCING_SECONDS = 5.0
"""How long everybody is asked again: one who starts just then has not yet seen that there is no view."""
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What each server holds, or why it could not be asked; and what follows from that."""

    answers: Mapping[str, Holdings | str]
    verdict: SafeView | NoSafeView


def survey(configuration: Configuration, *, given_up: Collection[str] = ()) -> Findings:
    """Ask the witness and all servers, and change nothing; the verdict is what is safe if all are fenced now.

    Raises OperationFailed if the witness needs no restoring.
    """
    return _gather(configuration, "holdings", given_up)


def restore(configuration: Configuration, primary: str, *, given_up: Collection[str] = ()) -> View:
    """Fence everybody, and propose the safe view, if it is led by `primary`; return it.

    Raises OperationFailed, which says what became of the bank; so does the note of a KeyboardInterrupt.
    """
    why = _why_not(survey(configuration, given_up=given_up), primary)
    if why:
        raise OperationFailed(f"{why}; nothing was changed, and nobody was fenced")
    holding = _Fencing(configuration, given_up)
    try:
        why = _why_not(holding.ask(), primary)
        if why:
            raise _came_to_nothing(configuration, holding, why)
        assert isinstance(holding.findings.verdict, SafeView)
        return propose(configuration, holding.findings.verdict.view)
    except KeeperSilent as silent:
        raise OperationFailed(f"{silent.message}; {holding.what_now()}") from silent
    except KeyboardInterrupt as interruption:
        interruption.add_note(f"interrupted: {holding.what_now()}")
        raise


def _why_not(findings: Findings, primary: str) -> str:
    """Return why the view that the operator was shown may not be proposed now; nothing if it may."""
    verdict = findings.verdict
    if isinstance(verdict, NoSafeView):
        return f"no view is safe any more: {verdict.why}"
    if verdict.view.primary != primary:
        return f"{verdict.view.primary} holds everything now, and not {primary}"
    return ""


class _Fencing:
    """Fences everybody, and knows who is fenced."""

    def __init__(self, configuration: Configuration, given_up: Collection[str]) -> None:
        self._configuration = configuration
        self._given_up = given_up
        self.findings: Findings = Findings(answers={}, verdict=NoSafeView(why="nobody was asked yet"))

    def ask(self) -> Findings:
        """Ask until a view is safe, or for as long as it may take."""
        deadline = time.monotonic() + _FENCING_SECONDS
        self.findings = _gather(self._configuration, "fence", self._given_up)
        while isinstance(self.findings.verdict, NoSafeView) and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)
            self.findings = _gather(self._configuration, "fence", self._given_up)
        return self.findings

    def what_now(self) -> str:
        """Return who is fenced, and what to do about it."""
        answers = self.findings.answers
        fenced = [name for name, one in answers.items() if isinstance(one, Holdings) and one.fenced]
        who = f"{', '.join(fenced) or 'nobody'} {'are' if len(fenced) > 1 else 'is'} fenced"
        if not answers:  # It is not known whom the question has reached.
            who = f"{', '.join(self._configuration.servers)} may be fenced"
        others = [name for name, one in answers.items() if isinstance(one, Holdings) and not one.fenced]
        perhaps = f"; {', '.join(others)} may be yet: as of now, not" if others else ""
        if answers and not fenced:
            return f"nobody is fenced{perhaps}; run `bankrmi witness restore` again"
        answer = "answer" if len(fenced) > 1 or not answers else "answers"
        return (
            f"{who}, and {answer} nobody until the witness is restored{perhaps}: "
            "run `bankrmi witness restore` again"
        )


def _came_to_nothing(configuration: Configuration, holding: _Fencing, why: str) -> OperationFailed:
    """Have everybody go on where that is certain to be right; return what to tell the operator."""
    before = unchanged(holding.findings.answers)
    if before is None:
        return OperationFailed(f"{why}; {holding.what_now()}")
    propose(configuration, before)
    return OperationFailed(
        f"{why}; so the witness was given back the view that was (epoch {before.epoch}, primary "
        f"{before.primary}), which all its members are sure of, and the bank goes on with that"
    )


def _gather(configuration: Configuration, method: str, given_up: Collection[str]) -> Findings:
    view = asked_keeper(configuration).read()
    if view is not None:
        keeper = "etcd" if configuration.etcd is not None else "the witness"
        raise OperationFailed(f"there is nothing to restore: {keeper} holds a view (epoch {view.epoch})")
    answers = _asked(configuration, list(configuration.servers), method)
    if method == "holdings":
        _check_that_none_is_elsewhere(configuration, answers)
    # Those that a view has named since the file was written have to be heard, too (V12).
    now = configuration.with_servers({**configuration.servers, **_remembered(answers)})
    later = [name for name, at in now.servers.items() if configuration.servers.get(name) != at]
    answers |= _asked(now, later, method)
    names = list(now.servers)
    verdict = decide(
        names, answers, new_history=secrets.token_hex(8), given_up=given_up, foreseen=method == "holdings"
    )
    return Findings(answers=answers, verdict=verdict)


def _asked(configuration: Configuration, names: Collection[str], method: str) -> dict[str, Holdings | str]:
    if not names:
        return {}
    with ThreadPoolExecutor(len(names)) as pool:
        told = pool.map(lambda name: holding_of(name, configuration, method), names)
        return dict(zip(names, told, strict=True))


def _check_that_none_is_elsewhere(
    configuration: Configuration, answers: Mapping[str, Holdings | str]
) -> None:
    """Raise OperationFailed if a server serves on with another keeper than this one."""
    awake = [name for name, one in answers.items() if isinstance(one, Holdings) and not one.fenced]
    met = {name: keeper for name in awake if (keeper := _keeper_met_by(name, configuration)) is not None}
    if not met:
        return
    ours = asked_keeper(configuration).kept().keeper
    elsewhere = {name: at for name, (keeper, at) in met.items() if keeper != ours}
    if elsewhere:
        places = ", ".join(dict.fromkeys(elsewhere.values()))
        run = "runs" if len(elsewhere) == 1 else "run"
        raise OperationFailed(
            f"there is nothing to restore: {', '.join(elsewhere)} {run} with another keeper of the view "
            f"({places}), which answers, and not with {keeper_in_words(configuration)}. Nobody was fenced. "
            "Use the configuration that they run with; `bankrmi witness move` is for another keeper"
        )


def _keeper_met_by(server: str, configuration: Configuration) -> tuple[str, str] | None:
    """Return the id of the keeper that answers a server, and where it is in its words; None if none does."""
    said = over_tls(handshake("operator"), own_credentials(configuration, "operator"))
    try:
        with connect(configuration.servers[server], OPERATOR_ID + server, said, _SECONDS) as connection:
            match connection.greeting.get("settings"):
                case {"witness_id": str(keeper), "witness": str(at)}:
                    return keeper, foreign(at, 200)
    except (Failure, RemoteError, BankError):
        pass
    return None


def _remembered(answers: Mapping[str, Holdings | str]) -> Mapping[str, str]:
    """Return the servers of the newest view that anybody remembers, and where they live."""
    views = [one.last_view for one in answers.values() if isinstance(one, Holdings) and one.last_view]
    newest = max(views, key=lambda view: view.epoch, default=None)
    return {} if newest is None or newest.servers is None else newest.servers


def propose(configuration: Configuration, view: View) -> View:
    """Propose the view, as the first one; raises OperationFailed if there is one meanwhile."""
    if view.cause is not None:
        view = view.because(replace(view.cause, operator=named(who_runs_this())))
    holds, won = asked_keeper(configuration).propose(None, view)
    if holds is None:
        raise OperationFailed(f"{keeper_in_words(configuration)} answered what cannot be read")
    if not won:
        raise OperationFailed(
            f"{keeper_in_words(configuration)} holds a view meanwhile (epoch {holds.epoch})"
        )
    return holds


def holding_of(server: str, configuration: Configuration, method: str) -> Holdings | str:
    """Return what a server says that it holds, or why it cannot be asked."""
    said = over_tls(handshake("operator"), own_credentials(configuration, "operator"))
    try:
        with connect(configuration.servers[server], OPERATOR_ID + server, said, _SECONDS) as connection:
            return holdings_of(connection.call(method, timeout=_SECONDS), connection.protocol)
    except (Failure, RemoteError, BankError) as error:
        return str(error)
    except ValueError as error:
        return f"it answered what cannot be read: {error}"
