"""Is the bank well?  A check for Nagios, Icinga and their like: one line, and an exit code as they want it.

    python examples/check_bank.py [config.yaml]

0 OK        somebody leads, and could be replaced
1 WARNING   it goes on until something else fails: one copy only, or nobody could take over
2 CRITICAL  nobody leads, nothing is acknowledged, or nobody answers
3 UNKNOWN   the check itself went wrong
"""

from __future__ import annotations

import subprocess
import sys

# By the exit codes of `bankrmi status --check`.
_WORDS = {0: "OK", 5: "CRITICAL", 7: "CRITICAL", 8: "CRITICAL", 9: "WARNING", 10: "WARNING"}
_CODES = {"OK": 0, "WARNING": 1, "CRITICAL": 2, "UNKNOWN": 3}
_PATIENCE_S = 30


def main(configuration: str = "config.yaml") -> int:
    """Return the exit code."""
    command = [sys.executable, "-m", "bankrmi", "--config", configuration, "status", "--check"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        print(f"BANK UNKNOWN - no answer in {_PATIENCE_S} s")
        return _CODES["UNKNOWN"]
    word = _WORDS.get(ended.returncode, "UNKNOWN")
    said = (ended.stdout or ended.stderr).strip().splitlines() or ["nothing was said"]
    print(f"BANK {word} - {said[0]}")
    return _CODES[word]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
