"""A small file system for each server of a demonstration, so that its disk can be filled, and nobody else's.

Rule: only root can mount one, and not everywhere; where it cannot be, nothing is lost but that misfortune.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bankrmi.storage.database import make_directory

__all__ = ["small_disks", "unmount_left"]

_SOURCE = "bankrmi-demo"
"""What each goes by among all that is mounted."""
_SIZE = "128m"
"""A server lets nothing large begin with less than 64 MB left (`storage.space`)."""
_MOUNTING_S = 10.0


@contextmanager
def small_disks(directories: Iterable[Path]) -> Iterator[None]:
    """Have a file system in memory at each of these, while the context lasts; what is in it goes then."""
    with ExitStack() as mounted:
        for directory in directories if os.geteuid() == 0 else ():
            make_directory(directory)
            options = f"size={_SIZE},mode=0700,noexec,nosuid,nodev"
            if not _run("mount", "-t", "tmpfs", "-o", options, _SOURCE, str(directory)):
                break
            # Lazily: what a process of the bank holds open yet does not stand in the way.
            mounted.callback(_run, "umount", "--lazy", str(directory))
        yield


def unmount_left(folder: Path) -> None:
    """Unmount what a demonstration that was killed has left mounted below its folder."""
    if os.geteuid() == 0:
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            fields, _, rest = line.partition(" - ")
            place = Path(fields.split()[4])
            if folder.resolve() in place.parents and rest.split()[:2] == ["tmpfs", _SOURCE]:
                _run("umount", "--lazy", str(place))


def _run(*command: str) -> bool:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_MOUNTING_S,
            check=False,
            start_new_session=True,  # The terminal's Ctrl-C is not meant for it.
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
