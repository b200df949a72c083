"""What strace wrote down, read line by line."""

from pathlib import Path

import pytest

from bankrmi.robustness.power_loss.recording import cut_writes_done
from bankrmi.robustness.power_loss.strace import calls, cut_off

FILE = "".join(f"\\x{byte:02x}" for byte in b"/bank.db")
DONE = f'12.5 pwrite64(3<{FILE}>, "\\x41", 1, 0) = 1 <0.25>\n'


def written(tmp_path: Path, *lines: str) -> Path:
    (tmp_path / "trace.7").write_text("".join(lines))
    return tmp_path / "trace"


def test_a_call_ends_after_it_began(tmp_path: Path) -> None:
    (call,) = calls(written(tmp_path, DONE))
    assert (call.began, call.ended, call.name, call.returned) == (12.5, 12.75, "pwrite64", 1)


def test_a_thread_killed_at_the_door_of_a_call_did_not_make_it(tmp_path: Path) -> None:
    """strace had read nothing of it: neither which call, nor where it wrote, nor what."""
    trace = written(tmp_path, DONE, "13.0 ???()                 = ?\n")
    assert [call.returned for call in calls(trace)] == [1]
    assert not cut_off(trace)
    trace = written(tmp_path, DONE, f"13.0 pwrite64(3<{FILE}>, 0x7ffe8dd0, 1, 0) = ?\n")
    assert [call.returned for call in calls(trace)] == [1, None]
    assert not cut_writes_done(cut_off(trace))


def test_a_call_in_which_a_thread_was_killed_has_no_result(tmp_path: Path) -> None:
    trace = written(tmp_path, DONE, f'13.0 pwrite64(3<{FILE}>, "\\x42", 1, 0) = ?\n')
    assert [call.returned for call in calls(trace)] == [1, None]
    assert [call.began for call in cut_off(trace)] == [13.0]


def test_where_the_last_lines_are_longer_than_what_is_read_a_part_of_one_is_none(tmp_path: Path) -> None:
    long = f'12.0 pwrite64(3<{FILE}>, "\\x00", 1, 0) = 1 <0.25>\n'
    long = long.replace("\\x00", "\\x00" * 5_000_000)
    trace = written(tmp_path, long, f'13.0 pwrite64(3<{FILE}>, "\\x42", 1, 0) = ?\n')
    assert [call.began for call in cut_off(trace)] == [13.0]


@pytest.mark.parametrize("end", ["unfinished", "detached"])
def test_a_call_of_which_strace_heard_no_end_has_no_result(tmp_path: Path, end: str) -> None:
    """Killed while it was in it; or gone before strace could look again (once in some hundred runs)."""
    trace = written(tmp_path, DONE, f'13.0 pwrite64(3<{FILE}>, "\\x42", 1, 0 <{end} ...>\n')
    assert [call.returned for call in calls(trace)] == [1, None]
    assert [call.began for call in cut_off(trace)] == [13.0]


@pytest.mark.parametrize("line", ["13.0 ???() = 0\n", "13.0 pwrite64\n", "nonsense\n"])
def test_a_line_that_cannot_be_read_is_an_error(tmp_path: Path, line: str) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        calls(written(tmp_path, DONE, line))
