"""`python -m bankrmi` and the console script `bankrmi`: the command line, and nothing else."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line; return its exit code."""
    from bankrmi.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
