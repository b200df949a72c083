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
COMMIT = "8489b83e2e76f0c4a7edf3a9f8bb2ae2eb0d773c"
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
    "replication/view.py": """
_CHECKS["lanes"] = number
ADDED["lanes"] = AddedField(since=protocol_versions.NEWEST, before=0)
""",
}
"""What a later version might have at the end of its files."""
_FIELDS = {
    "replication/messages.py": ("    records: Sequence[Record] = ()\n", "    weather: int = 0\n"),
    "replication/view.py": ("    forced: bool = False\n", "    lanes: int = 0\n"),
}
_NEXT_VIEW = "            in_sync=frozenset(in_sync),\n"


def later_version(folder: Path, *, lanes: int = 0) -> Path:
    """Return a folder with this version, but one protocol further.

    A checkpoint has one more field, and a view. `lanes`: that it proposes all its views with, which no
    version before can read.
    """
    shutil.copytree(ROOT / "bankrmi", folder / "bankrmi", ignore=shutil.ignore_patterns("__pycache__"))
    for name, (anchor, field) in _FIELDS.items():
        _add(folder / "bankrmi" / name, anchor, field)
    _add(folder / "bankrmi/replication/view.py", _NEXT_VIEW, f"            lanes={lanes},\n")
    for name, more in _LATER.items():
        with (folder / "bankrmi" / name).open("a") as file:
            file.write(f"\n{more}\n")
    return folder


def _add(file: Path, anchor: str, line: str) -> None:
    text = file.read_text()
    assert text.count(anchor) == 1, f"{file.name} has changed: say here what a later one adds"
    file.write_text(text.replace(anchor, anchor + line))


def environment(tree: Path) -> dict[str, str]:
    """Return the environment in which Python finds the code of `tree`, from wherever it is started."""
    return os.environ | {"PYTHONPATH": str(tree)}
