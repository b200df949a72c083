"""What `up` tells of a bank, from the lines of its logs."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from bankrmi.cli.logs import FollowedLog, read_line
from bankrmi.cli.narration import AGAIN_S, KINDS, Narrator
from bankrmi.replication.cause import Cause, CauseKind

AT = "2026-01-31T12:00:00."


def view(
    epoch: int, primary: str, in_sync: str, *, ms: int = 0, service: str = "account", cause: str = ""
) -> str:
    details = f"service={service} epoch={epoch} primary={primary} in_sync={in_sync}"
    if cause:
        details += f' cause="{cause}" by=s2'
    return f"{AT}{ms:03}Z info  nameserver[30210] view {details}"


class Told:
    def __init__(self) -> None:
        self.narrator = Narrator("account")
        self.narrator.up_since_s = 0.0

    def of(self, line: str, who: str = "nameserver") -> str | None:
        read = read_line(line)
        return None if read is None else self.narrator.take(who, read)


@pytest.fixture
def told() -> Told:
    told = Told()
    assert told.of(view(2, "s1", "s1,s2")) is None
    return told


def seconds(line: str) -> float:
    read = read_line(line)
    assert read is not None
    return read.time_s


def test_a_takeover_is_told_with_the_death_before_it(told: Told) -> None:
    told.narrator.died("s1", seconds(view(2, "s1", "s1", ms=100)))
    assert (
        told.of(view(3, "s2", "s2", ms=108)) == "s2 took over in epoch 3, 8 ms after s1 died: ONE COPY ONLY"
    )
    assert told.of(view(4, "s2", "s1,s2", ms=300)) == "s1 is in sync in epoch 4: 2 copies"


def test_a_takeover_from_a_silent_primary_is_none_after_a_death(told: Told) -> None:
    assert told.of(view(3, "s2", "s2")) == "s2 took over in epoch 3 from s1, which was silent: ONE COPY ONLY"


def test_a_death_is_no_reason_for_what_comes_when_that_server_is_back(told: Told) -> None:
    told.narrator.died("s1", seconds(view(2, "s1", "s1", ms=100)))
    told.of(view(3, "s2", "s2", ms=108))
    told.of(view(4, "s2", "s1,s2", ms=300))
    told.of(view(5, "s1", "s1,s2", ms=400))
    assert told.of(view(6, "s2", "s2", ms=900)) == (
        "s2 took over in epoch 6 from s1, which was silent: ONE COPY ONLY"
    )


def test_a_view_from_before_a_death_does_not_make_it_forgotten(told: Told) -> None:
    """A log is read a moment after it was written."""
    told.narrator.died("s1", seconds(view(2, "s1", "s1", ms=100)))
    told.of(view(3, "s1", "s1,s2", ms=90))
    assert (
        told.of(view(4, "s2", "s2", ms=108)) == "s2 took over in epoch 4, 8 ms after s1 died: ONE COPY ONLY"
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (view(3, "s2", "s1,s2"), "s1 handed over to s2 in epoch 3: 2 copies"),
        (view(3, "s1", "s1"), "s1 goes on without s2 in epoch 3: ONE COPY ONLY"),
        (view(3, "s1", "s1,s2"), "s1 leads again in epoch 3: 2 copies"),
        (view(3, "s1", "s1,s2,s3"), "s3 is in sync in epoch 3: 3 copies"),
        (view(2, "s1", "s1,s2"), None),
        (view(3, "s2", "s2", service="other"), None),
        (f"{AT}000Z info  s1[7] view epoch=x", None),
        ("Traceback (most recent call last):", None),
        ("{}", None),
        ("", None),
    ],
)
def test_each_change_of_the_view_has_its_sentence(told: Told, line: str, sentence: str | None) -> None:
    assert told.of(line) == sentence


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            view(3, "s2", "s2", cause="silence of s1: 1004 ms"),
            "s2 took over in epoch 3 from s1 (silence of s1: 1004 ms): ONE COPY ONLY",
        ),
        (
            view(3, "s2", "s1,s2", cause="switchover by 127.0.0.1:5000"),
            "s1 handed over to s2 in epoch 3 (switchover by 127.0.0.1:5000): 2 copies",
        ),
        (
            view(3, "s1", "s1", cause="s2 left behind: silent for 512 ms"),
            "s1 goes on without s2 in epoch 3 (s2 left behind: silent for 512 ms): ONE COPY ONLY",
        ),
        (
            view(3, "s1", "s1,s2", cause="s1 started again"),
            "s1 leads again in epoch 3 (s1 started again): 2 copies",
        ),
        (view(3, "s1", "s1,s2,s3", cause="s3 joined"), "s3 is in sync in epoch 3: 3 copies"),
    ],
)
def test_a_change_of_the_view_is_told_with_its_cause(told: Told, line: str, sentence: str) -> None:
    """Unless that would say the same again."""
    assert told.of(line) == sentence


def test_a_takeover_is_told_with_the_death_and_its_cause(told: Told) -> None:
    told.narrator.died("s1", seconds(view(2, "s1", "s1", ms=100)))
    line = view(3, "s2", "s2", ms=108, cause="crash of s1: refused at 127.0.0.1:9101")
    assert told.of(line) == (
        "s2 took over in epoch 3, 8 ms after s1 died (crash of s1: refused at 127.0.0.1:9101): ONE COPY ONLY"
    )


def test_how_a_bank_starts_is_not_told_but_its_warnings_are() -> None:
    told = Told()
    told.narrator.up_since_s = seconds(view(4, "s1", "s1", ms=4))
    assert told.of(view(2, "s1", "s1", ms=2)) is None
    assert told.of(view(3, "s1", "s1,s2", ms=3)) is None
    assert told.of(f"{AT}003Z warning s1[7] the ledger was edited ledger=x", "s1") is not None
    assert told.of(view(4, "s1", "s1", ms=4)) is not None


def test_a_warning_is_told_once_in_a_while(told: Told) -> None:
    line = f'{AT}000Z warning s1[7] the ledger was edited ledger=/a/ledger.csv remedy="use deposits"'
    assert told.of(line, "s1") == "s1: the ledger was edited (ledger: /a/ledger.csv; remedy: use deposits)"
    assert told.of(line, "s1") is None
    assert told.of(line, "s2") is not None
    later = line.replace("12:00:00", f"12:{int(AGAIN_S) // 60:02}:00")
    assert told.of(later, "s1") is not None


def test_kinds_of_warnings_are_bounded(told: Told) -> None:
    said = [told.of(f"{AT}000Z warning s1[7] {number} a=b", "s1") for number in range(2 * KINDS)]
    assert len([one for one in said if one]) == KINDS


def test_what_a_process_says_before_it_ends_is_told_with_its_end_and_not_here(told: Told) -> None:
    assert told.of(f"{AT}000Z error s1[7] the disk is full", "s1") is None
    assert told.of(f"{AT}000Z error s1[7] another server answers there expected=s2", "s1") is not None


def test_a_log_in_json_is_the_same_story(told: Told) -> None:
    form = {"time": f"{AT}000Z", "level": "info", "server": "nameserver", "pid": 1, "event": "view"}
    form |= {"service": "account", "epoch": 3, "primary": "s2", "in_sync": ["s1", "s2"]}
    assert told.of(json.dumps(form)) == "s1 handed over to s2 in epoch 3: 2 copies"


def test_a_log_is_followed_from_its_end_through_being_moved_and_emptied(tmp_path: Path) -> None:
    path = tmp_path / "s1.log"
    path.write_text("before\n")
    log = FollowedLog(path)
    assert list(log.new_lines()) == []
    with path.open("a") as file:
        file.write("one\ntw")
        file.flush()
        assert list(log.new_lines()) == ["one"]
        file.write("o\n")
    path.rename(tmp_path / "s1.log.1")
    path.write_text("three\n")
    assert [line for _ in range(3) for line in log.new_lines()] == ["two", "three"]
    path.write_text("4\n")
    assert [line for _ in range(3) for line in log.new_lines()] == ["4"]
    path.unlink()
    assert list(log.new_lines()) == []
    log.close()


def test_a_log_that_grows_faster_than_it_is_read_is_skipped_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "s1.log"
    with closing(FollowedLog(path)) as log:
        path.write_bytes(b"x" * (4 << 20) + b"\nlast\n")
        assert list(log.new_lines())[-1] == "last"


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (CauseKind.PAUSED, "goes on leading"),
        (CauseKind.RESUMED, "goes on leading"),
        (CauseKind.ADDED, "goes on leading"),
        (CauseKind.REMOVED, "goes on leading"),
        (CauseKind.MOVED, "goes on leading"),
        (CauseKind.SETTLED, "goes on leading"),
        (CauseKind.STARTED_AGAIN, "leads again"),
        (CauseKind.LED_AGAIN, "leads again"),
        (CauseKind.CRASH, "leads again"),
        (CauseKind.RESTORED, "leads again"),
    ],
)
@pytest.mark.parametrize("operator", [None, "anna"])
def test_who_never_stopped_leading_does_not_lead_again(
    told: Told, kind: CauseKind, says: str, operator: str | None
) -> None:
    cause = Cause(kind=kind, by="s1", of=("s3",), address="127.0.0.1:9103", operator=operator)
    said = told.of(view(3, "s1", "s1,s2", cause=cause.in_words))
    assert said == f"s1 {says} in epoch 3 ({cause.in_words}): 2 copies"
