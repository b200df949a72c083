"""The commands that record a bank into a file, and show such a file."""

from __future__ import annotations

import asyncio
import webbrowser
from pathlib import Path

import click

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.invocation import Invocation, say, tell
from bankrmi.cli.written_files import write_file
from bankrmi.cli.written_numbers import RealRange
from bankrmi.errors import ConfigurationError
from bankrmi.written_over import WrittenOver

__all__ = ["COMMANDS"]

_MEGABYTES = 64
_MOST_MEGABYTES = 512


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--minutes", metavar="M", type=RealRange(min=0.01, max=1_000_000), help="When it ends; else with Ctrl-C."
)
@click.option(
    "--megabytes",
    metavar="MB",
    type=click.IntRange(1, _MOST_MEGABYTES),
    default=_MEGABYTES,
    show_default=True,
    help="How large the file may become; then the recording ends.",
)
@click.option(
    "--no-look-ups",
    is_flag=True,
    help="Only ask how the bank is; else a balance is looked up, too, twenty times a second.",
)
@click.option(
    "--call",
    metavar="CALL",
    help="Of a class: the query that is asked as often, such as 'get(\"apple\")', or of several services "
    "'stock.left(\"apple\")'.  [default: none]",
)
@click.pass_obj
def record(
    invocation: Invocation,
    file: Path,
    minutes: float | None,
    megabytes: int,
    no_look_ups: bool,
    call: str | None,
) -> int:
    """Record what happens to a running bank into FILE, to be seen with `replay`.

    It asks as `status` does, and changes nothing; and as a client it looks up a balance, which shows how fast
    the bank answers, and for how long it did not. FILE must not be there yet; it is gzipped if its name ends
    in .gz, and whole whenever the recording ends, however that is.
    """
    from bankrmi.console.recorder import RecordOrder
    from bankrmi.console.recorder import record as run

    configuration = invocation.configuration()
    if call is not None and configuration.serves is None:
        raise click.UsageError("--call is of a class: of a bank a balance is looked up")
    if call is not None and no_look_ups:
        raise click.UsageError("--call and --no-look-ups: say one of them")
    if configuration.serves is not None and call is None and not no_look_ups:
        say("how fast calls are answered is not recorded: --call names a query")
    order = RecordOrder(
        path=file,
        seconds=None if minutes is None else minutes * 60,
        most_bytes=megabytes << 20,
        looks_up=not no_look_ups,
        call=call,
    )
    progress = WrittenOver(every_s=1.0)
    try:
        told = asyncio.run(run(configuration, order, progress.show))
    finally:
        progress.clear()
    tell(told)
    say(f"bankrmi replay {file} shows it")
    return ExitCode.DONE


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--to",
    "page",
    metavar="FILE.html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write the page; else beside FILE, with its name and .html.",
)
@click.option("--no-browser", is_flag=True, help="Only write the page.")
def replay(file: Path, page: Path | None, no_browser: bool) -> int:
    """Show a recording in a browser: who led when, what was done to whom, and what callers noticed.

    It is written as one page that needs nothing else, to be kept or sent, and opened if there is a browser.
    """
    from bankrmi.console.one_page import MARK, one_page
    from bankrmi.console.recording import read_recording

    recording = read_recording(file)
    where = page or file.with_name(f"{file.name.removesuffix('.gz').removesuffix('.jsonl')}.html")
    if page is None and where.exists() and MARK.encode() not in _beginning(where):
        raise ConfigurationError(
            f"{where} is there already, and is no page of a recording: --to names another"
        )
    content = one_page(recording.events)
    write_file(where, lambda stream: stream.write(content))
    if recording.left_out:
        say(recording.left_out)
    tell(str(where))
    if not no_browser and not webbrowser.open(where.absolute().as_uri()):
        say("No browser could be opened: open that file in one.")
    return ExitCode.DONE


def _beginning(page: Path) -> bytes:
    with page.open("rb") as file:
        return file.read(4096)


COMMANDS = (record, replay)
