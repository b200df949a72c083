from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bankrmi.robustness.chaos.processes import ChaosProcesses
from bankrmi.signals import HEEDED
from tests.system.ports import own_addresses

SERVER = ["bankrmi", "--config", "config.yaml", "server", "s1"]


class Plain:
    """The network of this machine, as far as processes need one."""

    def begins(self, name: str) -> None: ...
    def has_ended(self, name: str) -> None: ...
    def inherited(self, _: str) -> tuple[int, ...]:
        return ()

    def command(self, _: str, command: list[str]) -> list[str]:
        return command


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


@pytest.mark.each_value_once
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("begun_s", [0.0, 0.05, 0.1, 0.15, 0.2, 0.4])
def test_a_server_that_is_told_to_end_while_it_starts_does_not_end_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, begun_s: float
) -> None:
    """Whatever it is doing by then: the times are only to meet it in different places."""
    (tmp_path / "ledger.csv").write_text("1,100\n")
    monkeypatch.chdir(tmp_path)
    with own_addresses(2) as (nameserver, server):
        (tmp_path / "config.yaml").write_text(
            f"nameserver: {nameserver}\nservers: {{s1: {server}}}\nledger: ledger.csv\n"
        )
        processes = ChaosProcesses(Plain(), tmp_path)  # type: ignore[arg-type]
        processes.start("s1", SERVER)
        time.sleep(begun_s)
        processes.ask_to_end("s1", number)
        until(lambda: not processes.is_alive("s1"))
    assert processes.ended_by_themselves == [], processes.log("s1").read_text()


def test_no_signal_interrupts_an_interpreter_before_it_comes_to_our_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "our_code.py").write_text(
        "import signal\nprint(*sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ()))))\n"
    )
    monkeypatch.chdir(tmp_path)
    processes = ChaosProcesses(Plain(), tmp_path)  # type: ignore[arg-type]
    processes.start("s1", ["our_code"], reports=True)
    until(lambda: not processes.is_alive("s1"))
    assert processes.output("s1") == [" ".join(map(str, sorted(map(int, HEEDED))))]
    assert not HEEDED & signal.pthread_sigmask(signal.SIG_BLOCK, ()), "it is for the child alone"


def test_a_server_that_ends_with_an_error_does_so_by_itself_though_it_was_told_to(tmp_path: Path) -> None:
    processes = ChaosProcesses(Plain(), tmp_path)  # type: ignore[arg-type]
    processes.start("s1", ["bankrmi", "--config", str(tmp_path / "missing.yaml"), "server", "s1"])
    until(lambda: processes.log("s1").read_bytes() != b"")
    processes._started["s1"].asked_to_end = True
    until(lambda: not processes.is_alive("s1"))
    assert [ended.exit_code for ended in processes.ended_by_themselves] == [2]
