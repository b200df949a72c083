"""A few of the frames of `fuzz`; `python -m tests.rmi.fuzz` sends many, as every role to every object."""

from __future__ import annotations

from pathlib import Path

import pytest

from .fuzz import fuzz


@pytest.mark.parametrize("objects", ["account", "names", "witness"])
def test_mutated_frames_leave_no_traceback_and_end_no_process(tmp_path: Path, objects: str) -> None:
    found = fuzz(tmp_path, frames=300, seed=9, objects=(objects,))
    assert found.wrong == []
    assert found.frames == 300
    assert found.answered > 100, "most frames are read as far as that there is something to say to them"
    assert found.longest_cpu_ms < 500
