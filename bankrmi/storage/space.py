"""Is there room on a disk for something that is not needed for the work itself?

Rule: a reserve is left untouched: a bank that has filled its own disk stops.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bankrmi.errors import OperationFailed

__all__ = ["RESERVE_BYTES", "check_room"]

RESERVE_BYTES = 64 << 20
"""At least; a tenth of what is to be written, if that is more."""

_MEGABYTE = 1_000_000


def check_room(folder: Path, needed: int, *, of: int | None = None) -> None:
    """Raise OperationFailed unless `needed` more bytes leave the reserve; `of` is the size of the whole."""
    whole = needed if of is None else of
    free = shutil.disk_usage(folder).free
    reserve = max(RESERVE_BYTES, whole // 10)
    if free - needed < reserve:
        raise OperationFailed(
            f"no room for a copy of {whole / _MEGABYTE:.1f} MB in {folder}: {free / _MEGABYTE:.1f} MB are "
            f"free, and {reserve / _MEGABYTE:.1f} MB of them are kept for the bank itself; free some space"
        )
