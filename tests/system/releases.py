"""Other versions of bankrmi, as folders to run processes from: the release before, and one that may come.

Assumption: the release before runs with what this version needs; its own dependencies are not installed anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["COMMIT", "RELEASE", "ROOT", "environment", "later_version", "release_before", "tagged"]

RELEASE = "v1.0.0"
COMMIT = ""
"""Of that tag: for a clone without tags."""

ROOT = Path(__file__).parents[2]


def tagged() -> str:
    """Return the commit of the release before; skips the test, with the reason, where there is none."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no git, or this is no clone: the release before cannot be had")
    for name in (RELEASE, COMMIT):
        wanted = ["git", "rev-parse", "--quiet", "--verify", f"{name}^{{commit}}"]
        found = subprocess.run(wanted, cwd=ROOT, capture_output=True, text=True, check=False)
        if name and found.returncode == 0:
            return found.stdout.strip()
    pytest.skip(f"{RELEASE} is not in the history of this clone: git fetch --unshallow --tags")


def release_before(folder: Path) -> Path:
    """Return a folder with the code of the release before."""
    archive = subprocess.run(
        ["git", "archive", tagged(), "bankrmi"], cwd=ROOT, capture_output=True, check=True
    )
    folder.mkdir()
    subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
    return folder


_LATER = {
    "protocol_versions.py": "NEWEST += 1",
    "storage/tables.py": "FORMATS_READ = {**FORMATS_READ, 1 + max(FORMATS_READ): FORMAT}",
    "replication/forms.py": """
from bankrmi.protocol_versions import NEWEST
FIELDS[Checkpoint]["weather"] = number
ADDED[Checkpoint] = {**ADDED.get(Checkpoint, {}), "weather": AddedField(since=NEWEST, before=0)}
""",
}
_LAST_FIELD = "    records: Sequence[Record] = ()\n"


def later_version(folder: Path) -> Path:
    """Return a folder with this version, but one protocol further: a checkpoint has one more field."""
    shutil.copytree(ROOT / "bankrmi", folder / "bankrmi", ignore=shutil.ignore_patterns("__pycache__"))
    for name, more in _LATER.items():
        with (folder / "bankrmi" / name).open("a") as file:
            file.write(f"\n{more}\n")
    messages = folder / "bankrmi/replication/messages.py"
    text = messages.read_text()
    assert text.count(_LAST_FIELD) == 1, "the checkpoint has changed: say here which field is its last one"
    messages.write_text(text.replace(_LAST_FIELD, f"{_LAST_FIELD}    weather: int = 0\n"))
    return folder


def environment(tree: Path) -> dict[str, str]:
    """Return the environment in which Python finds the code of `tree`, from wherever it is started."""
    return os.environ | {"PYTHONPATH": str(tree)}
