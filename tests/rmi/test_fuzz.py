"""A few of the frames of `fuzz`; `python -m tests.rmi.fuzz` sends many, as every role to every object."""

from __future__ import annotations

from pathlib import Path

import pytest

from .fuzz import fuzz

ALLOWED = {
    "account": (None, "client", "server", "operator"),
    "names": (None, "client", "server", "operator"),
    "witness": ("server", "operator"),
    "standby": ("server",),
    "operator": ("operator",),
}
"""Whom each object lets in: they are heard after their handshake, too."""


@pytest.mark.parametrize("objects", ["account", "names", "witness", "standby", "operator"])
def test_mutated_frames_leave_no_traceback_and_end_no_process(tmp_path: Path, objects: str) -> None:
    found = fuzz(tmp_path, frames=300, seed=9, objects=(objects,))
    assert found.wrong == []
    assert found.frames == 300
    assert found.answered > 100, "most frames are read as far as that there is something to say to them"
    assert found.greeted == {(objects, role) for role in ALLOWED[objects]}
