"""What does a journal cost that is folded while it is written?  And does its folder stop growing?

    python benchmarks/folding.py steps [--operations 1000000]
    python benchmarks/folding.py load [--rounds 5] [--seconds 5] [--keep 20000]

`steps` fills a journal in this process with single operations, folds all of it, and tells how long the steps
took, by the clock and of a processor: none of a server's turns is longer by more than one of them. `load`
measures 32 clients with one operation a call, in turn at a bank that keeps everything and at one that folds
all the time; then it writes ten times what that one keeps, and tells how large its folders are meanwhile.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import form_of
from bankrmi.bank.operations import Deposit
from bankrmi.bench.bank import MeasuredBank, running_bank
from bankrmi.bench.load.order import LoadResult
from bankrmi.bench.load_process import LoadProcess
from bankrmi.bench.rows.row import FOR_EVER_S, link_order, load, rates
from bankrmi.bench.shapes import Shape
from bankrmi.replication.journal import Adopted
from bankrmi.replication.record import packed
from bankrmi.replication.sessions import new_session
from bankrmi.storage.database import open_database
from bankrmi.storage.folding import Keeping
from bankrmi.storage.journal import SqliteJournal

USUAL = Shape(name="32x1", clients=32)
ACCOUNTS = 10_000
GROUP = 32
LOOKS = 20


def main() -> None:
    """Measure what was asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("steps", "load"))
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--keep", type=int, default=20_000)
    options = parser.parse_args()
    if options.what == "steps":
        _steps(options.operations)
    else:
        _load(options.rounds, options.seconds, options.keep)


def _steps(operations: int) -> None:
    with tempfile.TemporaryDirectory(prefix="bankrmi-folding-") as folder:
        path = Path(folder) / "bank.db"
        journal = SqliteJournal(
            open_database(path),
            Accounts(dict.fromkeys(range(ACCOUNTS), 1_000_000)),
            new_incarnation=lambda: "measured",
            keeping=Keeping(operations=1),
        )
        journal.open(Adopted(history="h", epoch=1, primary="s1", start_id="s1#1"))
        journal.commit()
        _fill(journal, operations)
        print(f"{operations:,} operations: {path.stat().st_size / 1e6:.0f} MB")
        took: dict[str, list[float]] = {"by the clock": [], "of a processor": []}
        began = time.perf_counter()
        while True:
            clock_s, processor_s = time.perf_counter(), time.process_time()
            went_on = journal.fold(journal.tip.action_id, time.time_ns() // 1000)
            if not went_on:
                break
            took["of a processor"].append(1000 * (time.process_time() - processor_s))
            took["by the clock"].append(1000 * (time.perf_counter() - clock_s))
            if len(took["by the clock"]) % 50 == 0:
                journal.tend()
        seconds = time.perf_counter() - began
        journal.close()
        steps = len(took["by the clock"])
        print(f"folded in {steps:,} steps, {seconds:.1f} s: {operations / seconds:,.0f} operations a second")
        for what, ms in took.items():
            ms.sort()
            print(
                f"a step, ms {what}: {median(ms):.2f}, 99 of 100 at most {ms[steps * 99 // 100]:.2f}, "
                f"999 of 1000 at most {ms[steps * 999 // 1000]:.2f}, the longest {ms[-1]:.2f}; "
                f"{sum(ms) / 1000:.1f} s in all"
            )
        print(f"the file has {path.stat().st_size / 1e6:.1f} MB afterwards")


def _fill(journal: SqliteJournal, operations: int) -> None:
    sessions = [new_session() for _ in range(GROUP)]
    for number in range(operations):
        session, sequence = sessions[number % GROUP], number // GROUP + 1
        content = packed([form_of(Deposit(number * 7919 % ACCOUNTS, 1))])
        journal.decide(1, (session, sequence), 1, content, 1)
        if number % GROUP == GROUP - 1:
            journal.write()
            if number % (1000 * GROUP) == GROUP - 1:
                journal.tend()
    journal.commit()


def _load(rounds: int, seconds: float, keep: int) -> None:
    with running_bank() as whole, running_bank(journal={"keep_operations": keep}) as folded:
        _write(folded, 2 * keep)
        found: dict[str, list[LoadResult]] = {"kept whole": [], "folded": []}
        for _ in range(rounds):
            for name, bank in (("kept whole", whole), ("folded", folded)):
                found[name].append(load(bank, link_order(bank, USUAL, seconds)))
        for name, results in found.items():
            rounds_found = rates(results)
            print(f"32x1, {name}: {median(rounds_found):,.0f} op/s {[round(one) for one in rounds_found]}")
        ratios = [b / a for a, b in zip(rates(found["kept whole"]), rates(found["folded"]), strict=True)]
        print(f"folded to kept whole: {median(ratios):.3f} {[round(one, 3) for one in ratios]}")
        _grow(folded, keep)


def _write(bank: MeasuredBank, operations: int) -> None:
    wanted = bank.acknowledged() + operations
    with LoadProcess(bank.children, link_order(bank, USUAL, FOR_EVER_S)) as filling:
        while bank.acknowledged() < wanted:
            filling.check()
            time.sleep(0.05)


def _grow(bank: MeasuredBank, keep: int) -> None:
    print(f"written beyond: entries kept and MB of each server, {keep:,} to be kept")
    for number in range(LOOKS + 1):
        if number:
            _write(bank, 10 * keep // LOOKS)
        shown = []
        for server in bank.status()["servers"]:
            files = (bank.configuration.data_dir / server["server"]).glob("bank.db*")
            size = sum(file.stat().st_size for file in files) / 1e6
            shown.append(f"{server['action_id'] + 1 - server['journal_from']:>8,} {size:6.1f} MB")
        print(f"{10 * keep * number // LOOKS:>10,}: {'   '.join(shown)}")


if __name__ == "__main__":
    main()
