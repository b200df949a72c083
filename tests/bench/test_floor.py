"""The floor may leave out all but the work: on both disks before the answer, once, refused if short."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bankrmi.bank.forms import WITHDRAW
from bankrmi.bench.load.order import OPENING
from bankrmi.bench.shapes import SHAPES
from bankrmi.bench.systems.floor import Floor
from bankrmi.replication.record import packed, unpacked
from bankrmi.rmi import handshake, open_link


@pytest.fixture
def floor(tmp_path: Path, starting_warm: None) -> Iterator[Floor]:
    system = Floor(tmp_path)
    system.start()
    yield system
    system.stop()


def test_what_the_floor_answers_is_on_both_disks_once(floor: Floor, tmp_path: Path) -> None:
    where = floor.order(SHAPES["1x1"], 1.0).where

    async def call() -> list[Any]:
        link = await open_link(where["address"], where["object"], handshake("client"), 10)
        answers = [await link.ask("withdraw", [7, 1, "c:1"], 10)]
        answers.append(await link.ask("withdraw", [7, 1, "c:1"], 10))
        batch = packed([(WITHDRAW, 7, 1), (WITHDRAW, 7, OPENING), (WITHDRAW, 8, 2)])
        answers.append(await link.ask("submit", [batch, "c:2"], 10))
        answers.append(await link.ask("balance", [7], 10))
        link.close()
        return answers

    first, again, batch, balance = asyncio.run(call())
    assert first == again == OPENING - 1
    assert unpacked(batch) == (OPENING - 2, -1, OPENING - 2)
    assert balance == OPENING - 2
    logs = [(tmp_path / f"{name}.data").read_bytes().rstrip(b"\0") for name in ("primary", "standby")]
    assert logs[0] == logs[1]
    assert [logs[0].count(name) for name in (b"c:1", b"c:2")] == [2, 1]  # The retry was a record of its own.
