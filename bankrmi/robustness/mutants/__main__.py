"""`python -m bankrmi.robustness.mutants`: hunt every planted bug, and print the table.

Exit code 1 if a bug was not found: then a fault or a check is missing in the simulator.
"""

from __future__ import annotations

from pathlib import Path

import click

from bankrmi.errors import BankError
from bankrmi.robustness.mutants.hunting import MUTANTS, SEEDS, Found, mutant_named
from bankrmi.robustness.mutants.table import as_markdown, hunt_all, line, write_between_marks


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--seeds", type=click.IntRange(min=1), default=SEEDS, show_default=True, help="At most, for each."
)
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Hunts at a time.")
@click.option(
    "--write",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Keep the table in this document, between its marks.",
)
@click.pass_context
def main(context: click.Context, names: tuple[str, ...], seeds: int, jobs: int, write: Path | None) -> None:
    """Plant each bug (or those named), and count the seeds until the simulator sees it."""
    try:
        wanted = [mutant_named(name).name for name in names] or list(MUTANTS)
        results: list[tuple[str, Found | None]] = []
        for name, found in hunt_all(wanted, seeds=seeds, jobs=jobs):
            results.append((name, found))
            click.echo(line(name, found, seeds))
        if write is not None:
            write_between_marks(write, as_markdown(results, seeds))
    except BankError as error:
        raise click.UsageError(str(error)) from error
    missed = [name for name, found in results if found is None]
    click.echo(f"{len(results)} planted bugs, {len(results) - len(missed)} found within {seeds} seeds each")
    context.exit(1 if missed else 0)


if __name__ == "__main__":
    main(prog_name="python -m bankrmi.robustness.mutants")
