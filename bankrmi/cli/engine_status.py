"""`bankrmi status` of servers whose accounts are in a database: nobody leads, each answers."""

from __future__ import annotations

from typing import Any

from bankrmi.cli.exit_codes import ExitCode, HealthCode
from bankrmi.cli.invocation import show_json, tell
from bankrmi.config import Configuration
from bankrmi.foreign_text import foreign

__all__ = ["print_engine_status", "show_engine_status"]


def show_engine_status(configuration: Configuration, *, as_json: bool, check: bool) -> int:
    """Print it once, as is asked for; return the exit code of `bankrmi status`."""
    from bankrmi.client.engine_overview import engine_overview

    found = engine_overview(configuration)
    code, sentence = engine_health(found)
    if as_json:
        show_json(found)
    elif check:
        tell(sentence)
    else:
        _print(found, sentence)
    return code if check or code == ExitCode.UNREACHED else ExitCode.DONE


def print_engine_status(configuration: Configuration) -> None:
    """Print the status once."""
    show_engine_status(configuration, as_json=False, check=False)


def engine_health(found: dict[str, Any]) -> tuple[int, str]:
    """Return the exit code for monitoring, and one sentence."""
    there = [one for one in found["servers"] if one["reachable"]]
    database, all_of_them = found["database"], len(found["servers"])
    if not there:
        return ExitCode.UNREACHED, "no server answers"
    if not any(one["database_answers"] for one in there):
        return HealthCode.NOTHING_ACKNOWLEDGED, f"the database {database} answers none of the servers"
    if any(one["retired_for"] for one in there):
        gone = next(foreign(one["retired_for"]) for one in there if one["retired_for"])
        return HealthCode.NOTHING_ACKNOWLEDGED, f"the bank is not in {database} any more: it is in {gone}"
    return ExitCode.DONE, f"{len(there)} of {all_of_them} servers answer; the accounts are in {database}"


def _print(found: dict[str, Any], sentence: str) -> None:
    tell(f"service {found['service']}: {sentence}")
    rows = [("server", "pid", "address", "waiting", "database")]
    for one in found["servers"]:
        if one["reachable"]:
            answers = "answers" if one["database_answers"] else str(one["why"])
            rows.append((one["server"], str(one["pid"]), one["address"], str(one["waiting"]), answers))
        else:
            rows.append((one["server"], "-", one["address"], "-", f"no answer: {one['reason']}"))
    widths = [max(len(row[place]) for row in rows) for place in range(4)]
    for row in rows:
        tell("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]))
    nameserver = found["nameserver"]
    if not nameserver["reachable"]:
        tell(f"the name server at {nameserver['address']} does not answer: {nameserver['reason']}")
