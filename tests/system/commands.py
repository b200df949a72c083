"""The command line, as a person or a script calls it.

Rule: what a command prints, on which of the two outputs, and its exit code are all that is looked at.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests import warm
from tests.system.cluster import DEADLINE_S, Cluster

__all__ = ["BANKRMI", "bankrmi", "exported", "status_json"]

BANKRMI = (sys.executable, "-m", "bankrmi")


def bankrmi(
    config: Cluster | Path,
    *arguments: str,
    typed: str = "",
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end; with the code that is in `cwd`, if there is any."""
    path = config.config if isinstance(config, Cluster) else config
    return warm.run(
        ["--config", str(path), *arguments], typed=typed, timeout=2 * DEADLINE_S, env=env, cwd=cwd
    )


def exported(cluster: Cluster, server: str) -> tuple[str, str]:
    """Return the ledger that `export` prints of one copy, and what it says about it."""
    ended = bankrmi(cluster, "export", "--server", server)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, ended.stderr


def status_json(cluster: Cluster) -> dict[str, Any]:
    """Return what `status --json` prints."""
    status: dict[str, Any] = json.loads(bankrmi(cluster, "status", "--json").stdout)
    return status
