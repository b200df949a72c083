"""The ledger as a file: what a bank opens with, and what `export` writes.  The same format both ways.

Rule 1: a ledger is taken as a whole or refused as a whole, with file, line and what is wrong.
Rule 2: a plain file of a bounded size, or none: nothing is waited for, and nothing is read without an end.
Rule 3: what is written can be read again, and gives the same balances.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from bankrmi.bank.operations import LARGEST
from bankrmi.errors import ConfigurationError

__all__ = ["HEADER", "LARGEST_BYTES", "open_ledger", "read_ledger", "write_ledger"]

HEADER = "account-id,balance"

LARGEST_BYTES = 512 << 20
"""Of a ledger: some ten million accounts; more do not fit into the memory of most machines."""

_LONGEST_LINE = 1 << 16
_WHOLE = re.compile(r"[0-9]+")
_MOST_DIGITS = len(str(LARGEST))


def read_ledger(path: Path) -> dict[int, int]:
    """Return the balance of each account; raise ConfigurationError if anything at all is wrong."""
    try:
        # Lines end with LF or CRLF and nothing else, or the numbers would not be those of an editor.
        with open_ledger(path) as file, io.TextIOWrapper(file, "utf-8-sig", newline="\n") as lines:
            balances = _balances(path, lines)
    except OSError as error:
        raise ConfigurationError(f"the ledger {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"the ledger {path} is not text in UTF-8") from None
    if not balances:
        raise ConfigurationError(
            f"the ledger {path} has no accounts: lines '{HEADER}' are expected, like '2,300'"
        )
    return balances


def open_ledger(path: Path) -> io.BufferedReader:
    """Open the file; raise ConfigurationError for what is not one to read, OSError if it cannot be opened."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    found = os.fstat(descriptor)
    why = ""
    if not stat.S_ISREG(found.st_mode):
        why = "is not a plain file: name one that can be read from beginning to end"
    elif found.st_size > LARGEST_BYTES:
        why = f"is over {LARGEST_BYTES} bytes, the most that a ledger may have"
    if why:
        os.close(descriptor)
        raise ConfigurationError(f"the ledger {path} {why}")
    return os.fdopen(descriptor, "rb")


def _balances(path: Path, lines: Iterable[str]) -> dict[int, int]:
    balances: dict[int, int] = {}
    first_seen: dict[int, int] = {}
    for number, line in enumerate(lines, start=1):
        cells = [cell.strip() for cell in line[: _LONGEST_LINE + 1].split(",")]
        if cells == [""] or (number == 1 and ",".join(cells).lower() == HEADER):
            continue
        try:
            if len(line) > _LONGEST_LINE:
                raise ValueError(f"{len(line)} characters are too many for two numbers")
            account, balance = _account_line(cells)
            if account in balances:
                raise ValueError(f"account {account} is there already, in line {first_seen[account]}")
        except ValueError as mistake:
            raise ConfigurationError(f"{path} line {number}: {mistake}") from None
        balances[account] = balance
        first_seen[account] = number
    return balances


def _account_line(cells: list[str]) -> tuple[int, int]:
    if len(cells) != 2:
        raise ValueError(f"'{HEADER}' is expected, two numbers, and here are {len(cells)} values")
    return _whole_number("account id", cells[0]), _whole_number("balance", cells[1])


def _whole_number(what: str, text: str) -> int:
    shown = text if len(text) <= 40 else f"{text[:37]}..."
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"the {what} must be a whole number from 0 to {LARGEST}, not {shown!r}")
    digits = text.lstrip("0") or "0"
    if len(digits) > _MOST_DIGITS or int(digits) > LARGEST:
        raise ValueError(f"the {what} {shown} is over {LARGEST}, the largest there can be")
    return int(digits)


def write_ledger(stream: TextIO, balances: Iterable[tuple[int, int]]) -> None:
    """Write account ids and balances, one after the other as they come, in the order of the ids."""
    stream.write(f"{HEADER}\n")
    stream.writelines(f"{account},{balance}\n" for account, balance in balances)
