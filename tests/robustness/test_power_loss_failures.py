from __future__ import annotations

import pytest

from bankrmi.rmi import frames
from bankrmi.rmi.values import write_value
from bankrmi.robustness.power_loss.disk_failures import CASES, DiskFailure, run, told_after_failure
from bankrmi.robustness.power_loss.strace import SystemCall
from tests.robustness.power_loss_recording import need_strace


@pytest.mark.usefixtures("starting_warm")
@pytest.mark.parametrize("case", [CASES[0], CASES[2]], ids=str)
def test_a_process_whose_disk_fails_stops_and_nothing_answered_is_lost(case: DiskFailure) -> None:
    """Under load; it says why, tells nobody anything newer, and comes back when the disk is sound again."""
    need_strace()
    said: list[str] = []
    assert run(case, seed="tests", say=said.append) == []
    assert "exit code 1" in said[0]


def sent(action_id: int) -> SystemCall:
    payload = write_value(frames.MSGPACK, {"action_id": action_id, "history": "h"})
    message = frames.frame_bytes(frames.RESULT, frames.MSGPACK, 0, 1, payload)
    escaped = "".join(f"\\x{byte:02x}" for byte in message)
    socket = "".join(f"\\x{byte:02x}" for byte in b"socket:[7]")
    arguments = f'5<{socket}>, "{escaped}", {len(message)}, 0, NULL, 0'
    return SystemCall(began=1, ended=1, name="sendto", arguments=arguments, returned=len(message), rest="")


FAILED = SystemCall(began=1, ended=1, name="fdatasync", arguments="3<>", returned=-1, rest=" EIO (INJECTED)")


def test_an_answer_that_rests_on_what_a_failed_disk_holds_is_found() -> None:
    """What was known before may be said again; anything newer may not."""
    assert told_after_failure([sent(1), FAILED, sent(1)], witness=False) == []
    assert told_after_failure([sent(1), FAILED, sent(2)], witness=False) != []


def test_a_disk_that_has_not_failed_is_no_trial() -> None:
    assert told_after_failure([sent(1)], witness=False) == ["the disk has not failed: nothing was tried"]
