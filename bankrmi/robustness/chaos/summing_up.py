"""From the files of a run to what was found: the verdict, and everything that a report shows.

Rule 1: nothing is assumed of an unknown outcome: the checker finds it in the final journals.
Rule 2: a run with a violation of any kind is a bad run, whoever found it: the checker, the course of the run
        (liveness), or a log in which a process says that a rule was broken.
"""

from __future__ import annotations

import os
import platform
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import apsw

import bankrmi
from bankrmi.errors import BankError
from bankrmi.replication.record import Record
from bankrmi.robustness.chaos.measures import Acknowledgements, failovers, fault_counts, made_calls
from bankrmi.robustness.chaos.recorded import (
    Environment,
    Fault,
    OutcomeKind,
    ProcessKind,
    Recorded,
    RecordedProcess,
    RoleSpan,
    columns,
)
from bankrmi.robustness.chaos.roles import leads, role_spans, said_by, serving_spans
from bankrmi.robustness.chaos.run import Finished
from bankrmi.robustness.checker.disks import read_copies
from bankrmi.robustness.checker.history import HistoryCall
from bankrmi.robustness.checker.history_file import read_history
from bankrmi.robustness.checker.verdict import HistoryVerdict, judge
from bankrmi.robustness.engine.failovers import database_failovers
from bankrmi.robustness.engine.seen import SeenDatabases
from bankrmi.verifying.model import BankModel

__all__ = [
    "RECORDING",
    "BankJudge",
    "Judged",
    "RunFacts",
    "RunJudge",
    "judged_as",
    "nothing_judged",
    "noting_epochs",
    "sum_up",
]

RECORDING = "recording.jsonl.gz"
"""All that the report shows, for `bankrmi replay`."""

_BROKEN = re.compile(r"Traceback|cannot be broken was|BrokenInvariant|bug in bankrmi|exception was never")
_PLURALS = {
    "update": "updates",
    "query": "queries",
    "balance": "reads",
    "total": "totals",
    "withdraw": "withdrawals",
    "deposit": "deposits",
    "transfer": "transfers",
    "open_account": "accounts opened",
    "close_account": "accounts closed",
    "batch": "batches",
    "outcome": "questions for an outcome",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What is known of a run when its processes are gone."""

    directory: Path
    seed: int
    command: str
    servers: tuple[str, ...]
    clients: tuple[str, ...]
    witness: str
    members: tuple[str, ...]
    """Of etcd, if that keeps the view, or knows which database leads."""
    cuts_by: str
    started_unix: float
    unix_ns_at_zero: int
    finished: Finished
    faults: tuple[Fault, ...]
    services: Mapping[str, str] = field(default_factory=dict)
    """The classes that were served, by the names of the services, the first one first; none for a bank."""
    databases: tuple[str, ...] = ()
    """Those that keep the accounts, if servers do not."""
    seen: SeenDatabases | None = None
    """What these were in the course of the run."""
    facts: tuple[tuple[str, str], ...] = ()
    """What else is told of where the run took place."""

    @property
    def keepers(self) -> tuple[str, ...]:
        """The name server's process, with the witness in it; or that, and etcd's, and databases."""
        return self.witness, *self.members, *self.databases

    @property
    def of_others(self) -> tuple[str, ...]:
        """Those whose programs, and logs, are not ours."""
        return *self.members, *self.databases

    def to_form(self) -> dict[str, Any]:
        """Return what stands in no other file, as plain values."""
        finished = replace(self.finished, views=(), usage=())
        form = asdict(replace(self, faults=(), finished=finished, seen=None))
        del form["faults"], form["seen"], form["finished"]["views"], form["finished"]["usage"]
        return form | {"directory": str(self.directory), "version": bankrmi.__version__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came of holding the history against the disks."""

    violations: tuple[str, ...] = ()
    untold: int = 0
    checked: tuple[str, ...] = ()
    counts: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()
    epochs: dict[int, int] = field(default_factory=dict)
    """At which action id each epoch begins."""


class RunJudge(Protocol):
    """Who reads what clients have written down, and holds it against the disks."""

    def calls(self, facts: RunFacts) -> Sequence[HistoryCall]:
        """Return all calls of all clients."""

    def judged(self, facts: RunFacts, calls: Sequence[HistoryCall]) -> Judged:
        """Hold them against the copies that are evidence."""


class ReaderOfAccounts:
    """What judges of accounts have in common, wherever those are kept: what clients have written down."""

    def __init__(self) -> None:
        self._opening: Mapping[int, int] = {}

    def calls(self, facts: RunFacts) -> Sequence[HistoryCall]:
        """Return all calls of all clients."""
        history = read_history([facts.directory / "history"])
        self._opening = history.header.opening
        return history.calls


class BankJudge(ReaderOfAccounts):
    """The judge of a bank's accounts."""

    def judged(self, facts: RunFacts, calls: Sequence[HistoryCall]) -> Judged:
        """Hold them against the copies that are evidence."""
        return _judged(facts, calls, self._opening)


def sum_up(facts: RunFacts, judge: RunJudge) -> Recorded:
    """Judge a run; return all of it."""
    calls = judge.calls(facts)
    judged = judge.judged(facts, calls)
    finished = facts.finished
    leading = facts.databases or facts.servers  # Where a database keeps the accounts, no server leads.
    of_servers = [span for name in leading for span in _spans(facts, name)]
    others = [name for name in (*facts.servers, *facts.keepers, *facts.clients) if name not in leading]
    of_others = [span for name in others for span in _serving(facts, name)]
    acknowledged = Acknowledgements(calls, judged.epochs)
    return Recorded(
        seed=facts.seed,
        command=facts.command,
        version=bankrmi.__version__,
        servers=len(facts.servers),
        services=tuple(facts.services.items()),
        started_ns=finished.started_ns,
        ended_ns=finished.ended_ns,
        started_unix=facts.started_unix,
        environment=_environment(facts),
        violations=(*finished.violations, *_broken_logs(facts), *judged.violations),
        checked=judged.checked,
        counts=(*_counts(calls), *judged.counts, *fault_counts(facts.faults)),
        processes=tuple(_processes(facts)),
        roles=(*of_servers, *of_others),
        faults=facts.faults,
        failovers=tuple(
            database_failovers(facts.seen.led, facts.faults, calls)
            if facts.seen is not None
            else failovers(leads(of_servers), facts.faults, acknowledged)
        ),
        calls=columns(made_calls(calls)),
        views=finished.views,
        usage=finished.usage,
        untold=judged.untold,
        files=tuple(_files(facts.directory)),
        notes=judged.notes,
    )


def _judged(facts: RunFacts, calls: Sequence[HistoryCall], opening: Mapping[int, int]) -> Judged:
    names, epochs = facts.finished.evidence, dict[int, int]()
    if not names:
        return nothing_judged()
    try:
        with read_copies([facts.directory / "data" / name for name in names], opening) as copies:
            copies[0] = replace(copies[0], records=noting_epochs(copies[0].records, epochs))
            verdict = judge(calls, copies, BankModel(opening), begin_ns=facts.finished.started_ns)
    except BankError as error:
        return Judged(violations=(error.message,))
    return judged_as(verdict, facts, epochs, "accounts and the sum of money as the journal says")


def nothing_judged() -> Judged:
    """Return what is said where there is no evidence."""
    return Judged(notes=("No copy could be judged: nobody knew who leads when the run ended.",))


def judged_as(verdict: HistoryVerdict, facts: RunFacts, epochs: dict[int, int], state: str) -> Judged:
    """Return what a verdict says of a run; `state` is what the copies were found to be, in words."""
    names = facts.finished.evidence
    return Judged(
        violations=verdict.violations,
        untold=verdict.violation_count - len(verdict.violations),
        checked=tuple(_checked(verdict, state)),
        counts=(
            ("in doubt, then found done", verdict.unknown_done),
            ("in doubt, then found cancelled", verdict.unknown_cancelled),
            ("in doubt, then found not done", verdict.unknown_not_done),
            ("entries in the journal", verdict.entries),
        ),
        notes=() if len(names) == len(facts.servers) else (f"Only the disk of {names[0]} was judged.",),
        epochs=epochs,
    )


def noting_epochs(records: Iterable[Record], epochs: dict[int, int]) -> Iterator[Record]:
    """Yield the records; at which action id each epoch begins is noted in `epochs`."""
    for record in records:
        if record.epoch not in epochs:
            epochs[record.epoch] = record.first_id
        yield record


def _checked(verdict: HistoryVerdict, state: str) -> Iterator[str]:
    copies = ", ".join(verdict.copies)
    yield (
        f"Each of {verdict.operations} operations and {verdict.reads} reads in {verdict.calls} calls against "
        f"the journal: what was answered stands there once, as it was told."
    )
    yield f"No entry of {verdict.entries} without somebody who asked for it; a replay gives every result."
    yield "Nothing older than what had been told before it was asked for (linearizable)."
    yield f"{copies}: equal to the last digest; {state}."


def _broken_logs(facts: RunFacts) -> Iterator[str]:
    """Say which process of ours wrote that a rule was broken; any log of the run."""
    for log in sorted((facts.directory / "log").glob("*.log")):
        if log.stem in facts.of_others:
            continue
        with log.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                if _BROKEN.search(line):
                    yield f"{log} line {number}: {line.strip()[:300]}"
                    break


def _spans(facts: RunFacts, server: str) -> list[RoleSpan]:
    if facts.seen is not None:
        return list(role_spans(server, facts.seen.said_by(server), (), ended_ns=facts.finished.ended_ns))
    said = said_by(facts.directory / "log" / f"{server}.log", unix_ns_at_zero=facts.unix_ns_at_zero)
    return list(role_spans(server, said, facts.faults, ended_ns=facts.finished.ended_ns))


def _serving(facts: RunFacts, process: str) -> Iterator[RoleSpan]:
    finished = facts.finished
    return serving_spans(process, facts.faults, started_ns=finished.started_ns, ended_ns=finished.ended_ns)


def _processes(facts: RunFacts) -> Iterator[RecordedProcess]:
    for name in facts.databases or facts.servers:
        yield RecordedProcess(name=name, kind=ProcessKind.SERVER)
    for keeper in (facts.witness, *facts.members):
        yield RecordedProcess(name=keeper, kind=ProcessKind.WITNESS)
    for server in facts.servers if facts.databases else ():  # They are clients of the database.
        yield RecordedProcess(name=server, kind=ProcessKind.CLIENT)
    for client in facts.clients:
        yield RecordedProcess(name=client, kind=ProcessKind.CLIENT)


def _environment(facts: RunFacts) -> Environment:
    described = (
        ("machine", f"{os.cpu_count()} processors, {platform.machine()}"),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("Python", platform.python_version()),
        ("SQLite", apsw.sqlite_lib_version()),
        *facts.facts,
    )
    return Environment(cuts_by=facts.cuts_by, facts=described)


def _counts(calls: Sequence[HistoryCall]) -> Iterator[tuple[str, int]]:
    kinds = Counter(call.kind for call in calls)
    outcomes = Counter(made.outcome for made in made_calls(calls))
    yield "operations and reads asked for", sum(max(1, len(call.operations)) for call in calls)
    yield "calls", len(calls)
    yield from ((plural, kinds[kind]) for kind, plural in _PLURALS.items() if kinds[kind])
    for outcome in OutcomeKind:
        yield f"calls {outcome.value}", outcomes[outcome]
    yield "calls never completed", sum(call.completed_ns is None for call in calls)


def _files(directory: Path) -> Iterator[tuple[str, str]]:
    for name, what in (
        ("history", "history"),
        ("data", "journals"),
        ("database", "databases"),
        ("faults.jsonl", "faults"),
        ("log", "logs"),
        ("run.json", "run"),
        (RECORDING, "recording"),
    ):
        if (directory / name).exists() or name == RECORDING:
            yield what, str(directory / name)
