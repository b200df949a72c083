"""How many connections fit: each is an open file, and a process may have a limited number of those.

Rule 1: the process's own files come first: its database, its links to others, copies, what looks up names.
Rule 2: where not all fit, servers and operators keep what they need, and callers have what is left.
Rule 3: a few servers that are added later fit as well, without taking seats from anybody.
Assumption: what is open when the first daemon begins to listen stays open.
"""

from __future__ import annotations

import resource
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import structlog

from bankrmi.errors import OperationFailed

from .limits import Limits
from .seats import SeatPlan

__all__ = ["OWN_FILES", "allow_files", "plan_seats"]

log = structlog.get_logger("bankrmi.rmi")

OWN_FILES = 24
"""Files that the process may still open for itself, and connections that are accepted and not seated yet,
or cut and not closed yet; for each server that it knows, a few more: links, probes, copies."""
_OWN_FILES_A_SERVER = 4
_OPERATORS = 8
_OF_EACH_SERVER = 6
"""A link, and what fetches a copy; or what asks the witness, and what tells a name; and those come back."""
_FOR_SERVERS_TO_COME = 8 * (_OF_EACH_SERVER + _OWN_FILES_A_SERVER)
_FEWEST = SeatPlan(unfinished=4, callers=4, operators=2, of_each_server=4)


def plan_seats(limits: Limits, servers: Collection[str], files: int | None) -> SeatPlan:
    """Return how many seats there are, if connections may take this many `files` (None: any number).

    Raises OperationFailed if that is too few to serve anybody.
    """
    names = frozenset(servers)
    wanted = SeatPlan(
        unfinished=limits.unfinished,
        callers=limits.connections,
        operators=_OPERATORS,
        of_each_server=_OF_EACH_SERVER,
        servers=names,
    )
    if files is None or wanted.total <= files:
        return wanted
    fewest = replace(_FEWEST, servers=names)
    left = files - fewest.total
    if left < 0:
        raise OperationFailed(
            f"too few files may be open: {-left} more are needed (raise the limit: ulimit -n)"
        )
    waiting = min(limits.unfinished - fewest.unfinished, left // 4)
    return replace(
        fewest,
        unfinished=fewest.unfinished + max(0, waiting),
        callers=min(limits.connections, fewest.callers + left - max(0, waiting)),
    )


def allow_files(wanted: int, servers: int, others: int = 0, *, daemons: int = 1) -> int | None:
    """Have this process be allowed the files for `wanted` connections, as far as that goes.

    It will also open `others`, beside what every process does.

    Returns how many connections it may have; None if there is no limit.
    """
    own = _open_files() + OWN_FILES + _OWN_FILES_A_SERVER * servers + others
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    needed = wanted + own
    roomy = needed + daemons * _FOR_SERVERS_TO_COME
    if soft < roomy and (hard == resource.RLIM_INFINITY or soft < hard):
        soft = roomy if hard == resource.RLIM_INFINITY else min(roomy, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < needed:
        log.warning("fewer connections than configured: open files are limited", files=soft, needed=needed)
    return soft - own


def _open_files() -> int:
    """Return how many files this process has open now."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return sum(1 for _ in Path(folder).iterdir())
        except OSError:
            continue
    return 16
