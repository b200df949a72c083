"""The command that runs whole banks in one process, under faults drawn from a seed."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from bankrmi.cli.exit_codes import ExitCode, SimulationCode
from bankrmi.cli.invocation import Invocation, say
from bankrmi.cli.service_options import (
    model_option,
    say_what_was_called,
    served_class,
    workload_option,
)
from bankrmi.cli.written_numbers import RealRange
from bankrmi.counted import counted
from bankrmi.parent_death import end_with_parent
from bankrmi.written_over import is_dumb

if TYPE_CHECKING:
    from bankrmi.robustness.services.found import FoundService
    from bankrmi.robustness.simulator.simulation import SimulationResult
    from bankrmi.robustness.simulator.workload import MethodCounts, Workload

__all__ = ["COMMANDS"]

_LAST_HAPPENINGS = 40
_TOLD_IN_FULL = 3
_CODES = {"safety": SimulationCode.SAFETY, "liveness": SimulationCode.LIVENESS, "crash": SimulationCode.CRASH}

_EPILOG = """\b
Exit codes: 0 nothing was found, 1 something happened that never may (safety),
2 nothing happened, though it should have (liveness), or wrong usage,
3 the code itself failed, 130 interrupted."""


@dataclass(slots=True)
class _Tally:
    """What all seeds so far came to."""

    began: float = field(default_factory=time.monotonic)
    seeds: int = 0
    events: int = 0
    calls: int = 0
    acknowledged: int = 0
    simulated_ms: float = 0.0
    failed: list[SimulationResult] = field(default_factory=list)
    methods: dict[str, MethodCounts] = field(default_factory=dict)
    """What the calls of each method of a class came to."""

    def add(self, result: SimulationResult) -> None:
        """Count one more."""
        self.seeds += 1
        self.events += result.events
        self.calls += result.calls
        self.acknowledged += result.acknowledged
        self.simulated_ms += result.simulated_ms
        for name, counts in result.methods.items():
            self.methods.setdefault(name, type(counts)()).include(counts)
        if result.failure is not None:
            self.failed.append(result)

    def __str__(self) -> str:
        seconds = max(time.monotonic() - self.began, 0.001)
        found = f"{len(self.failed)} failed" if self.failed else "no violation"
        return (
            f"{counted(self.seeds, 'seed')}, {found} in {self.acknowledged} acknowledged operations "
            f"({self.calls} calls, {counted(round(self.simulated_ms / 60_000), 'simulated minute')}); "
            f"{self.events} events in {seconds:.1f} s: {self.events / seconds:.0f} events/s, "
            f"{self.acknowledged / seconds:.0f} operations/s"
        )


def _complete_bug(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from bankrmi.robustness.mutants import MUTANTS

    return [name for name in MUTANTS if name.startswith(incomplete)]


@click.command(epilog=_EPILOG)
@click.option(
    "--seeds",
    metavar="N",
    type=click.IntRange(min=1),
    help="How many.  [default: 100, or as many as --minutes allow]",
)
@click.option(
    "--seed", metavar="S", type=click.IntRange(min=0), default=0, show_default=True, help="The first."
)
@click.option("--minutes", metavar="M", type=RealRange(min=0, min_open=True), help="Stop after M minutes.")
@click.option(
    "--jobs",
    metavar="J",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that run seeds at a time.",
)
@click.option(
    "--servers", type=click.Choice(["2", "3"]), help="In each bank.  [default: 2, or what --break needs]"
)
@click.option(
    "--clocks-apart",
    is_flag=True,
    help="Clocks run apart by more than drift_ms: a read may be stale then, everything else must hold.",
)
@click.option(
    "--load",
    "under_load",
    is_flag=True,
    help="Instead of faults much to do: no view may change, and no call end in doubt.",
)
@click.option(
    "--break",
    "bug",
    metavar="BUG",
    shell_complete=_complete_bug,
    help="Plant a bug in the rules, and show the first history that goes wrong; `--break list` names them.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="With --break: an object a line, for each seed that is tried, and last the history that goes wrong, "
    "beside the same one with the rule in; with --break list: the bugs.",
)
@click.option("--parent-pid", type=int, hidden=True, help="End when this process does.")
@click.option(
    "--exhaustive",
    is_flag=True,
    help="Instead of seeds: every order of events of a very small bank, for --minutes (10 if not said).",
)
@click.option(
    "--services",
    is_flag=True,
    help="Instead of the bank: in each world a class that is made up, or several of one pair: methods, "
    "exceptions and migrations.",
)
@workload_option
@model_option
@click.pass_obj
def simulate(
    invocation: Invocation,
    seeds: int | None,
    seed: int,
    minutes: float | None,
    jobs: int,
    servers: str | None,
    clocks_apart: bool,
    under_load: bool,
    bug: str | None,
    as_json: bool,
    parent_pid: int | None,
    exhaustive: bool,
    services: bool,
    workload: str | None,
    model: str | None,
) -> int:
    """Run N simulated banks under faults; with `bankrmi serve MODULE:CLASS simulate`, that class.

    Each seed is half a minute of one bank's life, or four seconds of a class's: messages are delayed, lost,
    doubled and cut off, servers crash, pause, fill their disks and start again, the witness goes away. After
    every step the promises are checked; in the end, all that clients were told is. A failing seed prints
    itself, the rule that was broken, and what happened last.

    A class is held against itself, one call after the other, or against the plain class of --model. What
    clients do, says the function of --workload (else `workload` in the module of the class; else any method
    is called): see docs/how-to/test-your-class.md. A class that names the ones before (`previous`) is
    migrated from the oldest on; of several services, one after the other.
    """
    from bankrmi.robustness.simulator.many import simulate_many

    end_with_parent(parent_pid)
    served = served_class(invocation, workload, model)
    if served is not None and _given("bug", "exhaustive", "services", "under_load"):
        raise click.UsageError(
            "--break, --exhaustive, --load and --services are not for a class that is served"
        )
    if services and _given("bug", "exhaustive", "under_load"):
        raise click.UsageError(
            "--services goes with seeds and faults: leave --break, --exhaustive and --load out"
        )
    if exhaustive:
        if _given("seeds", "seed", "jobs", "servers", "clocks_apart", "under_load", "bug"):
            raise click.UsageError("--exhaustive has no seeds, and goes with --minutes only")
        from bankrmi.cli.exhaustive import run

        return run(minutes if minutes is not None else 10)
    if clocks_apart and under_load:
        raise click.UsageError("--load is a world without faults: leave --clocks-apart out")
    if as_json and bug is None:
        raise click.UsageError("--json is of --break: name a bug")
    if bug == "list":
        return _list_bugs(as_json=as_json)
    if bug is not None:
        if jobs != 1 or minutes is not None:
            raise click.UsageError(
                "--break stops at the first seed that goes wrong: leave --jobs and --minutes out"
            )
        if as_json:
            return _break_as_json(bug, seed, seeds or 1000)
        return _break(bug, seed, seeds or 1000, servers, clocks_apart, under_load)
    workload_of: Callable[[int], Workload] | None = None
    duration_ms = None
    if served is not None or services:
        from bankrmi.robustness.services import seeds as of_services

        workload_of = of_services.made_up_workload if served is None else served.world
        duration_ms = of_services.DURATION_MS
    results_of = partial(
        simulate_many,
        workload_of=workload_of,
        duration_ms=duration_ms,
        servers=int(servers or "2"),
        clocks_apart=clocks_apart,
        under_load=under_load,
        jobs=jobs,
    )
    words = ["bankrmi"] if served is None else invocation.words_before()
    words += ["simulate", *(["--services"] if services else [])]
    words += [*(["--workload", workload] if workload else []), *(["--model", model] if model else [])]
    again = shlex.join(words)
    return _try(results_of, seed, seeds, minutes, again, served)


def _given(*names: str) -> bool:
    """Whether any of these options was written."""
    source_of = click.get_current_context().get_parameter_source
    return any(source_of(name) is not ParameterSource.DEFAULT for name in names)


def _try(
    results_of: Callable[..., Generator[SimulationResult, None, None]],
    seed: int,
    seeds: int | None,
    minutes: float | None,
    again: str,
    served: FoundService | None,
) -> int:
    ends = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    wanted = 100 if seeds is None and minutes is None else seeds
    tally = _Tally()
    results = results_of(seed, wanted, go_on=lambda: time.monotonic() < ends)
    try:
        _run(results, tally, wanted, again)
    except BrokenProcessPool:
        say(str(tally))
        say("A process that ran seeds was killed, perhaps for want of memory: try again with fewer --jobs.")
        return SimulationCode.CRASH
    except KeyboardInterrupt:
        results.close()
        say(str(tally))
        raise
    click.echo(str(tally))
    if served is not None:
        say_what_was_called(tally.methods, served)
    if tally.failed:
        say(f"failed: {' '.join(str(result.seed) for result in tally.failed)}")
    return _exit_code(tally.failed)


def _list_bugs(*, as_json: bool) -> int:
    from bankrmi.robustness.mutants import MUTANTS

    if as_json:
        bugs = [
            {"name": one.name, "rule": one.rule, "goes_wrong": one.goes_wrong} for one in MUTANTS.values()
        ]
        click.echo(json.dumps(bugs))
        return ExitCode.DONE
    for mutant in MUTANTS.values():
        click.echo(f"{mutant.name}  ({mutant.rule})")
        click.echo(f"    {mutant.goes_wrong}")
    return ExitCode.DONE


def _break(bug: str, seed: int, seeds: int, servers: str | None, clocks_apart: bool, under_load: bool) -> int:
    """Plant a bug, and show the first of `seeds` seeds in which it does the harm that it is there to do.

    Anything else that a bank with a bug does, such as waiting for ever, would only lead astray.
    """
    from bankrmi.robustness.mutants import planted
    from bankrmi.robustness.simulator.simulation import simulate as run_seed

    with planted(bug) as mutant:
        apart, load = clocks_apart or mutant.clocks_apart, under_load or mutant.under_load
        click.echo(f"planted: {mutant.name}, rule {mutant.rule}: {mutant.goes_wrong}")
        tally = _Tally()
        with _progress(seeds) as show:
            for number in range(seed, seed + seeds):
                size = int(servers) if servers is not None else mutant.servers_for(number)
                result = run_seed(
                    number,
                    servers=size,
                    clocks_apart=apart,
                    under_load=load,
                    workload=mutant.workload_for(number),
                    duration_ms=mutant.duration_ms,
                )
                if result.failure is not None and result.failure.kind != mutant.kind:
                    result = replace(result, failure=None)
                tally.add(result)
                show(tally)
                if result.failure is not None:
                    break
        for result in tally.failed:
            _tell(result, in_full=True, bug=bug)
    click.echo(str(tally))
    return _exit_code(tally.failed)


def _break_as_json(bug: str, seed: int, seeds: int) -> int:
    """The same for whoever draws it: the rule as the only difference between two histories of one seed."""
    from bankrmi.robustness.mutants import two_histories

    def tell(told: Mapping[str, Any]) -> None:
        click.echo(json.dumps(told, separators=(",", ":")))

    found = two_histories(bug, first=seed, seeds=seeds, on_seed=lambda number: tell({"seed": number}))
    tell({"found": None if found is None else found.as_json()})
    return ExitCode.DONE if found is None else _CODES[found.mutant.kind]


def _run(results: Iterator[SimulationResult], tally: _Tally, wanted: int | None, again: str) -> None:
    with _progress(wanted) as show:
        for result in results:
            tally.add(result)
            show(tally)
            if result.failure is not None:
                _tell(result, in_full=len(tally.failed) <= _TOLD_IN_FULL, again=again)


def _exit_code(failed: list[SimulationResult]) -> int:
    """Return the code of the worst: what never may happen, then what should have, then mistakes."""
    kinds = {result.failure.kind for result in failed if result.failure is not None}
    return next((_CODES[kind] for kind in _CODES if kind in kinds), ExitCode.DONE)


@contextmanager
def _progress(wanted: int | None) -> Iterator[Callable[[_Tally], None]]:
    """Show a bar to a person who waits; nothing where nobody watches."""
    if not sys.stderr.isatty() or is_dumb():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=wanted)

        def show(tally: _Tally) -> None:
            rate = tally.events / max(time.monotonic() - tally.began, 0.001)
            words = f"{len(tally.failed)} failed, {tally.acknowledged} operations, {rate:.0f} events/s"
            progress.update(task, completed=tally.seeds, description=words)

        yield show


def _tell(result: SimulationResult, *, in_full: bool, bug: str = "", again: str = "bankrmi simulate") -> None:
    failure = result.failure
    assert failure is not None
    click.echo(f"seed {result.seed} failed ({failure.kind}): {failure}")
    if in_full:
        for call in result.newest:
            click.echo(f"  {call}")
        head, *lines = result.chart or [""]
        for line in [head, *lines[-_LAST_HAPPENINGS:]]:
            click.echo(f"  {line}".rstrip())
    more = (" --clocks-apart" if result.clocks_apart else "") + (" --load" if result.under_load else "")
    more += f" --break {bug}" if bug else ""
    click.echo(f"again: {again} --seeds 1 --seed {result.seed} --servers {result.servers}{more}")


COMMANDS = (simulate,)
