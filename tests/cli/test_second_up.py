"""What a person reads who starts a bank that runs already, or asks how a bank is that misses somebody."""

from __future__ import annotations

import copy
import signal
from pathlib import Path

from bankrmi.cli.supervisor import Child, Supervisor
from tests.cli.made_up_status import STATUS
from tests.cli.test_status import shown


def test_a_copy_that_counts_and_is_away_is_waited_for() -> None:
    status = copy.deepcopy(STATUS)
    status["servers"][1]["in_sync"] = True
    assert "nothing is acknowledged without s2, until the view changes" in shown(status)


def test_nobody_waits_for_who_does_not_count() -> None:
    status = copy.deepcopy(STATUS)
    status["servers"][1]["in_sync"] = False
    assert "nothing is acknowledged" not in shown(status)


def test_the_reason_of_a_child_is_repeated_without_its_signature(tmp_path: Path) -> None:
    line = "2026-01-31T12:00:00.123Z error nameserver[4711] it is in use"
    child = Child(
        name="a",
        title="a",
        command=("sh", "-c", f"echo '{line}'; exit 1"),
        stop_signal=signal.SIGTERM,
        log=tmp_path / "log",
    )
    reports: list[str] = []
    with Supervisor([[child]], restart=False, report=reports.append) as supervisor:
        supervisor.wait_until_over()
    assert reports[-1].endswith(
        f"ended with exit code 1: it is in use ({tmp_path / 'log'}); it is not started again"
    )
