"""A bank that runs is recorded into a file, whatever ends that; and the file is shown."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from bankrmi.console.events import AnyEvent, DecidedEvent, NoteEvent, RateEvent, StateEvent, ViewEvent
from bankrmi.console.recorder import RecordOrder, record
from bankrmi.console.recording import read_recording
from bankrmi.errors import ConfigurationError
from tests import warm
from tests.console.test_one_page import recording_in
from tests.system.cluster import DEADLINE_S, Cluster
from tests.system.commands import bankrmi
from tests.system.test_certificates import issue
from tests.warm import Process

Kind = TypeVar("Kind")


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("recorded")
    issue(folder / "certificates")
    with Cluster(folder, certificates={"folder": "certificates", "client": "teller"}) as cluster:
        cluster.start_all()
        yield cluster


def recorder(bank: Cluster, file: Path, *options: str) -> Process:
    with (bank.directory / f"{file.name}.log").open("wb") as log:
        command = ["--config", str(bank.config), "record", str(file), *options]
        return warm.start(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def events_in(file: Path, kind: type[Kind]) -> list[Kind]:
    """Return those that are in the file by now; none if it has not begun yet."""
    try:
        events: tuple[AnyEvent, ...] = read_recording(file).events
    except ConfigurationError:
        return []
    return [event for event in events if isinstance(event, kind)]


def test_a_kill_is_recorded_behind_certificates_and_can_be_seen_again(bank: Cluster) -> None:
    told, cut_short = bank.directory / "told.jsonl", bank.directory / "cut-short.jsonl.gz"
    both = recorder(bank, told), recorder(bank, cut_short)
    try:
        for file in (told, cut_short):
            bank.until(lambda file=file: events_in(file, RateEvent), "look-ups are recorded")  # type: ignore[misc]
        client = bank.client()
        client.withdraw(2, 10)
        bank.until(lambda: events_in(told, DecidedEvent), "it is seen that something was decided")
        killed = bank.primary()
        bank.kill(killed)
        client.withdraw(2, 10)
        for file in (told, cut_short):
            bank.until(
                lambda file=file: [one for one in events_in(file, ViewEvent) if one.primary != killed],  # type: ignore[misc]
                "the takeover is recorded",
            )
        both[1].send_signal(signal.SIGKILL)
        both[0].send_signal(signal.SIGINT)
        assert both[0].wait(DEADLINE_S) == 0
        assert both[1].wait(DEADLINE_S) == -signal.SIGKILL
    finally:
        for process in both:
            process.kill()
    assert "told.jsonl, 0.0 MB: it was told to end" in (bank.directory / "told.jsonl.log").read_text()
    whole, torn = read_recording(told), read_recording(cut_short)
    assert whole.left_out == torn.left_out == ""
    assert whole.hello.servers == dict(bank.configuration.servers)
    last = whole.events[-1]
    assert isinstance(last, NoteEvent)
    assert last.text == "The recording ends: it was told to end."
    seen = [one.view.primary for one in events_in(told, StateEvent) if one.view is not None]
    assert (seen[0], seen[-1] != killed) == (killed, True)
    assert sum(rate.done for rate in events_in(told, RateEvent)) > 0
    bank.start(killed)

    shown = bankrmi(bank, "replay", "--no-browser", str(told))
    assert (shown.returncode, shown.stdout) == (0, f"{bank.directory / 'told.html'}\n"), shown.stderr
    page = (bank.directory / "told.html").read_text()
    assert [event["kind"] for event in recording_in(page)] == [event.kind for event in whole.events]
    again = bankrmi(bank, "replay", "--no-browser", str(told))
    assert again.returncode == 0, "its own page it may write anew"
    (bank.directory / "told.html").write_text("<p>somebody's</p>")
    refused = bankrmi(bank, "replay", "--no-browser", str(told))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "is no page of a recording: --to names another" in refused.stderr
    elsewhere = bank.directory / "elsewhere.html"
    assert bankrmi(bank, "replay", "--no-browser", "--to", str(elsewhere), str(cut_short)).returncode == 0
    assert elsewhere.exists()


def test_it_ends_when_it_was_told_to_and_takes_nobodys_file(bank: Cluster) -> None:
    file = bank.directory / "short.jsonl"
    ended = bankrmi(bank, "record", str(file), "--minutes", "0.01")
    assert ended.returncode == 0, ended.stderr
    assert "short.jsonl, 0.0 MB: its time is over" in ended.stdout
    assert "bankrmi replay" in ended.stderr
    assert read_recording(file).left_out == ""
    refused = bankrmi(bank, "record", str(file))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == f"{file} is there already: name a file that is not\n"
    nothing = bankrmi(bank, "replay", "--no-browser", str(bank.config))
    assert (nothing.returncode, len(nothing.stderr.splitlines())) == (2, 1)
    assert "is no recording of bankrmi" in nothing.stderr


def test_without_look_ups_the_bank_is_only_asked_how_it_is(bank: Cluster) -> None:
    file = bank.directory / "asked.jsonl"
    process = recorder(bank, file, "--no-look-ups")
    try:
        bank.until(
            lambda: len(events_in(file, StateEvent)) + len(events_in(file, ViewEvent)) > 1, "it is asked"
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
    assert not events_in(file, RateEvent)


def test_a_recording_that_is_full_ends_in_good_order(bank: Cluster) -> None:
    file = bank.directory / "full.jsonl"
    order = RecordOrder(path=file, seconds=DEADLINE_S, most_bytes=4_500, looks_up=True)
    said = asyncio.run(record(bank.configuration, order, lambda _: None))
    assert "has reached" in said
    assert file.stat().st_size <= 4_500
    assert read_recording(file).left_out == ""
