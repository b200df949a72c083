from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bankrmi.robustness.power_loss.disk import Interval, intervals
from bankrmi.robustness.power_loss.operations import (
    DirectorySynced,
    FileSynced,
    MadeDirectory,
    Named,
    Operation,
    Renamed,
    Resized,
    ToldEntry,
    Unnamed,
    Written,
)
from bankrmi.robustness.power_loss.recording import DiskRecorder, cut_writes_done
from bankrmi.robustness.power_loss.states import SECTOR_BYTES, WAYS, Fate, State, Surviving, build, draw
from bankrmi.robustness.power_loss.story import check_end, end_of
from bankrmi.robustness.power_loss.strace import SystemCall, calls, cut_off, recording
from tests.robustness.power_loss_recording import need_strace

BEGIN: list[Operation] = [Named("a", 1), Written(1, 0, b"old"), FileSynced(1), DirectorySynced("")]


def last(operations: list[Operation]) -> Interval:
    for interval in intervals(operations):
        found = interval
    return found


def left(operations: list[Operation], *fates: Fate, seed: str = "") -> dict[str, bytes]:
    return build(last(operations), Surviving(way="", seed=seed, fates=fates)).files


def every(operations: list[Operation], draws: int = 300) -> list[State]:
    found = []
    for number in range(draws):
        for way in WAYS:
            interval = last(operations)
            found.append(build(interval, draw(interval, way, str(number))))
    return found


def test_what_was_synced_is_in_every_state() -> None:
    operations = [*BEGIN, Named("b", 2), Written(2, 0, b"new"), Written(1, 10, b"more")]
    assert all(state.files["a"].startswith(b"old") for state in every(operations))


def test_what_was_not_synced_is_there_or_not_each_write_by_itself() -> None:
    operations = [*BEGIN, Written(1, 0, b"X"), Written(1, 1, b"Y")]
    assert {state.files["a"] for state in every(operations)} == {b"old", b"Xld", b"oYd", b"XYd"}


def test_a_sync_leaves_out_what_was_written_after_it_began() -> None:
    """By another thread; nobody knows whether it was still taken along."""
    operations = [*BEGIN, Written(1, 0, b"X"), Written(1, 1, b"Y"), FileSynced(1, 2)]
    assert {state.files["a"] for state in every(operations)} == {b"Xld", b"XYd"}
    assert {state.files["a"] for state in every([*operations, FileSynced(1, 3)])} == {b"XYd"}


def test_a_file_whose_name_was_not_synced_may_be_gone_with_all_its_content() -> None:
    operations: list[Operation] = [Named("a", 1), Written(1, 0, b"x"), FileSynced(1)]
    assert {tuple(state.files.items()) for state in every(operations)} == {(), (("a", b"x"),)}


def test_a_directory_whose_name_was_not_synced_may_be_gone_with_all_that_is_in_it() -> None:
    operations: list[Operation] = [MadeDirectory("d"), Named("d/a", 1), DirectorySynced("d")]
    assert {tuple(state.files) for state in every(operations)} == {(), ("d/a",)}
    synced = [*operations, DirectorySynced("")]
    assert {tuple(state.files) for state in every(synced)} == {("d/a",)}


def test_a_rename_is_done_or_undone_and_never_half() -> None:
    operations = [*BEGIN, Named("b", 2), DirectorySynced(""), Renamed("b", "a", 2)]
    states = {tuple(sorted(state.files.items())) for state in every(operations)}
    assert states == {(("a", b""),), (("a", b"old"), ("b", b""))}


def test_names_change_in_any_part_so_that_a_removal_may_be_undone_though_a_later_rename_is_not() -> None:
    lost, done = Fate.LOST, Fate.DONE
    operations = [*BEGIN, Named("log", 2), Named("b", 3), DirectorySynced(""), Unnamed("log")]
    operations.append(Renamed("b", "a", 3))
    assert sorted(left(operations, lost, done)) == ["a", "log"]
    assert sorted(left(operations, done, lost)) == ["a", "b"]


def test_a_write_is_torn_at_sectors_and_nowhere_else() -> None:
    old, new = b"o" * 2000, b"n" * 1300
    operations: list[Operation] = [Named("a", 1), Written(1, 0, old), FileSynced(1), DirectorySynced("")]
    operations.append(Written(1, 300, new))
    seen = set()
    for seed in range(200):
        content = left(operations, Fate.TORN, seed=str(seed))["a"]
        assert len(content) == 2000
        assert content[:300] + content[1600:] == b"o" * 700
        for start in range(0, 2000, SECTOR_BYTES):
            within = content[max(start, 300) : min(start + SECTOR_BYTES, 1600)]
            assert len(set(within)) <= 1, "a sector is a mixture"
        seen.add(content)
    assert len(seen) == 16, "four sectors, each old or new"


def test_a_file_may_have_grown_though_the_write_was_lost() -> None:
    operations = [*BEGIN, Written(1, 3, b"more")]
    assert left(operations, Fate.ZEROS)["a"] == b"old" + bytes(4)
    stale = {left(operations, Fate.STALE, seed=str(seed))["a"] for seed in range(20)}
    assert len(stale) > 1
    assert all(content.startswith(b"old") and len(content) == 7 for content in stale)


def test_a_resize_is_pending_like_a_write() -> None:
    operations = [*BEGIN, Resized(1, 1)]
    assert {state.files["a"] for state in every(operations, 5)} == {b"old", b"o"}
    assert left([*operations, FileSynced(1)])["a"] == b"o"


def test_an_interval_knows_all_that_was_told_by_its_end() -> None:
    told = [ToldEntry(action_id=1), ToldEntry(action_id=2)]
    operations = [*BEGIN, told[0], Written(1, 0, b"x"), FileSynced(1), told[1]]
    assert [(interval.answers, len(interval.pending)) for interval in intervals(operations)] == [
        (0, 2),
        (0, 1),
        (1, 1),
        (1, 0),
    ]
    assert last(operations).told == told


def test_the_same_seed_draws_the_same_state() -> None:
    operations = [*BEGIN, *(Written(1, 600 * number, bytes([number]) * 900) for number in range(9))]
    for way in WAYS:
        one, other = (build(last(operations), draw(last(operations), way, "7")) for _ in range(2))
        assert one == other


PROGRAM = """
import os, pathlib, random, sys
root, chance = pathlib.Path(sys.argv[1]), random.Random(sys.argv[2])
os.makedirs(root / "d" / "e")
for number in range(60):
    path = root / "d" / str(chance.randrange(5))
    match chance.randrange(8):
        case 0: path.write_bytes(chance.randbytes(chance.randrange(3000)))
        case 1:
            with path.open("ab") as file: file.write(b"appended"); file.flush(); os.fsync(file.fileno())
        case 2: path.unlink(missing_ok=True)
        case 3 if path.exists(): path.rename(root / "d" / str(chance.randrange(5)))
        case 4 if path.exists(): os.ftruncate(os.open(path, os.O_RDWR), 700)
        case 5:
            file = os.open(path, os.O_RDWR | os.O_CREAT)
            os.pwrite(file, chance.randbytes(50), chance.randrange(5000)); os.fdatasync(file)
        case 6:
            with path.open("wb", buffering=0) as file: file.seek(chance.randrange(90)); file.write(b"sought")
        case 7:
            folder = os.open(root / "d", os.O_RDONLY); os.fsync(folder); os.close(folder)
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_recording_leads_to_what_is_on_the_disk(tmp_path: Path, seed: int) -> None:
    """Writes in all ways, names that come, go and change, by a program of random steps under strace."""
    need_strace()
    machine = tmp_path / "machine"
    machine.mkdir()
    program = [sys.executable, "-c", PROGRAM, str(machine), str(seed)]
    subprocess.run(recording(tmp_path / "trace", program), check=True)
    recorder = DiskRecorder(machine)
    recorder.take_process(calls(tmp_path / "trace"))
    assert len(recorder.operations) > 50
    check_end(recorder.operations, machine)
    assert end_of(recorder.operations).files


def test_a_sync_covers_what_others_had_written_when_it_began(tmp_path: Path) -> None:
    """Thread 1 writes all the time, and thread 2 syncs; what thread 1 does meanwhile may be left out."""

    def escaped(text: str) -> str:
        return "".join(f"\\x{byte:02x}" for byte in text.encode())

    file = f"3<{escaped(str(tmp_path / 'a'))}>"

    def write(began: float, ended: float) -> SystemCall:
        arguments = f'{file}, "{escaped("x")}", 1, 0'
        return SystemCall(
            began=began, ended=ended, name="pwrite64", arguments=arguments, returned=1, rest="", thread=1
        )

    def sync(thread: int) -> SystemCall:
        return SystemCall(
            began=3, ended=9, name="fdatasync", arguments=file, returned=0, rest="", thread=thread
        )

    opened = f'AT_FDCWD, "{escaped(str(tmp_path / "a"))}", O_RDWR|O_CREAT, 0600'
    made = SystemCall(began=0, ended=0, name="openat", arguments=opened, returned=3, rest=file[1:], thread=1)
    before = [made, write(1, 2), write(2.5, 3.5), write(4, 5)]
    for thread, covered in ((2, 1), (1, 3)):
        recorder = DiskRecorder(tmp_path)
        recorder.take_process([*before, sync(thread), write(10, 11)])
        assert [one.covers for one in recorder.operations if isinstance(one, FileSynced)] == [covered]


def test_a_write_in_which_a_process_is_killed_is_looked_up_on_the_disk(tmp_path: Path) -> None:
    """strace does not say whether it was done."""
    need_strace()
    path = tmp_path / "a"
    program = (
        f"import os; file = os.open({str(path)!r}, os.O_RDWR | os.O_CREAT)\n"
        "while True: os.pwrite(file, os.urandom(16), 0)"
    )
    for number in range(3):
        trace = tmp_path / f"trace{number}"
        until_gone, inherited = os.pipe()
        process = subprocess.Popen(recording(trace, [sys.executable, "-c", program]), pass_fds=(inherited,))
        os.close(inherited)
        while not path.exists() or path.stat().st_size < 16:
            assert process.poll() is None
        process.kill()
        process.wait()
        os.read(until_gone, 1)
        os.close(until_gone)
        recorder = DiskRecorder(tmp_path)
        recorder.take_process(calls(trace), cut_writes_done(cut_off(trace)))
        assert end_of(recorder.operations).files["a"] == path.read_bytes()
        path.unlink()


def test_a_call_that_the_model_does_not_know_is_an_error(tmp_path: Path) -> None:
    need_strace()
    one, other = str(tmp_path / "a"), str(tmp_path / "b")
    program = f"import os; os.close(os.open({one!r}, os.O_CREAT | os.O_RDWR)); os.link({one!r}, {other!r})"
    subprocess.run(recording(tmp_path / "trace", [sys.executable, "-c", program]), check=True)
    with pytest.raises(ValueError, match="does not know: link"):
        DiskRecorder(tmp_path).take_process(calls(tmp_path / "trace"))
