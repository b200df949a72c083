"""The commands that tell why: how the view came to be what it is, and what follows from it now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.explanation import Explanation, explain
from bankrmi.cli.health import health
from bankrmi.cli.invocation import Invocation, show_json, tell
from bankrmi.config import load
from bankrmi.foreign_text import foreign
from bankrmi.moments import as_logged
from bankrmi.replication.cause import Cause, in_words
from bankrmi.replication.view import View

__all__ = ["COMMANDS", "row"]

_TITLES = ("when", "epoch", "primary", "in sync", "why", "by")
_MOST = 100_000


@click.command()
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1, _MOST),
    default=20,
    show_default=True,
    help="How many changes, the newest ones.",
)
@click.option(
    "--left",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="A configuration that names a keeper that was left; may be given again.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def history(invocation: Invocation, limit: int, left: tuple[Path, ...], as_json: bool) -> None:
    """Show every change of the view: when, why, and who proposed it.

    The witness keeps it, and is asked; the servers are not. The newest change is the last line. "When" is
    by the witness's clock, in UTC. What a version before made says neither when nor why. If the view was
    moved here from another keeper, that one is asked for what was before: a witness, or an etcd that takes
    everybody, as the view says; what else it takes is in the configuration from then, which --left names.
    """
    from bankrmi import client
    from bankrmi.coordination.keepers import keeper_in_words

    configuration = invocation.configuration()
    of_old = [load(file, insecure=invocation.insecure) for file in left]
    found = client.whole_history(configuration, limit=limit, left=of_old)
    if as_json:
        changes, elsewhere = [_plain(view) for view in found.views], list(found.elsewhere)
        show_json({"service": configuration.service, "changes": changes, "elsewhere": elsewhere})
        return
    none_yet = f"{keeper_in_words(configuration)} holds no view yet"
    for line in _table(found.views) if found.views else [none_yet]:
        tell(line)
    for sentence in found.elsewhere:
        tell(sentence)


def _plain(view: View) -> dict[str, Any]:
    return {
        "when": as_logged(view.written_us),
        "history": view.history,
        "epoch": view.epoch,
        "primary": view.primary,
        "in_sync": sorted(view.in_sync),
        "why": in_words(view.cause),
        "by": None if view.cause is None else view.cause.by,
        "cause": None if view.cause is None else view.cause.to_wire(),
        "forced": view.forced,
        "paused": None if view.paused is None else view.paused.to_wire(),
        "moves": [{**one.to_wire(), "when": as_logged(one.moved_us)} for one in view.moves],
    }


def _table(views: Sequence[View]) -> Iterator[str]:
    """Yield a line for each change; and one more where another history begins, and for each move."""
    rows = [row(view.written_us, view.epoch, view.primary, view.in_sync, view.cause) for view in views]
    widths = [max(len(cells[column]) for cells in (_TITLES, *rows)) for column in range(len(_TITLES))]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    yield line(_TITLES)
    for before, view, cells in zip((None, *views), views, rows, strict=False):
        if before is not None and before.history != view.history:
            yield f"history {foreign(view.history)} begins:"
        yield line(cells)
        for move in view.moves:
            by = f" by {foreign(move.operator)}" if move.operator else ""
            when = as_logged(move.moved_us) or "-"
            yield f"moved to another keeper{by} at {when}: it was {foreign(move.left)}"


def row(
    written_us: int | None, epoch: object, primary: object, in_sync: Iterable[str], cause: Cause | None
) -> tuple[str, ...]:
    """Return what is told of one view, in the order of the titles, whoever said it."""
    return (
        as_logged(written_us) or "-",
        foreign(epoch),
        foreign(primary),
        foreign(", ".join(sorted(in_sync))),
        foreign(in_words(cause)),
        "-" if cause is None else foreign(cause.by),
    )


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def why(invocation: Invocation, as_json: bool) -> int:
    """Say who leads and why, who may take over, and what if one more process died.

    In sentences, from what `status --json` shows; `history` has the changes before. Works while servers,
    the witness or the name server are down, and says so.
    """
    from bankrmi import client

    found = client.overview(invocation.configuration())
    told = explain(found)
    if as_json:
        show_json(told.as_json())
    else:
        _tell(told)
    return ExitCode.UNREACHED if health(found)[0] == ExitCode.UNREACHED else ExitCode.DONE


def _tell(told: Explanation) -> None:
    for sentence in told.now:
        tell(sentence)
    if told.successors:
        tell("\nWho may take over now:")
    for sentence in told.successors.values():
        tell(f"  {sentence}")
    if told.if_it_died:
        tell("\nIf one more process died now:")
    for name, then in told.if_it_died.items():
        tell(f"  {name}: {then}")


COMMANDS = (history, why)
