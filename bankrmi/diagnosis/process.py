"""The facts of one process: versions, machine, clocks, disk, certificates, and what its room adds.

Rule: no secrets, no balances, no content of files. For operators only: versions and paths help attackers.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw

from bankrmi.protocol_versions import NEWEST, OLDEST, in_words
from bankrmi.rmi import PlainObject

if TYPE_CHECKING:
    from bankrmi.certificates import Credentials

__all__ = [
    "DIAGNOSIS_ID",
    "ProcessDiagnosis",
    "diagnosis_object",
    "free_bytes",
    "machine_id",
    "own_versions",
]

DIAGNOSIS_ID = "bankrmi.diagnosis."
"""What the ids of these objects begin with; the name of the process follows."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessDiagnosis:
    """What one process can be asked."""

    process: str
    """Its name: of a server, or `nameserver`."""
    folder: Path
    """Where it writes; it need not be there."""
    credentials: Credentials | None
    more: Callable[[], Mapping[str, Any]]
    """What only its room knows, as plain values."""

    def facts(self) -> dict[str, Any]:
        """Return all of it, as plain values."""
        return {
            "process": self.process,
            "machine": machine_id(),
            "versions": own_versions(),
            "folder": str(self.folder),
            "free_bytes": free_bytes(self.folder),
            "certificate": None if self.credentials is None else _of_certificate(self.credentials),
            **self.more(),
        }

    def clock(self) -> list[float]:
        """Return what its clocks show, in seconds: the one by which leases are counted, and the wall's."""
        return [time.monotonic(), time.time()]


def diagnosis_object(diagnosis: ProcessDiagnosis) -> PlainObject:
    """Return the remote object."""
    return PlainObject(diagnosis, ("facts", "clock"))


@cache
def own_versions() -> dict[str, str]:
    """Return the versions of what this process is made of."""
    return {
        "bankrmi": str(sys.modules["bankrmi"].__version__),  # The face itself knows the client.
        "protocol": in_words(OLDEST, NEWEST),
        "python": platform.python_version(),
        "pyro5": version("Pyro5"),
        "sqlite": apsw.sqlite_lib_version(),
        "system": f"{sys.platform} {platform.release()}",
    }


@cache
def machine_id() -> str | None:
    """Return what processes on one machine have in common, in containers too; None where nothing tells it."""
    try:
        return hashlib.sha256(_BOOT_ID.read_bytes()).hexdigest()[:16]
    except OSError:
        return None


def free_bytes(folder: Path) -> int | None:
    """Return how much may be written there; None where nothing tells it."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _of_certificate(credentials: Credentials) -> dict[str, Any]:
    return {
        "days_left": credentials.days_left,
        "ends_first": credentials.ends_first,
        "hosts": list(credentials.hosts),
        "problems": credentials.problems(),
    }
