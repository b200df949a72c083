"""The command line: commands by group, the menu, the supervisor behind `up`.

Rule 1: data goes to standard output, chatter to standard error.
Rule 2: an error is one sentence and an exit code (`exit_codes`), never a traceback.
"""

from __future__ import annotations

__all__ = ["run"]


def run(arguments: list[str]) -> int:
    """Run one command line; return its exit code."""
    from bankrmi.cli.main import main

    return main(arguments)
