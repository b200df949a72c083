"""One run: row after row, round after round, system after system; what is known is there at any moment.

Rule 1: who begins a round changes from round to round: nobody always comes first, or after the same one.
Rule 2: a system that fails in a row is left out of that row, with the reason; the others go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bankrmi.bench.bank import own_folder
from bankrmi.bench.class_plan import ClassPlan
from bankrmi.bench.figures import Finding, Results
from bankrmi.bench.plan import Plan
from bankrmi.bench.rows.all import ROWS
from bankrmi.bench.rows.of_classes import CLASS_ROWS, ClassRowOptions
from bankrmi.bench.rows.row import RowOptions
from bankrmi.bench.shapes import Shape
from bankrmi.bench.systems.all import PEERS, Ours
from bankrmi.bench.systems.our_class import OurClass
from bankrmi.bench.systems.system import System
from bankrmi.bench.telling import ProgressDisplay, found, measured
from bankrmi.errors import BankError

__all__ = ["available", "run", "run_class"]


def available(plan: Plan, results: Results) -> list[type[System]]:
    """Return which systems to measure; note what is missing for the others."""
    chosen: list[type[System]] = [Ours]
    for name in plan.against:
        missing = PEERS[name].missing()
        if missing is None:
            chosen.append(PEERS[name])
        else:
            results.skipped[name] = missing
    return chosen


def run(plan: Plan, results: Results, progress: ProgressDisplay) -> None:
    """Measure everything; `results` has at any moment what is known."""
    if plan.shapes:
        with own_folder() as folder, _running(plan, results, folder, progress) as systems:
            for shape in plan.shapes:
                _compare(shape, systems, plan, results, progress)
    for name, parts in plan.other_rows.items():
        missing = ROWS[name].missing()
        if missing is None:
            _look_at(name, parts, plan, results, progress)
        else:
            results.skipped[name] = missing
            progress.say(f"{name}: {missing}")


def run_class(plan: ClassPlan, results: Results, progress: ProgressDisplay) -> None:
    """Measure the methods of a class, or of several; likewise."""
    results.skipped |= plan.skipped
    apart = {name: parts for name, parts in plan.other_rows.items() if CLASS_ROWS[name].own_servers}
    with own_folder() as folder:
        system = OurClass(folder, plan)
        try:
            if plan.rows or plan.other_rows.keys() - apart.keys():
                progress.show(f"starting {plan.serves}")
                system.start()
                for shape in plan.shapes:
                    _compare(shape, [system], plan, results, progress)
                    results.notes |= system.raised()
                for name in [one for one in plan.other_rows if one not in apart]:
                    _look_at_class(name, plan, system, results, progress)
                    results.notes |= system.raised()
        finally:
            system.stop()
        for name in apart:
            _look_at_class(name, plan, system, results, progress)


def _look_at_class(
    name: str, plan: ClassPlan, system: OurClass, results: Results, progress: ProgressDisplay
) -> None:
    """Measure a row of classes that is not one method."""
    asked = ClassRowOptions(plan=plan, system=system, parts=plan.other_rows[name], progress=progress)
    _take(name, CLASS_ROWS[name].measure(asked), results, progress)


def _look_at(
    name: str, parts: tuple[str, ...], plan: Plan, results: Results, progress: ProgressDisplay
) -> None:
    """Measure a row of a bank of ours alone."""
    asked = RowOptions(
        seconds=plan.seconds,
        rounds=plan.rounds,
        failovers=plan.failovers,
        records=plan.records,
        servers=plan.servers,
        engine=plan.engine,
        parts=parts,
        progress=progress,
    )
    _take(name, ROWS[name].measure(asked), results, progress)


def _take(name: str, findings: Iterator[Finding], results: Results, progress: ProgressDisplay) -> None:
    """Take in what a row finds out, one after the other."""
    try:
        for finding in findings:
            results.findings.append(finding)
            progress.say(found(finding))
    except (BankError, OSError) as error:
        results.failed[name] = _sentence(error)
        progress.say(f"{name}: {_sentence(error)}")


@contextmanager
def _running(
    plan: Plan, results: Results, folder: Path, progress: ProgressDisplay
) -> Iterator[Sequence[System]]:
    """Start everybody who is there; all are stopped in the end, whatever happens."""
    with ExitStack() as stack:
        started: list[System] = []
        for kind in available(plan, results):
            progress.show(f"starting {kind.name}")
            own = folder / kind.name
            own.mkdir()
            system = Ours(own, servers=plan.servers) if kind is Ours else kind(own)
            stack.callback(system.stop)
            try:
                system.start()
            except (BankError, OSError) as error:
                if kind is Ours:
                    raise
                results.failed[kind.name] = _sentence(error)
                progress.say(f"{kind.name}: {_sentence(error)}")
            else:
                started.append(system)
                if system.note:
                    results.notes[system.name] = system.note
        yield started


def _compare(
    shape: Shape,
    systems: Sequence[System],
    plan: Plan | ClassPlan,
    results: Results,
    progress: ProgressDisplay,
) -> None:
    """Measure one row."""
    taking_part = []
    for system in systems:
        why = system.unable(shape)
        if why is None:
            taking_part.append(system)
        else:
            results.skipped[f"{shape.name}, {system.name}"] = why
    for number in range(1, plan.rounds + 1):
        first = number % len(taking_part) if taking_part else 0
        for system in taking_part[first:] + taking_part[:first]:
            progress.show(f"{shape.name}: round {number} of {plan.rounds}, {system.name}")
            try:
                results.add(shape.name, system.name, system.measure(shape, plan.seconds, number))
            except (BankError, OSError) as error:
                results.failed[f"{shape.name}, {system.name}"] = _sentence(error)
                taking_part.remove(system)
    progress.say(measured(shape.name, results))


def _sentence(error: BankError | OSError) -> str:
    return error.message if isinstance(error, BankError) else f"{type(error).__name__}: {error}"
