"""Chaos from the command line: a real bank under real faults; and what must not be left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from bankrmi.cli.main import main
from bankrmi.console.recording import read_recording
from bankrmi.replication.record import packed, unpacked
from bankrmi.storage.database import open_database
from tests import warm
from tests.console.browsers import OpenPage, in_chromium, started
from tests.console.test_one_page import recording_in
from tests.etcd import needs_etcd

DEADLINE_S = 100.0


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "bankrmi", *map(str, arguments)]


def bankrmi(*arguments: object) -> subprocess.CompletedProcess[str]:
    return warm.run([str(argument) for argument in arguments], timeout=DEADLINE_S)


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"it did not come about that {what}"
        time.sleep(0.02)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def processes_of(directory: Path) -> list[int]:
    """Return the processes that have this directory in their command line: all that chaos has started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(directory) + b"/" in words:
            found.append(int(process.name))
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One run for several tests."""
    directory = tmp_path_factory.mktemp("chaos") / "run"
    report = directory.parent / "report.html"
    seldom = "--pause-ms", 75  # So that it leaves others some of the machine.
    arguments = ("--minutes", 0.2, "--seed", 4, *seldom, "--directory", directory, "--report", report)
    return directory, bankrmi("chaos", *arguments)


def test_a_bank_under_real_faults_keeps_its_promises(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    """Processes were hit, clients were answered all the same, and nothing is wrong.

    How far this seed comes in that time, a slow machine decides: here it is as far as the first of them.
    """
    directory, run = finished
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.startswith("no violation in "), run.stdout
    kinds = Counter(str(fault["kind"]) for fault in lines(directory / "faults.jsonl"))
    assert {"kill", "pause", "cut"} & kinds.keys()
    calls = [line for file in (directory / "history").glob("*.jsonl") for line in lines(file)]
    answered = [line for line in calls if line.get("outcome") == "answered"]
    assert len(answered) > 200
    assert "</html>" in (directory.parent / "report.html").read_text()


def test_what_happened_is_recorded_with_the_views_and_what_processes_used(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    directory, _ = finished
    recording = read_recording(directory / "recording.jsonl.gz")
    assert recording.left_out == ""
    assert recording.hello.told_by == "chaos"
    kinds = Counter(event.kind for event in recording.events)
    assert kinds["view"] > 2
    assert kinds["usage"] > 2
    assert kinds["fault"] == len(lines(directory / "faults.jsonl"))
    [embedded] = [recording_in((directory.parent / "report.html").read_text())]
    assert [event["kind"] for event in embedded] == [event.kind for event in recording.events]


@in_chromium
def test_its_report_is_seen_in_a_browser_from_a_file_and_asks_nobody(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    directory, run = finished
    address = (directory.parent / "report.html").as_uri()
    with started() as browser, OpenPage(browser, address) as seen:
        page = seen.page
        verdict = run.stdout.partition(":")[0]
        expect(page.locator("h1")).to_have_text(verdict[0].upper() + verdict[1:])
        expect(
            page.get_by_role("img", name=re.compile("^Timeline of .* changes of the view, [1-9]"))
        ).to_be_visible()
        failovers = [event for event in recording_in(page.content()) if event["kind"] == "failover"]
        expect(page.locator("#failovers-each tbody tr")).to_have_count(len(failovers))
        expect(page.locator("#slowest tbody tr")).to_have_count(15)
        expect(page.locator("#usage tbody tr").first).to_be_visible()
        page.get_by_role("button", name="Show the failover before").click()
        expect(page.locator("#moment-title")).not_to_be_empty()
        assert Axe().run(page).violations_count == 0
        assert seen.asked_for == [address]


ETCD_SEED = 41


@pytest.mark.long
@needs_etcd
@pytest.mark.timeout(300)
def test_a_bank_whose_view_is_in_etcd_keeps_its_promises_while_members_are_hit(tmp_path: Path) -> None:
    """With this seed, members of etcd are killed, paused and cut off, from servers and from each other.

    Everybody shows a certificate, too.
    """
    directory = tmp_path / "run"
    run = bankrmi(
        "chaos", "--minutes", 0.6, "--seed", ETCD_SEED, "--etcd", "--certificates", "--directory", directory
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.startswith("no violation in "), run.stdout
    hit = {
        str(fault["kind"])
        for fault in lines(directory / "faults.jsonl")
        if {str(fault["target"]), str(fault.get("toward"))} & {"m1", "m2", "m3"}
    }
    assert {"kill", "pause"} <= hit
    assert any((directory / "data" / "m1").iterdir())
    assert not (directory / "data" / "witness").exists()


REMOVALS_SEED = 23


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_bank_whose_servers_come_and_go_keeps_its_promises(tmp_path: Path) -> None:
    """With this seed the first thing that happens is that a server is removed."""
    directory = tmp_path / "run"
    options = ("--servers", 3, "--certificates", "--removals", "--directory", directory)
    run = bankrmi("chaos", "--minutes", 0.6, "--seed", REMOVALS_SEED, *options)
    if run.returncode == 2 and "can have a network of its own" in run.stderr:
        pytest.skip(run.stderr.strip())
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.startswith("no violation in "), run.stdout
    assert "remove" in {str(fault["kind"]) for fault in lines(directory / "faults.jsonl")}


def test_relays_cannot_show_one_address_of_a_server_to_everybody(tmp_path: Path) -> None:
    run = bankrmi("chaos", "--minutes", 0.1, "--relays", "--removals", "--directory", tmp_path / "run")
    assert (run.returncode, run.stdout) == (2, "")
    assert (
        run.stderr.strip().splitlines()[-1].startswith("--removals: a server that is added has one address")
    )


def test_the_same_check_notices_a_single_wrong_entry(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    """A checker that finds nothing has to be able to find something."""
    directory, _ = finished
    assert main(["check", str(directory / "history"), "--data", str(directory / "data" / "s1")]) == 0
    wrong = directory.parent / "wrong" / "s1"
    shutil.copytree(directory / "data" / "s1", wrong)
    _forge(wrong / "bank.db")
    assert main(["check", str(directory / "history"), "--data", str(wrong)]) == 1


def _forge(database: Path) -> None:
    """Change what one request came to, in the middle of the journal."""
    opened = open_database(database)
    middle = opened.execute("SELECT max(action_id) / 2 FROM journal").get
    [(action_id, outcomes)] = opened.execute(
        "SELECT action_id, outcomes FROM journal WHERE action_id >= ? AND outcomes <> x'' LIMIT 1", (middle,)
    )
    forged = packed([outcome + 1 if type(outcome) is int else 7 for outcome in unpacked(outcomes)])
    opened.execute("UPDATE journal SET outcomes = ? WHERE action_id = ?", (forged, action_id))
    opened.close()


@pytest.mark.long
def test_ctrl_c_ends_a_run_early_and_still_gives_the_verdict(tmp_path: Path) -> None:
    """Three servers this time: everything is healed, comes to rest, and is judged."""
    directory = tmp_path / "run"
    running = warm.Popen(
        command("chaos", "--minutes", 10, "--seed", 11, "--servers", 3, "--directory", directory, "--relays"),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: len(lines(directory / "faults.jsonl")) >= 6, "some faults are over")
        running.send_signal(signal.SIGINT)
        told, _ = running.communicate(timeout=DEADLINE_S)
    finally:
        running.kill()
    assert running.returncode == 0, told
    assert told.startswith("no violation in "), told
    assert not processes_of(directory)


def test_a_chaos_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    """Not even one that is paused at that moment."""
    directory = tmp_path / "run"
    running = warm.Popen(
        command("chaos", "--minutes", 10, "--seed", 12, "--directory", directory),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: list((directory / "history").glob("*.jsonl")), "clients are at work")
        ours = [process for process in processes_of(directory) if process != running.pid]
        assert len(ours) >= 4
        os.kill(ours[0], signal.SIGSTOP)
    finally:
        running.kill()
        running.wait()
    until(lambda: not processes_of(directory), "all processes are gone")


def test_a_directory_that_is_not_empty_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Chaos touches nothing that it has not made."""
    (tmp_path / "somebody's").write_text("own")
    assert main(["chaos", "--minutes", "1", "--directory", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["somebody's"]


def test_a_report_that_could_not_be_written_is_refused_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody waits half an hour for that."""
    for report, why in (
        (tmp_path / "no" / "report.html", "there is no such folder"),
        (tmp_path, "is a directory"),
        ("", "Is a directory"),
        ("/proc/report.html", "cannot be written"),
    ):
        assert main(["chaos", "--minutes", "30", "--report", str(report)]) == 2
        assert why in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
