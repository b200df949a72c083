"""A recording as a file: whole whenever it ends, bounded, and read though others may have written it."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest

from bankrmi.console import recording as recording_file
from bankrmi.console.events import HelloEvent, NoteEvent, text_of
from bankrmi.console.recording import BudgetSpent, Recording, packed, read_recording
from bankrmi.errors import ConfigurationError, OperationFailed

HELLO = HelloEvent(
    t=1000, format=1, version="1", service="account", servers={"s1": "a"}, keeper="witness", told_by="record"
)


def recorded(path: Path, count: int = 3, most_bytes: int = 1 << 20) -> Recording:
    told = Recording(path, HELLO, now_ms=lambda: 2000.5, most_bytes=most_bytes)
    for number in range(count):
        told.put("note", text=f"note {number}")
    return told


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_what_was_recorded_is_read_again(tmp_path: Path, name: str) -> None:
    recorded(tmp_path / name).close()
    found = read_recording(tmp_path / name)
    assert found.hello == HELLO
    assert found.events == (HELLO, *(NoteEvent(t=2000.5, text=f"note {number}") for number in range(3)))
    assert found.left_out == ""
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_a_recording_that_was_killed_is_whole_but_for_its_last_line(tmp_path: Path, name: str) -> None:
    """Wherever the file ends: what came before the last whole line is there, and nobody complains."""
    path, chance = tmp_path / name, random.Random(7)
    told = recorded(path, count=40)  # Not closed: as whoever was killed leaves it.
    content = path.read_bytes()
    assert len(read_recording(path).events) == 41
    told.close()
    beginning = len(text_of(HELLO)) + 40
    for end in chance.sample(range(beginning, len(content)), 40):
        path.write_bytes(content[:end])
        found = read_recording(path)
        assert found.left_out == ""
        assert [event.t for event in found.events[1:]] == [2000.5] * (len(found.events) - 1)
        if name == "r.jsonl":
            assert len(found.events) == content[:end].count(b"\n")


def test_lines_that_are_no_events_are_left_out_and_said_once(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    lines = [
        text_of(HELLO),
        "{}",
        text_of(NoteEvent(t=1, text="good")),
        text_of(HELLO),
        "\x1b[2J",
        '{"t":1,"kind":"x"}',
    ]
    path.write_text("\n".join(lines) + "\n")
    found = read_recording(path)
    assert [event.kind for event in found.events] == ["hello", "note"]
    assert found.left_out == (
        f"3 lines of {path} are no events (line 2: it is no JSON object with a kind); "
        f"1 event of {path} is of a kind that this version does not know"
    )


def test_what_is_no_recording_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    newer = json.dumps({**json.loads(text_of(HELLO)), "format": 2})
    for content, said in (
        (b"", "is no recording of bankrmi"),
        (b"\x00" * 100, "is no recording of bankrmi"),
        (text_of(NoteEvent(t=1)).encode() + b"\n", "is no recording of bankrmi"),
        (newer.encode() + b"\n", "is a recording of another version"),
        (text_of(HELLO).encode() + b"\n" + b"x" * (recording_file.LINE_BYTES + 2), "has a line of over 1 MB"),
        (b"\x1f\x8b" + b"\x00" * 50, "is damaged"),
        (gzip.compress(text_of(HELLO).encode() + (b"\n" + b"x" * 900_000) * 12), "is longer than 8 MB"),
        (text_of(HELLO).encode() + b"\n{}" * 1_100, "over 1000 of its lines are no events"),
    ):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=said) as refused:
            read_recording(path, most_bytes=8 << 20)
        assert str(path) in str(refused.value)
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read_recording(tmp_path / "nothing")


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text("somebody's")
    with pytest.raises(ConfigurationError, match="is there already"):
        recorded(path)
    with pytest.raises(ConfigurationError, match="cannot be written: No such file"):
        recorded(tmp_path / "nowhere" / "r.jsonl")
    assert path.read_text() == "somebody's"


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_it_never_grows_beyond_its_budget(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    told = recorded(path, count=0, most_bytes=4096)
    chance = random.Random(7)

    def fill() -> None:
        while True:
            told.put("note", text=chance.randbytes(100).hex())

    with pytest.raises(BudgetSpent, match="has reached"):
        fill()
    told.close()
    assert path.stat().st_size <= 4096
    found = read_recording(path)
    assert len(found.events) > 10
    assert found.left_out == ""


def test_a_full_disk_is_said_in_a_sentence() -> None:
    full = Path("/dev/full")
    told = Recording.__new__(Recording)
    told.path, told.bytes, told._most_bytes, told._packer = full, 0, 1 << 20, None
    with full.open("wb", buffering=0) as told._file, pytest.raises(OperationFailed, match="No space left"):
        told.write(HELLO)


def test_a_page_gets_it_packed(tmp_path: Path) -> None:
    recorded(tmp_path / "r.jsonl", count=100).close()
    events = read_recording(tmp_path / "r.jsonl").events
    assert len(packed(events)) < (tmp_path / "r.jsonl").stat().st_size / 2
    assert packed(events) == packed(events), "the same recording makes the same page"
