"""`python -m bankrmi` and the console script `bankrmi`: the command line, and nothing else."""

from __future__ import annotations

import signal
import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line; return its exit code."""
    # Until all is here that knows what to do with them, they would end us without a word, or in a traceback.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    _import_structlog()
    from bankrmi.cli import run

    return run(sys.argv[1:])


def _import_structlog() -> None:
    """structlog loads rich, if there is any, for tracebacks in colour.

    Nobody prints those here, and they take a sixth of the time in which a server starts.
    """
    sys.modules["rich"] = None  # type: ignore[assignment]  # So an import fails (import system, 5.3.1).
    try:
        import structlog  # noqa: F401
    finally:
        del sys.modules["rich"]


if __name__ == "__main__":
    sys.exit(main())
