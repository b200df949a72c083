"""Chaos has to be able to fail: a bug in the product is found by it, in real processes, within a few minutes.

The bug is planted from outside, in every process of the run, by a `sitecustomize` module on PYTHONPATH.
Long, so it runs only when asked for (`ROBUSTNESS=1`), as `make robustness` does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUNS = 5
MINUTES = 0.7

BUGS = {
    "acknowledge before the standby": """
from bankrmi.replication.leading import Leader

def advance(self, step):
    self.acknowledged = self.ever_acknowledged = step.tip
    self._release(step)

def release(self, step):
    step.effects.extend(self._answers.released(self.acknowledged, self._checkpoints.number + 1))

Leader._advance, Leader._release = advance, release
""",
    "do a request again that was done before": """
from bankrmi.storage.journal import SqliteJournal

decide = SqliteJournal.decide
SqliteJournal.newest = lambda self, session: None
SqliteJournal.decide = lambda self, epoch, request, *more: decide(
    self, epoch, (request[0], (self.tip.action_id << 20) + request[1]), *more
)
""",
    "read without a lease": """
from bankrmi.replication.reading import ReadFacts

ReadFacts.may_read_until_ms = float("inf")
""",
}


@pytest.mark.skipif(not os.environ.get("ROBUSTNESS"), reason="long: make robustness runs it")
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_in_the_product_is_found(tmp_path: Path, bug: str) -> None:
    """Exit code 1, and the sentences say what was broken."""
    (tmp_path / "sitecustomize.py").write_text(BUGS[bug])
    for seed in range(1, RUNS + 1):
        arguments = ["chaos", "--minutes", str(MINUTES), "--seed", str(seed)]
        arguments += ["--directory", str(tmp_path / str(seed))]
        run = subprocess.run(
            [sys.executable, "-m", "bankrmi", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
        )
        if run.returncode == 1 and "violation" in run.stdout.partition("\n")[0]:
            return
        assert run.returncode == 0, run.stderr
    pytest.fail(f"{RUNS} runs did not find it: {bug}")
