"""One recorded run for all tests of power loss: it takes seconds, and is made once a process."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

import pytest

from bankrmi.config import Configuration, load
from bankrmi.robustness.power_loss.load import LEDGER
from bankrmi.robustness.power_loss.processes import WITNESS
from bankrmi.robustness.power_loss.reference import Reference
from bankrmi.robustness.power_loss.search import reference_of
from bankrmi.robustness.power_loss.story import SHORT, Story, record
from bankrmi.robustness.power_loss.strace import without_strace


def need_strace() -> None:
    """Skip where strace is missing; fail where nothing may be skipped."""
    missing = without_strace()
    if missing is not None:
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)


@functools.cache
def recorded() -> tuple[Story, Reference, Configuration]:
    """Return the run, what its servers agreed on at the end, and the configuration of all of them."""
    need_strace()
    with tempfile.TemporaryDirectory() as folder:
        story = record(Path(folder), SHORT, seed="tests")
        return story, reference_of(story, LEDGER), load(Path(folder) / f"{WITNESS}.yaml")
