"""`python -m bankrmi.robustness.power_loss`: records a bank, judges states, flips bits, fails disks.

Rule 1: exit code 0 if nothing was found, 1 if anything was, 2 if it could not be run.
Rule 2: nothing outside its own temporary folder is touched, but for states with a violation, which are kept.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import click

from bankrmi.config import load
from bankrmi.errors import BankError
from bankrmi.robustness.power_loss.bit_flips import Flips, flip_bits
from bankrmi.robustness.power_loss.disk_failures import CASES, run
from bankrmi.robustness.power_loss.load import LEDGER
from bankrmi.robustness.power_loss.processes import WITNESS
from bankrmi.robustness.power_loss.search import PowerLossFindings, UnsoundState, reference_of, search
from bankrmi.robustness.power_loss.story import LONG, SHORT, record
from bankrmi.robustness.power_loss.strace import without_strace
from bankrmi.written_over import WrittenOver

_MEMORY = Path("/dev/shm")  # noqa: S108 (a folder of our own is made in it)
_SHOWN = 20
_PROGRESS = WrittenOver()


@click.command()
@click.option("--states", metavar="N", type=click.IntRange(min=0), default=10_000, show_default=True)
@click.option("--flips", metavar="N", type=click.IntRange(min=0), default=1_000, show_default=True)
@click.option("--failures/--no-failures", default=True, help="Have disks fail under load, too.")
@click.option("--seed", default="1", show_default=True, help="What is drawn is drawn from it.")
@click.option("--short", is_flag=True, help="Record a short run, as the tests do.")
@click.option(
    "--keep",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=Path("power-loss-violations"),
    show_default=True,
    help="Where disks with a violation are kept.",
)
def main(states: int, flips: int, failures: bool, seed: str, short: bool, keep: Path) -> None:
    """Lose the power, at every moment of a recorded run, and open what is left.

    States are what a power loss could leave on the disk of a server or of the witness; each is opened by the
    product's own code. Needs strace.
    """
    missing = without_strace()
    if missing is not None:
        click.echo(missing, err=True)
        sys.exit(2)
    found = 0
    try:
        if states:
            found += _states(states, seed, keep, short=short)
        if flips:
            found += _flips(flips, seed)
        if failures:
            found += _failures(seed)
    except BankError as error:
        click.echo(f"the run could not be finished: {error.message}", err=True)
        sys.exit(2)
    sys.exit(1 if found else 0)


def _states(states: int, seed: str, keep: Path, *, short: bool) -> int:
    memory = str(_MEMORY) if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="bankrmi-power-", dir=memory) as folder:
        began = time.monotonic()
        story = record(Path(folder), SHORT if short else LONG, seed=seed, say=_PROGRESS.show)
        _PROGRESS.clear()
        changes = sum(len(disk.operations) for disk in story.disks)
        click.echo(
            f"recorded in {time.monotonic() - began:.0f} s: {len(story.disks)} disks, {changes} operations, "
            f"{len(story.told)} requests answered"
        )
        configuration = load(Path(folder) / f"{WITNESS}.yaml")
        reference = reference_of(story, LEDGER)
        findings = search(story.disks, reference, configuration, states=states, seed=seed, say=_PROGRESS.show)
    _PROGRESS.clear()
    _tell_states(findings)
    for number, violation in enumerate(findings.violations[:_SHOWN], 1):
        click.echo(f"{violation}\n  kept in {_keep(keep / str(number), violation)}")
    return len(findings.violations)


def _tell_states(findings: PowerLossFindings) -> None:
    what = f"{len(findings.violations)} violations" if findings.violations else "no violation"
    click.echo(
        f"{what} in {findings.states} states ({findings.seconds:.0f} s, "
        f"{findings.states / max(findings.seconds, 0.001):.0f} a second): {findings.intervals_tried} of "
        f"{findings.intervals} intervals between syncs, with {findings.answers_covered} of "
        f"{findings.answers} answers"
    )
    for way, count in findings.ways.most_common():
        click.echo(f"  {count:6} {way}")


def _keep(folder: Path, violation: UnsoundState) -> Path:
    for directory in sorted(violation.state.directories):
        (folder / directory).mkdir(parents=True, exist_ok=True)
    for path, content in violation.state.files.items():
        (folder / path).write_bytes(content)
    return folder


def _flips(flips: int, seed: str) -> int:
    violations = 0
    for stopped in (True, False):
        result = flip_bits(flips if stopped else flips // 4, seed=seed, stopped=stopped, say=_PROGRESS.show)
        _PROGRESS.clear()
        _tell_flips(result, "stopped in good order" if stopped else "killed")
        violations += len(result.violations)
    return violations


def _tell_flips(result: Flips, how: str) -> None:
    click.echo(f"{result.outcomes.total()} bits flipped in the files of a server that was {how}:")
    for (file, outcome), count in result.outcomes.most_common():
        told = result.told_by_verify[file, outcome]
        click.echo(f"  {count:6} {file}: {outcome} ({told} found by `bankrmi verify`)")
    for violation in result.violations[:_SHOWN]:
        click.echo(f"  violation: {violation}")


def _failures(seed: str) -> int:
    wrong = [each for case in CASES for each in run(case, seed=seed, say=click.echo)]
    for each in wrong:
        click.echo(f"  violation: {each}")
    click.echo(f"{len(CASES)} disks failed under load, {len(wrong)} violations")
    return len(wrong)


if __name__ == "__main__":
    main()
