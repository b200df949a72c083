"""Are vulnerabilities known in what bankrmi is installed with?  `pip-audit`, and what its silence means.

Rule 1: a known vulnerability ends `make check` with 1.
Rule 2: where the data cannot be had (no network, a mirror that has none), that is said, and passed over. By
        itself pip-audit says "No known vulnerabilities found" when it was told nothing about any package.

Arguments are a command to run in the place of pip-audit; tests give one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

_AUDIT = ["pip_audit", "--progress-spinner", "off", "--skip-editable", "--timeout", "5", "--format", "json"]
_SECONDS = 300


def main(arguments: list[str]) -> int:
    """Return the exit code."""
    command = arguments or [sys.executable, "-m", *_AUDIT]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return _passed_over(f"no answer in {_SECONDS} s")
    except OSError as error:
        return _passed_over(str(error))
    try:
        dependencies: list[dict[str, Any]] = json.loads(ended.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return _passed_over((ended.stderr.strip().splitlines() or ["it says nothing"])[-1])
    audited = [one for one in dependencies if "skip_reason" not in one]
    found = [
        f"{one['name']} {one['version']}: {each['id']}, fixed in {', '.join(each['fix_versions']) or 'none'}"
        for one in audited
        for each in one["vulns"]
    ]
    if found:
        _say("known vulnerabilities:\n  " + "\n  ".join(found))
        return 1
    if not audited:
        return _passed_over(f"nothing is known here of any of {len(dependencies)} packages")
    _say(f"no known vulnerabilities in {len(audited)} of {len(dependencies)} packages, the others unknown")
    return 0


def _passed_over(why: str) -> int:
    _say(f"passed over, its data cannot be had: {why[:200]}")
    return 0


def _say(what: str) -> None:
    sys.stdout.write(f"pip-audit: {what}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
