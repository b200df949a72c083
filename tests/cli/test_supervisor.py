"""The supervisor with real child processes, each a few lines of Python that do what a server would."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.cli import supervisor as supervisor_module
from bankrmi.cli.supervisor import Child, Supervisor, how_it_ended, next_pause_s
from tests import warm

READY = """
import json, os, signal, sys
fd, parent = int(sys.argv[1]), int(sys.argv[2])
assert os.getppid() == parent and os.getsid(0) == os.getpid()
def ready():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})  # It began without.
    line = {"pid": os.getpid(), "server": "x", "address": "here:1", "role": "primary"}
    os.write(fd, json.dumps(line).encode() + b"\\n")
"""
DEADLINE_S = 20.0


class Reports:
    """What the supervisor said, for a test to wait for."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()

    def __call__(self, line: str) -> None:
        with self._changed:
            self.lines.append(line)
            self._changed.notify_all()

    def wait_for(self, *parts: str, times: int = 1) -> str:
        def found() -> list[str]:
            return [line for line in self.lines if all(part in line for part in parts)]

        with self._changed:
            assert self._changed.wait_for(lambda: len(found()) >= times, DEADLINE_S), self.lines
            return found()[times - 1]


class InStepWithTries(threading.Event):
    """Every wait for it is as long as one more try of a child takes, and in vain until the last."""

    def __init__(self, reports: Reports) -> None:
        super().__init__()
        self._reports = reports
        self.waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waits += 1
        self._reports.wait_for("is", "started again", times=self.waits)
        if self.waits < supervisor_module.FIRST_TRIES:
            return False
        return super().wait(DEADLINE_S)


def child(
    title: str, code: str, *, log: Path | None = None, stop_signal: signal.Signals = signal.SIGTERM
) -> Child:
    command = (sys.executable, "-c", READY + code, "{ready_fd}", "{parent_pid}")
    return Child(name=title, title=title, command=command, stop_signal=stop_signal, log=log)


def pid_in(line: str) -> int:
    return int(line.partition("pid ")[2].split(",")[0].split(")")[0])


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_children_are_started_in_order_reported_and_stopped_in_order(tmp_path: Path) -> None:
    """The second group starts when the first is ready, and stops when the first is gone."""
    reports, trace = Reports(), tmp_path / "trace"
    code = f"""
def stop(number, _):
    open({str(trace)!r}, "a").write(sys.argv[0] + NAME + str(number) + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop); signal.signal(signal.SIGINT, stop)
open({str(trace)!r}, "a").write(sys.argv[0] + NAME + "up\\n")
ready()
while True: signal.pause()
"""
    first = child("first", f"NAME = ' first '\n{code}")
    second = child("second", f"NAME = ' second '\n{code}", stop_signal=signal.SIGINT)
    with Supervisor([[first], [second]], restart=True, report=reports) as supervisor:
        assert supervisor.wait_until_settled(DEADLINE_S)
        pids = [
            pid_in(reports.wait_for(title, "is ready: primary, pid", "here:1"))
            for title in ("first", "second")
        ]
    assert not any(map(is_alive, pids))
    assert trace.read_text().splitlines() == ["-c first up", "-c second up", "-c first 15", "-c second 2"]
    assert len(reports.lines) == 2


def test_a_child_that_dies_is_reported_and_started_again() -> None:
    reports = Reports()
    with Supervisor([[child("s1", "ready()\nsignal.pause()")]], restart=True, report=reports):
        pid = pid_in(reports.wait_for("is ready"))
        os.kill(pid, signal.SIGKILL)
        assert reports.wait_for(f"s1 (pid {pid}) was killed by SIGKILL; it is started again in 0.2 s")
        assert pid_in(reports.wait_for("is ready", times=2)) != pid


def test_a_child_that_is_held_down_is_started_again_when_the_last_has_let_it_go() -> None:
    reports, started = Reports(), list[int]()
    with Supervisor(
        [[child("s1", "ready()\nsignal.pause()")]],
        restart=True,
        report=reports,
        on_start=lambda _, pid: started.append(pid),
    ) as supervisor:
        pid = pid_in(reports.wait_for("is ready"))
        supervisor.hold_down("s1")
        supervisor.hold_down("s1")
        supervisor.pass_on(signal.SIGKILL)  # After both: its thread does one after the other.
        assert reports.wait_for(f"s1 (pid {pid}) was killed by SIGKILL; it is held down")
        supervisor.let_go("s1")
        assert started == [pid]
        supervisor.let_go("s1")
        again = pid_in(reports.wait_for("is ready", times=2))
        assert started == [pid, again]


def test_who_looks_on_stops_first(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    code = f"""
def stop(number, _):
    open({str(trace)!r}, "a").write(NAME)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
ready()
while True: signal.pause()
"""
    works, looks = child("works", f"NAME = 'works '\n{code}"), child("looks", f"NAME = 'looks '\n{code}")
    reports = Reports()
    with Supervisor([[works], [replace(looks, looks_on=True)]], restart=True, report=reports) as supervisor:
        assert supervisor.wait_until_settled(DEADLINE_S)
    assert trace.read_text() == "looks works "


def test_what_the_others_rest_on_stops_last_and_may_take_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "STOP_S", 0.0)
    trace = tmp_path / "trace"
    code = f"""
import time
def stop(number, _):
    time.sleep(TAKES)
    open({str(trace)!r}, "a").write(NAME)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
ready()
while True: signal.pause()
"""
    below = replace(child("below", f"TAKES, NAME = 0.3, 'below '\n{code}"), stop_s=DEADLINE_S)
    above = replace(child("above", f"TAKES, NAME = 0.1, 'above '\n{code}"), stop_s=DEADLINE_S)
    with Supervisor([[below], [above]], restart=True, report=Reports(), last_stops_first=True) as supervisor:
        assert supervisor.wait_until_settled(DEADLINE_S)
    assert trace.read_text() == "above below "


def test_a_child_that_cannot_run_as_configured_is_not_started_again(tmp_path: Path) -> None:
    """And what it said last is told, because that is the reason."""
    reports = Reports()
    broken = child(
        "s1",
        "print('chatter'); sys.exit('no') if 0 else (print('port taken'), sys.exit(2))",
        log=tmp_path / "l",
    )
    with Supervisor([[broken]], restart=True, report=reports) as supervisor:
        assert supervisor.wait_until_settled(DEADLINE_S)
        assert supervisor.never_started() == [2]
    (line,) = reports.lines
    assert line.endswith(f"cannot run as configured: port taken ({tmp_path / 'l'}); it is not started again")


def test_a_group_is_not_started_when_the_one_before_it_cannot_be() -> None:
    reports = Reports()
    with Supervisor(
        [[child("ns", "sys.exit(2)")], [child("s1", "ready()")]], restart=True, report=reports
    ) as both:
        assert both.wait_until_settled(DEADLINE_S)
        assert both.never_started() == [2]
    assert len(reports.lines) == 1


def test_a_child_that_was_never_ready_is_tried_three_times() -> None:
    """What is in its way may go away by itself; after that a person has to."""
    reports = Reports()
    with Supervisor([[child("s1", "sys.exit(1)")]], restart=True, report=reports) as supervisor:
        supervisor.wait_until_over()
        assert supervisor.never_started() == [1]
    assert [line.partition("; ")[2] for line in reports.lines] == [
        "it is started again in 0.2 s",
        "it is started again in 0.4 s",
        "it is not started again",
    ]


def test_as_long_as_tries_fail_it_is_not_settled_how_the_first_start_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a slow machine three tries take longer than a bank that waits for something is waited for."""
    monkeypatch.setattr(supervisor_module, "FIRST_PAUSE_S", 0.01)
    reports = Reports()
    with Supervisor([[child("s1", "sys.exit(1)")]], restart=True, report=reports) as supervisor:
        supervisor._settled = InStepWithTries(reports)
        assert supervisor.wait_until_settled(1)
        assert supervisor.never_started() == [1]


def test_a_child_that_awaits_something_is_tried_until_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that this machine does not have yet, when everything starts together."""
    monkeypatch.setattr(supervisor_module, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(supervisor_module, "LONGEST_PAUSE_S", 0.02)
    reports = Reports()
    code = "os.write(fd, json.dumps({'awaits': 'an address'}).encode() + b'\\n'); sys.exit(1)"
    with Supervisor([[child("a", code)]], restart=True, report=reports) as supervisor:
        reports.wait_for("a (pid", "it is started again", times=2 * supervisor_module.FIRST_TRIES)
        assert not supervisor.wait_until_settled(0.05)
    assert not any("not started again" in line for line in reports.lines)


def test_a_child_that_was_ready_once_is_started_again_however_often_it_fails() -> None:
    reports = Reports()
    with Supervisor([[child("s1", "ready()\nsys.exit(1)")]], restart=True, report=reports):
        assert reports.wait_for("it is started again", times=4)


def test_without_restart_a_death_is_reported_and_all_deaths_are_the_end() -> None:
    reports = Reports()
    children = [child(title, f"ready()\nsys.exit({code})") for title, code in (("a", 0), ("b", 7))]
    with Supervisor([children], restart=False, report=reports) as supervisor:
        supervisor.wait_until_over()
        assert supervisor.never_started() == []
    assert reports.wait_for("a (pid", ") ended; it is not started again")
    assert reports.wait_for("b (pid", ") ended with exit code 7; it is not started again")


def test_a_child_that_does_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bankrmi.cli.supervisor.STOP_S", 0.2)
    reports = Reports()
    stubborn = child(
        "s1", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nready()\nwhile True: signal.pause()"
    )
    with Supervisor([[stubborn]], restart=True, report=reports):
        pid = pid_in(reports.wait_for("is ready"))
    assert not is_alive(pid)


def test_a_child_that_never_gets_ready_stands_in_nobodys_way_of_stopping() -> None:
    with Supervisor(
        [[child("s1", "signal.pause()")], [child("s2", "")]], restart=True, report=Reports()
    ) as supervisor:
        assert not supervisor.wait_until_settled(0.3)


def test_a_command_that_there_is_not_is_reported() -> None:
    reports = Reports()
    missing = Child(
        name="s1", title="s1", command=("/no/such/program",), stop_signal=signal.SIGTERM, log=None
    )
    with Supervisor([[missing]], restart=False, report=reports) as supervisor:
        supervisor.wait_until_over()
    assert reports.lines == ["s1 could not be run: No such file or directory; it is not started again"]


def test_a_log_whose_folder_was_removed_is_made_again(tmp_path: Path) -> None:
    """And of a child that ended meanwhile it is not told what it said last."""
    reports, log = Reports(), tmp_path / "data" / "log" / "s1.log"
    code = "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(1))\nready()\nsignal.pause()"
    with Supervisor([[child("s1", code, log=log)]], restart=True, report=reports):
        pid = pid_in(reports.wait_for("is ready"))
        shutil.rmtree(tmp_path / "data")
        os.kill(pid, signal.SIGUSR1)
        reports.wait_for("is ready", times=2)
        assert log.exists()
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_what_goes_wrong_with_one_child_is_told_and_the_others_live_on(tmp_path: Path) -> None:
    reports, in_the_way = Reports(), tmp_path / "log"
    odd = child("s1", "os.write(fd, b'no json\\n')")
    nowhere = child("s2", "", log=in_the_way / "s2.log")
    in_the_way.write_text("a file in its place")
    with Supervisor([[odd, nowhere, child("s3", "ready()\nsignal.pause()")]], restart=True, report=reports):
        reports.wait_for("s1 could not be run: JSONDecodeError: ", "it is started again", times=2)
        reports.wait_for("s2 could not be run: ", "it is started again", times=2)
        assert is_alive(pid_in(reports.wait_for("s3 is ready")))


ORPHANS = """
import sys, time
from bankrmi.cli import supervisor as supervisor_module
from bankrmi.cli.supervisor import Supervisor
from tests.cli.test_supervisor import Reports, child
reports = Reports()
orphan = child("s1", '''
from bankrmi.parent_death import end_with_parent
end_with_parent(parent)
ready()
while True: signal.pause()
''')
with Supervisor([[orphan]], restart=True, report=reports):
    print(reports.wait_for("is ready"), flush=True)
    sys.stdin.read()
"""


def test_no_child_outlives_a_supervisor_that_is_killed() -> None:
    with warm.Popen(
        [sys.executable, "-c", ORPHANS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        uses_ours=True,
    ) as killed:
        assert killed.stdout is not None
        pid = pid_in(killed.stdout.readline())
        gone = os.pidfd_open(pid)
        killed.kill()
        try:
            wait_for_end_of(gone)
        finally:
            os.close(gone)


def wait_for_end_of(pidfd: int) -> None:
    import select

    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(DEADLINE_S * 1000), "it is still there"


def test_a_process_whose_parent_is_gone_already_ends_at_once() -> None:
    code = "from bankrmi.parent_death import end_with_parent; end_with_parent(1 << 22); print('still here')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, b"")


@given(st.lists(st.floats(0, 9.9)))
def test_the_pause_doubles_up_to_five_seconds(lives_s: list[float]) -> None:
    pause_s, pauses = 0.0, []
    for lived_s in lives_s:
        pause_s = next_pause_s(pause_s, lived_s)
        pauses.append(pause_s)
    assert pauses == [min(0.2 * 2**turn, 5.0) for turn in range(len(lives_s))]


@given(st.floats(0.2, 5))
def test_after_a_good_life_the_pause_is_short_again(pause_s: float) -> None:
    assert next_pause_s(pause_s, 10.0) == 0.2


def test_how_it_ended_is_said_in_words() -> None:
    assert [how_it_ended(code) for code in (0, 1, 2, -9, -15, -35)] == [
        "ended",
        "ended with exit code 1",
        "cannot run as configured",
        "was killed by SIGKILL",
        "was killed by SIGTERM",
        "was killed by signal 35",
    ]
