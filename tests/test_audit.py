"""`make check` ends with a known vulnerability, and says so where nothing could be known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[1] / ".ci/audit.py"
SOUND = {"name": "click", "version": "8.5", "vulns": []}
UNKNOWN = {"name": "apsw", "skip_reason": "Dependency not found on PyPI"}
FAULTY = {
    "name": "msgpack",
    "version": "1.2",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.3"]}, {"id": "PYSEC-2", "fix_versions": []}],
}


def audited(answer: str, code: int = 0, complaint: str = "") -> tuple[int, str]:
    """Run the script with something in the place of pip-audit; return its exit code and what it says."""
    stand_in = (
        "import sys; sys.stdout.write(sys.argv[1]); sys.stderr.write(sys.argv[2]); sys.exit(int(sys.argv[3]))"
    )
    command = [sys.executable, str(AUDIT), sys.executable, "-c", stand_in, answer, complaint, str(code)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stderr == ""
    return ended.returncode, ended.stdout


def test_a_known_vulnerability_is_told_with_what_mends_it() -> None:
    answer = json.dumps({"dependencies": [SOUND, FAULTY, UNKNOWN], "fixes": []})
    code, said = audited(answer, 1, "Found 2 known vulnerabilities")
    assert code == 1
    assert said.splitlines() == [
        "pip-audit: known vulnerabilities:",
        "  msgpack 1.2: PYSEC-1, fixed in 1.3",
        "  msgpack 1.2: PYSEC-2, fixed in none",
    ]


def test_how_much_was_looked_at_is_told() -> None:
    code, said = audited(json.dumps({"dependencies": [SOUND, UNKNOWN]}))
    assert code == 0
    assert "no known vulnerabilities in 1 of 2 packages" in said


@pytest.mark.parametrize(
    ("answer", "code", "complaint", "why"),
    [
        (
            json.dumps({"dependencies": [UNKNOWN]}),
            0,
            "No known vulnerabilities found",
            "of any of 1 packages",
        ),
        ("", 1, "Traceback\nConnectionError: no network", "ConnectionError: no network"),
        ("", 1, "", "it says nothing"),
        ("[]", 0, "", "it says nothing"),
    ],
)
def test_where_nothing_can_be_known_that_is_said(answer: str, code: int, complaint: str, why: str) -> None:
    """pip-audit itself says "No known vulnerabilities found" when no package was known to it."""
    found, said = audited(answer, code, complaint)
    assert found == 0
    assert said.startswith("pip-audit: passed over, its data cannot be had: ")
    assert why in said


def test_without_pip_audit_it_is_passed_over() -> None:
    command = [sys.executable, str(AUDIT), "/nowhere/pip-audit"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0
    assert "passed over" in ended.stdout
