"""What does the work of a server cost on this machine?  Beside it, what the simulator takes it to be.

    python benchmarks/work_costs.py [--operations 8192] [--repeat 7]

The CPU time of this process, the least of several tries; the database is on a real disk, syncs not counted.
The simulator's amounts are the constants of `bankrmi/robustness/simulator/work.py`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import packed_forms
from bankrmi.bank.snapshot import Snapshot
from bankrmi.coordination.view_store import ViewStore
from bankrmi.protocol_versions import NEWEST
from bankrmi.replication.effects import Decided
from bankrmi.replication.journal import Adopted
from bankrmi.replication.messages import Checkpoint
from bankrmi.replication.record import Position, Record
from bankrmi.replication.view import View
from bankrmi.rmi import Call, LongAnswer, Peer
from bankrmi.rmi.frames import MSGPACK
from bankrmi.rmi.values import Bounds, read_value, write_call, write_value
from bankrmi.robustness.simulator import work
from bankrmi.server.answering import Asked, many
from bankrmi.server.exporting import PAGE
from bankrmi.server.request_figures import OF_ACCOUNTS, KindFigures
from bankrmi.server.wire import message_from_wire, message_to_wire
from bankrmi.storage.copying import PAGES_AT_ONCE, CopyMaker, verify_copy
from bankrmi.storage.database import open_database
from bankrmi.storage.journal import SqliteJournal

ACCOUNTS = 100_000
ITEMS = Bounds(10_000_000)


def main() -> None:
    """Measure, and print what was found beside the constants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--operations", type=int, default=8192)
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    print(f"{'':22} {'here, us':>12} {'simulator, us':>14}")
    with tempfile.TemporaryDirectory(prefix="bankrmi-costs-") as folder:
        for name, measured_ms in _Measured(Path(folder), options.operations, options.repeat).all().items():
            print(f"{name:22} {1000 * measured_ms:>12.4f} {1000 * getattr(work, name):>14.4f}")


class _Measured:
    """The amounts, by the names that they have in the simulator."""

    def __init__(self, folder: Path, operations: int, repeat: int) -> None:
        self._folder = folder
        self._operations = operations
        self._repeat = repeat
        self._databases = 0

    def _least_ms(self, action: Callable[[], Any], before: Callable[[], Any] = lambda: None) -> float:
        found = []
        for _ in range(self._repeat):
            before()
            began = time.process_time()
            action()
            found.append(1000 * (time.process_time() - began))
        return min(found)

    def _journal(self, accounts: int = ACCOUNTS) -> SqliteJournal:
        self._databases += 1
        database = open_database(self._folder / f"bank{self._databases}.db")
        ledger = dict.fromkeys(range(1, accounts + 1), 1_000_000)
        journal = SqliteJournal(database, Accounts(ledger), new_incarnation=lambda: "disk")
        journal.open(Adopted(history="h", epoch=1, primary="s1", start_id="s1#1"))
        journal.commit()
        return journal

    def all(self) -> dict[str, float]:
        """Return everything, in milliseconds."""
        return {**self._messages(), **self._records(), **self._copy_and_export(), **self._witness()}

    def _messages(self) -> dict[str, float]:
        """An element costs what many small ones do, a byte what is left in one long text."""
        few, many_ = write_value(MSGPACK, [1] * 1000), write_value(MSGPACK, [1] * 101_000)
        element_ms = (self._read_ms(many_) - self._read_ms(few)) / 100_000
        text_ms = self._read_ms(write_value(MSGPACK, ["x" * 1000] * 1000)) - 1000 * element_ms
        return {"ELEMENT_MS": element_ms, "BYTE_MS": max(0.0, text_ms / 1_000_000)}

    def _read_ms(self, payload: bytes) -> float:
        return self._least_ms(lambda: read_value(MSGPACK, payload, ITEMS))

    def _records(self) -> dict[str, float]:
        count = self._operations
        forms = [["withdraw", 1 + number % ACCOUNTS, 1] for number in range(count)]
        operations = packed_forms(forms)
        primary, standby = self._journal(), self._journal()
        records: list[Record] = []
        number = 0

        def decide() -> None:
            nonlocal number
            number += 1
            records[:] = [primary.decide(1, ("s" * 24, number), count, operations, 1)]

        decided_ms = self._least_ms(decide)
        primary.discard()
        decide()
        commit_ms = self._least_ms(primary.commit, decide)
        previous = primary.position(records[0].first_id - 1)
        assert previous is not None
        message = _checkpoint(previous, records)
        wire = message_to_wire(message, NEWEST)
        sent_ms = self._least_ms(
            lambda: write_call("bankrmi.standby.s2", "checkpoint", message_to_wire(message, NEWEST), {})
        )
        read_ms = self._least_ms(lambda: message_from_wire("checkpoint", wire, NEWEST))
        everything = primary.records(0, 10_000_000)

        def append() -> None:
            standby.append(everything)

        appended_ms = self._least_ms(append, standby.discard) / len(everything)
        asked = Asked(
            Call(_Nobody(), Peer(address=""), "submit", (), {}),
            many,
            {},
            KindFigures(OF_ACCOUNTS.outcomes),
            request_id="s:1",
        )
        reply = Decided("h" * 24, records[0])
        told_ms = self._least_ms(lambda: write_value(MSGPACK, _whole(many(asked, reply))))
        packed_ms = self._least_ms(lambda: packed_forms(forms))
        return {
            "PACKED_MS": packed_ms / count,
            "DECIDED_MS": decided_ms / count,
            "SENT_MS": sent_ms / count,
            "APPENDED_MS": (read_ms + appended_ms) / count,
            "TOLD_MS": told_ms / count,
            "FLUSHED_MS": commit_ms / count,
        }

    def _copy_and_export(self) -> dict[str, float]:
        journal = self._journal()
        for number in range(1, 13):
            operations = packed_forms([["deposit", 1 + place % ACCOUNTS, 1] for place in range(8192)])
            journal.decide(1, ("s" * 24, number), 8192, operations, 1)
            journal.commit()
        path = self._folder / "copy.db"
        maker = CopyMaker(journal.database, path)
        steps, began = 1, time.process_time()
        while not maker.step():
            steps += 1
        step_ms = 1000 * (time.process_time() - began) / steps
        size = maker.size_bytes
        accounts = journal.machine
        assert isinstance(accounts, Accounts)
        snapshot = Snapshot()
        journal.read(snapshot)
        page_ms = self._least_ms(lambda: write_value(MSGPACK, accounts.page(snapshot, PAGE)))
        chunk = maker.read(0, 4 << 20)
        chunk_ms = self._least_ms(lambda: write_value(MSGPACK, maker.read(0, len(chunk))))
        verify_ms = self._least_ms(lambda: verify_copy(path))

        def open_copy() -> None:
            SqliteJournal(
                open_database(path, as_copy=True), Accounts({}), new_incarnation=lambda: "disk"
            ).database.close()

        return {
            "ACCOUNTS_MS": page_ms,
            "PAGE_MS": step_ms / PAGES_AT_ONCE,
            "CHUNK_BYTE_MS": chunk_ms / len(chunk),
            "VERIFIED_BYTE_MS": verify_ms / size,
            "OPENED_BYTE_MS": self._least_ms(open_copy) / size,
        }

    def _witness(self) -> dict[str, float]:
        (self._folder / "witness").mkdir()
        store = ViewStore(self._folder / "witness")
        view = View.first(history="h", server="s1", start_id="a", incarnation="disk")
        store.propose("account", None, view)

        def propose() -> None:
            nonlocal view
            following = view.started_again(f"a{view.epoch}")
            store.propose("account", (view.history, view.epoch), following)
            view = following

        found = {
            "VIEW_READ_MS": self._least_ms(lambda: store.current("account")),
            "VIEW_PROPOSED_MS": self._least_ms(propose),
        }
        store.close()
        return found


def _whole(answer: LongAnswer | dict[str, Any]) -> list[Any]:
    """Return the long part of an answer, as it is made slice by slice."""
    assert isinstance(answer, LongAnswer)
    return answer.make(0, answer.count)


class _Nobody:
    """Who waits for no answer."""

    lost = False
    waited_ms = 0.0

    @property
    def connection(self) -> _Nobody:
        return self

    def answered(self, call: Call, value: object, *, is_error: bool) -> None:
        """Nobody is told."""

    def in_turn(self, work: Callable[[], None]) -> None:
        """Nobody has a turn."""

    def charge(self, ms: float) -> None:
        """Nobody owes anything."""


def _checkpoint(previous: Position, records: list[Record]) -> Checkpoint:
    return Checkpoint(
        history="h",
        epoch=1,
        primary="s1",
        start_id="s1#1",
        number=1,
        previous=previous,
        base=previous,
        acknowledged=0,
        lease_ms=1000,
        drift_ms=20,
        records=records,
    )


if __name__ == "__main__":
    main()
