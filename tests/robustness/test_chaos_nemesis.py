"""What a fault did is taken back when the run ends, in the middle of it, too."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bankrmi.robustness.chaos import nemesis
from bankrmi.robustness.chaos.bank import Situation
from bankrmi.robustness.chaos.fault_log import FaultLog
from bankrmi.robustness.chaos.nemesis import Nemesis
from bankrmi.robustness.chaos.recorded import FaultKind
from bankrmi.robustness.chaos.schedule import Aim
from bankrmi.robustness.chaos.storms import Planned, Storm

STOP = Planned(kind=FaultKind.STOP, aim=Aim.PRIMARY, after_ms=0, for_ms=0)


class Bank:
    """One server, which takes its time to end when it is asked to."""

    servers = ("s1",)

    def __init__(self) -> None:
        self.processes = self
        self.alive = True
        self.asked = asyncio.Event()

    def install(self, _: str, release: int) -> None:
        self.installed = release

    def serves(self, _: str) -> int:
        return 0

    def situation(self) -> Situation:
        return Situation(primary="s1", in_sync=("s1",), epoch=1, from_witness=True, servers={})

    def start(self, _: str) -> None:
        self.alive = True

    def is_alive(self, _: str) -> bool:
        return self.alive

    def is_paused(self, _: str) -> bool:
        return False

    def ask_to_end(self, _: str, __: object) -> None:
        self.asked.set()

    def kill(self, _: str) -> None:
        self.alive = False


async def _rage_until_one_is_to_end(bank: Bank, one: Nemesis) -> None:
    raging = asyncio.create_task(one.rage())
    async with asyncio.timeout(10):
        await bank.asked.wait()
    raging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await raging


def test_a_server_that_is_about_to_stop_when_the_faults_end_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It seemed alive, was not started, ended, and was missed for the rest of the run (chaos seed 8102)."""
    started: list[str] = []

    async def run() -> None:
        bank: Any = Bank()
        bank.start = started.append
        clients: Any = SimpleNamespace(names=())
        storm = Storm(faults=(STOP,), calm_ms=0, until_in_sync=False)
        monkeypatch.setattr(nemesis, "storms", lambda _, **__: iter([storm]))
        faults = FaultLog(tmp_path / "faults")
        await _rage_until_one_is_to_end(bank, Nemesis(bank, clients, faults, seed=1))
        faults.close()
        assert not bank.alive, "who was asked to end is gone before it is started"

    asyncio.run(run())
    assert started == ["s1"]


def test_servers_get_the_last_code_when_the_faults_end_in_the_middle_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was asked to end for a release is started again; and in the end everybody has the last one."""
    started: list[str] = []

    async def run() -> None:
        bank: Any = Bank()
        bank.start = started.append
        clients: Any = SimpleNamespace(names=())
        planned = replace(STOP, kind=FaultKind.RELEASE, aim=Aim.SERVERS)
        storm = Storm(faults=(planned,), calm_ms=0, until_in_sync=False)
        monkeypatch.setattr(nemesis, "storms", lambda _, **__: iter([storm]))
        monkeypatch.setattr(nemesis, "_IN_GOOD_ORDER", 1.0)
        faults = FaultLog(tmp_path / "faults")
        releases = [{"stock": f"stock_{number}:Stock"} for number in range(3)]
        one = Nemesis(bank, clients, faults, seed=1, releases=releases)
        await _rage_until_one_is_to_end(bank, one)
        assert (bank.installed, bank.alive, started) == (1, False, ["s1"])
        bank.alive = True
        await one.settle()
        assert (bank.installed, bank.alive, started) == (2, False, ["s1", "s1"]), (
            "it was started with another"
        )
        faults.close()

    asyncio.run(run())
