"""What identifies the ledger in a file, printed by a process of its own.

    python -m bankrmi.bank.ledger_fingerprint ledger.csv

Rule: it imports nothing but what reads a ledger: a server that starts has one run beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bankrmi.bank.accounts import fingerprint
from bankrmi.bank.ledger_file import read_ledger
from bankrmi.errors import ConfigurationError


def main(path: str) -> int:
    """Print what identifies the ledger in this file; return 1 if it cannot be understood."""
    try:
        print(fingerprint(read_ledger(Path(path))).hex())  # noqa: T201
    except ConfigurationError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
