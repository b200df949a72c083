"""What a group costs, counted instead of timed: syncs, writes, system calls, messages, statements, memory.

System calls are those of the two servers of a bank, by strace; statements those of a journal in this process.
The bounds are those of the code as it is, with a little room; whoever makes it cheaper lowers them.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest

from bankrmi.bench.bank import MeasuredBank, running_bank
from bankrmi.bench.load.order import ACCOUNTS
from bankrmi.diagnosis.usage import forget_peak, peak_kb
from bankrmi.rmi import Link, handshake, open_link
from bankrmi.robustness.power_loss.strace import without_strace
from bankrmi.storage.journal import SqliteJournal
from tests.storage.journals import decide, deposit, opened

traced_only = pytest.mark.skipif(without_strace() is not None, reason=without_strace() or "")

LARGE = 512
"""Bytes of a message that carries entries of several requests; a heartbeat has fewer."""

SETTLED_S = 0.5
MANY, BATCH = 100_000, 5_000
_SENT = re.compile(r"(?:sendto|sendmsg|writev?)\(.* = (\d+)$")
_numbers = itertools.count(1)


class Traced:
    """A bank whose system calls are written down, thread by thread."""

    def __init__(self, bank: MeasuredBank, folder: Path) -> None:
        self.bank = bank
        self._folder = folder
        self.primary = bank.primary()
        self.standby = bank.standby()

    def counts(self, server: str) -> Counter[str]:
        """Return how often a server has called what so far; `message` is one of several requests.

        Not in `all`: that the disk is looked after, at each tick. A slow machine has more of them meanwhile.
        """
        found: Counter[str] = Counter()
        for thread in Path(f"/proc/{self.bank.process(server).pid}/task").iterdir():
            file = self._folder / f"trace.{thread.name}"
            for line in file.read_text().splitlines() if file.exists() else ():
                name = line.partition("(")[0]
                found["all"] += name != "newfstatat"
                found["sync" if name in {"fsync", "fdatasync"} else name] += 1
                sent = _SENT.match(line)
                found["message"] += sent is not None and int(sent[1]) > LARGE
        return found

    def cost(self, clients: int, operations: int) -> dict[str, Counter[str]]:
        """Return what each server did for `clients` calls at the same time, and a moment after."""
        return asyncio.run(self._cost(clients, operations))

    async def _cost(self, clients: int, operations: int) -> dict[str, Counter[str]]:
        links = [await self._link() for _ in range(clients)]
        await asyncio.sleep(SETTLED_S)  # Until what greeting them took is in the traces, too.
        before = {server: self.counts(server) for server in self.bank.servers}
        await self._at_the_same_time([_withdraw(link, operations) for link in links])
        await asyncio.sleep(SETTLED_S)
        after = {server: self.counts(server) for server in self.bank.servers}
        for link in links:
            link.close()
        return {server: after[server] - before[server] for server in after}

    async def _at_the_same_time(self, calls: list[Coroutine[Any, Any, None]]) -> None:
        """The primary stands still until all have been sent: we may be slower than it is."""
        primary = self.bank.process(self.primary).pid
        os.kill(primary, signal.SIGSTOP)
        try:
            begun = [asyncio.ensure_future(call) for call in calls]
            await asyncio.sleep(0)  # Each is sent as far as it goes by itself: that is its whole message.
        finally:
            os.kill(primary, signal.SIGCONT)
        await asyncio.gather(*begun)

    async def withdraw(self, times: int, operations: int) -> None:
        """Call `times` times, one call after the other."""
        link = await self._link()
        for _ in range(times):
            await _withdraw(link, operations)
        link.close()

    async def _link(self) -> Link:
        address = self.bank.configuration.servers[self.primary]
        return await open_link(address, f"bankrmi.account.{self.primary}", handshake("client"), 20)


async def _withdraw(link: Link, operations: int) -> None:
    number = next(_numbers)
    random, request = Random(number), f"counted-{number}:1"
    if operations == 1:
        await link.ask("withdraw", [random.randint(1, ACCOUNTS), 1, request], 60)
    else:
        work = [("withdraw", random.randint(1, ACCOUNTS), 1) for _ in range(operations)]
        await link.ask("submit", [work, request], 60)


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    folder = tmp_path_factory.mktemp("traces")
    how = ["-D", "-ff", "-qqq", "-s", "0", "-e", "signal=none", "-e", "trace=all"]
    with running_bank(before=["strace", *how, "-o", str(folder / "trace")]) as bank:
        one = Traced(bank, folder)
        one.cost(1, 1)  # What is done once, at first, is nobody's cost.
        yield one


@traced_only
@pytest.mark.parametrize("operations", [1, 100, 1000])
def test_a_request_is_one_sync_on_each_disk_however_large_it_is(traced: Traced, operations: int) -> None:
    cost = traced.cost(1, operations)
    assert cost[traced.primary]["sync"] == cost[traced.standby]["sync"] == 1


@traced_only
def test_a_batch_writes_its_record_and_nothing_else(traced: Traced) -> None:
    """Two calls a page; some 30 bytes an operation, and not a page for an account."""
    cost = traced.cost(1, 1000)
    for server in (traced.primary, traced.standby):
        assert cost[server]["pwrite64"] <= 2 * (1000 * 30 / 4096 + 4), server


@traced_only
def test_requests_that_come_together_share_their_syncs_and_their_messages(traced: Traced) -> None:
    """A hundred at the same time: the first ones may be alone, all others wait and go together."""
    cost = traced.cost(100, 1)
    for server in (traced.primary, traced.standby):
        assert 1 <= cost[server]["sync"] <= 10, server
        assert cost[server]["pwrite64"] <= 100, server
    assert 1 <= cost[traced.primary]["message"] <= 10
    assert cost[traced.primary]["all"] <= 8 * 100, "it reads, writes, answers, beside what always goes on"
    assert cost[traced.standby]["all"] <= 5 * 100, "it has nobody to answer but the primary"


@traced_only
def test_a_batch_is_one_message_to_the_standby_and_one_to_its_client(traced: Traced) -> None:
    assert traced.cost(1, 100)[traced.primary]["message"] == 2


@traced_only
def test_nothing_is_written_while_nothing_is_asked(traced: Traced) -> None:
    before = [traced.counts(server) for server in traced.bank.servers]
    time.sleep(2 * SETTLED_S)
    after = [traced.counts(server) for server in traced.bank.servers]
    for idle in map(Counter.__sub__, after, before):
        assert idle["sync"] == idle["pwrite64"] == 0, os.fspath(traced.bank.configuration.path)


@traced_only
def test_a_hundred_thousand_operations_leave_little_in_memory(traced: Traced) -> None:
    """The most that a server had resident meanwhile, beside what it had before."""
    pids = [traced.bank.process(server).pid for server in traced.bank.servers]
    for pid in pids:
        forget_peak(pid)
    before = [peak_kb(pid) for pid in pids]
    asyncio.run(traced.withdraw(MANY // BATCH, BATCH))
    for pid, kb in zip(pids, before, strict=True):
        assert peak_kb(pid) - kb <= 40 * 1024


@pytest.mark.parametrize("group", [1, 10, 100])
def test_a_request_of_a_group_is_one_statement(tmp_path: Path, group: int) -> None:
    """And the transaction: nothing that follows from the journal is written, or looked up again."""
    journal = opened(tmp_path / "journal.sqlite")
    statements_of(journal, [1])  # The session is looked for once; the accounts were read at the start.
    assert 0 < statements_of(journal, [1] * group) <= group + 2


@pytest.mark.parametrize("operations", [100, 8000])
def test_a_batch_is_one_statement(tmp_path: Path, operations: int) -> None:
    journal = opened(tmp_path / "journal.sqlite")
    statements_of(journal, [1] * 4)
    assert 0 < statements_of(journal, [operations]) <= 3


def statements_of(journal: SqliteJournal, sizes: list[int]) -> int:
    """Return how many statements SQLite carries out for a group of requests of these sizes."""
    seen: list[object] = []
    journal.database.trace_v2(apsw.SQLITE_TRACE_STMT, seen.append)
    for size in sizes:
        number = next(_numbers)
        decide(journal, 1, ("counted", number), [deposit(1 + number % 3, 1)] * size, 7)
    journal.commit()
    journal.database.trace_v2(0, None)
    return len(seen)
