"""What a bank on machines says of itself, against what is true: `status`, `history`, `why`, figures, checks.

    told(bank, "silence", sentence=r"silence of s1: \\d+ ms", by="s2")      # the newest change of the view
    alone(bank, "s2", without="s1", because="no answer")                   # one copy only
    well(bank, "s2")                                                       # two copies again

Rule 1: what is true comes from the test, never from what is compared with it.
Rule 2: what comes about by itself is waited for; then all of them have to say it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ParamSpec

from bankrmi.cli.exit_codes import ExitCode, HealthCode
from tests.system.machines import METRICS, NAMESERVER, SERVERS, Machines, other

__all__ = [
    "Said",
    "alone",
    "answers",
    "at_check",
    "cut_off",
    "told",
    "undisturbed",
    "well",
    "without_the_witness",
]

Given = ParamSpec("Given")

_ANSWER = """
import sys, urllib.request, urllib.error
try:
    print(urllib.request.urlopen(sys.argv[1]).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


def undisturbed(check: Callable[Given, None]) -> Callable[Given, None]:
    """Check again if the view changed meanwhile: on a busy machine a copy may be left behind at any time."""

    @wraps(check)
    def run(*args: Given.args, **kwargs: Given.kwargs) -> None:
        bank = next(one for one in args if isinstance(one, Machines))
        while True:
            log = bank.log(NAMESERVER)
            try:
                return check(*args, **kwargs)
            except AssertionError:
                if " view service=" not in bank.log(NAMESERVER).removeprefix(log):
                    raise

    return run


@undisturbed
def told(bank: Machines, kind: str, *, sentence: str, by: str) -> None:
    """Wait until the newest change of the view is this one; check that everybody says the same of it."""
    changes: list[dict[str, Any]] = []

    def has_come() -> bool:
        changes[:] = bank.changes()
        return bool(changes[-1]["cause"]["kind"] == kind)

    bank.until(has_come, f"the view changes for {kind}")
    newest = changes[-1]
    assert re.fullmatch(sentence, newest["why"]), newest
    assert newest["by"] == by
    status, why = _side_by_side(bank, ("status", "--json"), ("why",))
    view = json.loads(status.stdout)["view"]
    assert [view[key] for key in ("epoch", "primary", "in_sync", "cause")] == [
        newest[key] for key in ("epoch", "primary", "in_sync", "cause")
    ]
    assert f"{newest['primary']} leads, in sync {', '.join(newest['in_sync'])}." in why.stdout
    assert f"Its cause: {newest['why']} (proposed by {by})." in why.stdout
    figures = bank.figures(newest["primary"])
    assert figures["bankrmi_role,role=primary"] == 1
    assert figures["bankrmi_view_epoch"] == figures["bankrmi_epoch"] == newest["epoch"]
    started = datetime.fromtimestamp(figures["process_start_time_seconds"], UTC)
    so_far = [
        one
        for one in changes
        if one["cause"]["kind"] == kind and datetime.fromisoformat(one["when"]) > started
    ]
    assert figures[f"bankrmi_view_changes_total,cause={kind}"] == len(so_far)
    for server in SERVERS:
        assert figures[f"bankrmi_in_sync,server={server}"] == (server in newest["in_sync"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What `status` says, and `why` of each server and process."""

    status: dict[str, Any]
    may_take_over: dict[str, tuple[bool, str]]
    if_it_died: dict[str, str]

    def row(self, server: str) -> dict[str, Any]:
        return next(one for one in self.status["servers"] if one["server"] == server)


def at_check(bank: Machines, code: ExitCode | HealthCode, sentence: str) -> Said:
    """Wait until `status --check` ends with this code and sentence; return what is said at that moment."""
    questions = (("status", "--check"), ("status", "--json"), ("why", "--json"))
    said: list[subprocess.CompletedProcess[str]] = []

    def has_come() -> bool:
        said[:] = _side_by_side(bank, *questions)
        return said[0].returncode == code

    bank.until(has_come, f"status --check ends with {code}")
    assert sentence in said[0].stdout, said
    why = json.loads(said[2].stdout)
    return Said(
        status=json.loads(said[1].stdout),
        may_take_over={one["server"]: (one["may"], one["why"]) for one in why["take_over"]},
        if_it_died={one["process"]: one["then"] for one in why["if_it_died"]},
    )


def _side_by_side(bank: Machines, *questions: tuple[str, ...]) -> list[subprocess.CompletedProcess[str]]:
    """Ask several at once: each waits some seconds for whoever is silent."""
    with ThreadPoolExecutor(len(questions)) as pool:
        return list(pool.map(lambda question: bank.run(*question), questions))


def answers(bank: Machines, server: str, check: str) -> int:
    """Return what a load balancer on the machine of this server is told."""
    return int(bank.inside(server, sys.executable, "-c", _ANSWER, f"http://{METRICS[server]}{check}"))


@undisturbed
def alone(bank: Machines, leads: str, *, without: str, because: str) -> None:
    """Check that a server that leads alone is said to, and that the other one is not counted on."""
    said = at_check(bank, HealthCode.ONE_COPY, f"ONE COPY ONLY: what {leads} holds is all there is")
    row, may, if_it_died = said.row(without), said.may_take_over, said.if_it_died
    assert (row["reachable"], row["in_sync"]) == (False, False)
    assert because in row["reason"]
    assert list(may) == [without]
    assert not may[without][0]
    assert f"{without} may not: it is not in sync" in may[without][1]
    assert because in may[without][1]
    assert "nothing would change: it is not in sync" in if_it_died[without]
    assert f"the bank would stand still until {leads} is started again" in if_it_died[leads]
    figures = bank.figures(leads)
    assert (figures["bankrmi_copies"], figures["bankrmi_acknowledges"]) == (1, 1)
    assert figures[f"bankrmi_connected,server={without}"] == 0
    assert (answers(bank, leads, "/primary"), answers(bank, leads, "/standby")) == (200, 503)


@undisturbed
def well(bank: Machines, leads: str) -> None:
    """Check that two copies are said to be there, and that either may be lost."""
    standby = other(leads)
    said = at_check(bank, ExitCode.DONE, f"well: {leads} leads, 2 copies in sync")
    assert all(one["reachable"] and one["in_sync"] for one in said.status["servers"])
    if_it_died = said.if_it_died
    assert said.may_take_over == {
        standby: (True, f"{standby} may take over: it is in sync, so it holds all that was acknowledged")
    }
    assert if_it_died[leads].startswith(f"{standby} would take over")
    assert if_it_died[standby] == f"{leads} would go on without it, as the only copy."
    for server, role in ((leads, "primary"), (standby, "standby")):
        figures = bank.figures(server)
        assert figures[f"bankrmi_role,role={role}"] == 1
        assert figures["bankrmi_copies"] == 2
        assert figures[f"bankrmi_connected,server={other(server)}"] == 1
        assert answers(bank, server, f"/{role}") == 200


def cut_off(bank: Machines, server: str) -> None:
    """Check what a server says of itself, on its machine, that hears nobody."""
    figures = bank.figures(server)
    assert figures["bankrmi_witness_silent_seconds"] > 0
    assert figures[f"bankrmi_connected,server={other(server)}"] == 0
    assert answers(bank, server, "/primary") == 503
    if figures["bankrmi_role,role=primary"]:
        assert figures["bankrmi_acknowledges"] == figures["bankrmi_read_lease_seconds"] == 0
        assert answers(bank, server, "/ready") == 503
    else:
        assert figures["bankrmi_primary_silent_seconds"] > 0
        assert answers(bank, server, "/standby") == answers(bank, server, "/ready") == 503


def without_the_witness(bank: Machines, view: dict[str, Any]) -> None:
    """Check what is said while all is well but for the witness; `view` is what it was before."""
    leads = view["primary"]
    standby = other(leads)
    why_not = "the witness cannot be reached"
    said = at_check(bank, HealthCode.NOBODY_COULD_TAKE_OVER, f"{why_not}: no change of primary until it can")
    status, may, if_it_died = said.status, said.may_take_over, said.if_it_died
    assert (status["view_from"], status["view"]) == (leads, view)
    assert not status["witness"]["reachable"]
    told_nothing = bank.run("history")
    assert told_nothing.returncode == ExitCode.UNREACHED
    assert "the witness at" in told_nothing.stderr
    assert list(may) == [standby]
    assert not may[standby][0]
    assert f"it is in sync, but {why_not}" in may[standby][1]
    assert if_it_died[leads].startswith("the bank would stand still until the witness is back")
    assert if_it_died[standby].startswith("nothing would be acknowledged until it is back")
    assert "it does not answer now" in if_it_died["witness"]
    for server, role in ((leads, "primary"), (standby, "standby")):
        figures = bank.figures(server)
        assert figures["bankrmi_witness_silent_seconds"] > 0
        assert (figures[f"bankrmi_role,role={role}"], figures["bankrmi_copies"]) == (1, 2)
        assert answers(bank, server, f"/{role}") == 200
    assert bank.figures(leads)["bankrmi_acknowledges"] == 1
    assert bank.figures(NAMESERVER)["bankrmi_view_epoch"] == view["epoch"]
