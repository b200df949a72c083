"""Pay everybody in a list, once each, whatever fails: a server, the network, or this program itself.

    python examples/pay_everybody.py wages-november.csv [config.yaml]

Each line of the list is `account,amount`. Run it again as often as you like: what was paid is not paid again,
for each line has a request id of its own, made of the list's name and the line's number. A line that is
changed after it was paid is refused, and not paid anew.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import bankrmi
from bankrmi.errors import Busy, Refused, Unreached, Unsettled


def pay(bank: bankrmi.BankClient, account: int, amount: int, request_id: str) -> bankrmi.Receipt:
    """Return the receipt, however long it takes; raise Refused if this cannot be paid."""
    while True:
        try:
            return bank.deposit(account, amount, request_id=request_id)
        except (Unsettled, Busy, Unreached) as error:
            # Nobody could answer before the deadline. The same id again: it is the same payment.
            print(f"{request_id}: {error}; once more", file=sys.stderr)


def main(list_file: Path, configuration: str = "config.yaml") -> int:
    """Return how many could not be paid."""
    refused = 0
    with bankrmi.connect(configuration, timeout=10) as bank, list_file.open(newline="") as lines:
        for number, (account, amount) in enumerate(csv.reader(lines), start=1):
            request_id = f"{list_file.stem}-{number}:1"
            try:
                receipt = pay(bank, int(account), int(amount), request_id)
            except Refused as error:
                print(f"{request_id}: not paid: {error}")
                refused += 1
            else:
                print(f"{request_id}: paid, account {account} has {receipt.balance}", flush=True)
    return refused


if __name__ == "__main__":
    sys.exit(min(main(Path(sys.argv[1]), *sys.argv[2:3]), 100))
