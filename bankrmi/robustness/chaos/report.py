"""The report of a run: its recording, in one HTML file with the page that shows it."""

from __future__ import annotations

from pathlib import Path

from bankrmi.console.one_page import one_page
from bankrmi.errors import ConfigurationError
from bankrmi.robustness.chaos.recorded import Recorded
from bankrmi.robustness.chaos.retold import events_of

__all__ = ["check_writable", "report", "write_report"]


def check_writable(path: Path) -> None:
    """See that a report can be written there, before a run; raise ConfigurationError, saying why not."""
    there = path.exists()
    try:
        path.open("a").close()
    except FileNotFoundError:
        raise ConfigurationError(f"the report {path} cannot be written: there is no such folder") from None
    except OSError as error:
        raise ConfigurationError(f"the report {path} cannot be written: {error.strerror}") from None
    if not there:
        path.unlink()


def write_report(recorded: Recorded, path: Path) -> None:
    """Write the report of a run; raise ConfigurationError if that cannot be."""
    try:
        path.write_text(report(recorded), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"the report {path} cannot be written: {error.strerror}") from None


def report(recorded: Recorded) -> str:
    """Return the report of a run."""
    return one_page(events_of(recorded))
