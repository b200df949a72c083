"""The ledger as a file: what a bank opens with, and what `export` writes.  The same format both ways.

Rule 1: a ledger is taken as a whole or refused as a whole, with file, line and what is wrong.
Rule 2: what is written can be read again, and gives the same balances.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from bankrmi.bank.operations import LARGEST
from bankrmi.errors import ConfigurationError

__all__ = ["HEADER", "read_ledger", "write_ledger"]

HEADER = "account-id,balance"

_WHOLE = re.compile(r"[0-9]+")
_MOST_DIGITS = len(str(LARGEST))


def read_ledger(path: Path) -> dict[int, int]:
    """Return the balance of each account; raise ConfigurationError if anything at all is wrong."""
    try:
        # Lines end with LF or CRLF and nothing else, or the numbers would not be those of an editor.
        with path.open(encoding="utf-8-sig", newline="\n") as lines:
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


def _balances(path: Path, lines: Iterable[str]) -> dict[int, int]:
    balances: dict[int, int] = {}
    first_seen: dict[int, int] = {}
    for number, line in enumerate(lines, start=1):
        cells = [cell.strip() for cell in line.split(",")]
        if cells == [""] or (number == 1 and ",".join(cells).lower() == HEADER):
            continue
        try:
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
