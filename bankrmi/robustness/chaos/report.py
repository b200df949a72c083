"""The report of a run: its recording, in one HTML file with the page that shows it."""

from __future__ import annotations

from pathlib import Path

from bankrmi.console.one_page import one_page
from bankrmi.errors import ConfigurationError
from bankrmi.robustness.chaos.recorded import Recorded
from bankrmi.robustness.chaos.retold import events_of

__all__ = ["report", "write_report"]


def write_report(recorded: Recorded, path: Path) -> None:
    """Write the report of a run; raise ConfigurationError if that cannot be."""
    try:
        path.write_text(report(recorded), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"the report {path} cannot be written: {error.strerror}") from None


def report(recorded: Recorded) -> str:
    """Return the report of a run."""
    return one_page(events_of(recorded))
