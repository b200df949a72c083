"""What each process was, and when, from what the servers logged and what was done to them.

Rule: a server's word is taken for what it was, ours for when there was no process.
Assumption: nobody moves the machine's clock in the run: logs have wall time, all else CLOCK_MONOTONIC.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bankrmi.robustness.chaos.recorded import Fault, FaultKind, ProcessRole, RoleSpan

__all__ = ["Lead", "leads", "role_spans", "said_by", "serving_spans"]

_ROLES = {
    role.value: role
    for role in (ProcessRole.STARTING, ProcessRole.JOINING, ProcessRole.STANDBY, ProcessRole.PRIMARY)
}
_ENDS = (FaultKind.KILL, FaultKind.WIPE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """A server began to lead, as another one than before."""

    server: str
    epoch: int
    at_ns: int


def said_by(log: Path, *, unix_ns_at_zero: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (time, line) of a log; `unix_ns_at_zero` is the wall time at zero of the monotonic clock."""
    if not log.exists():
        return
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("{"):
                try:
                    form = json.loads(line)
                    at = datetime.fromisoformat(form["time"])
                except (ValueError, KeyError):
                    continue  # Half a line: its process was killed.
                yield round(at.timestamp() * 1e6) * 1000 - unix_ns_at_zero, form


def role_spans(
    server: str, said: Iterable[tuple[int, dict[str, Any]]], faults: Sequence[Fault], *, ended_ns: int
) -> Iterator[RoleSpan]:
    """Yield what a server was, from its first word to the end."""
    changes = [*_changes_said(said), *_changes_done(server, faults)]
    changes.sort(key=lambda change: change[0])
    ends = [at_ns for at_ns, _, _ in changes[1:]] + [ended_ns]
    for (from_ns, role, epoch), to_ns in zip(changes, ends, strict=True):
        if to_ns > from_ns:
            yield RoleSpan(process=server, role=role, from_ns=from_ns, to_ns=to_ns, epoch=epoch)


_Change = tuple[int, ProcessRole, int]


def _changes_said(said: Iterable[tuple[int, dict[str, Any]]]) -> Iterator[_Change]:
    role, epoch = ProcessRole.STARTING, 0
    for at_ns, form in said:
        event = form["event"]
        if event == "listening":
            role, epoch = ProcessRole.STARTING, 0
        elif event == "stopped":
            role, epoch = ProcessRole.DOWN, 0
        elif event in _ROLES:
            role, epoch = _ROLES[event], int(form.get("epoch", 0))
        elif event == "view changed":
            epoch = int(form.get("epoch", 0))
        else:
            continue
        yield at_ns, role, epoch


def _changes_done(process: str, faults: Sequence[Fault]) -> Iterator[_Change]:
    for fault in faults:
        if fault.target == process and fault.kind in (*_ENDS, FaultKind.STOP):
            if fault.kind in _ENDS:
                yield fault.from_ns, ProcessRole.DOWN, 0
            yield fault.to_ns, ProcessRole.STARTING, 0


def serving_spans(
    process: str, faults: Sequence[Fault], *, started_ns: int, ended_ns: int
) -> Iterator[RoleSpan]:
    """Yield when a process without a role was there."""
    from_ns, role = started_ns, ProcessRole.SERVING
    for at_ns, became, _ in sorted(_changes_done(process, faults), key=lambda change: change[0]):
        if at_ns > from_ns:
            yield RoleSpan(process=process, role=role, from_ns=from_ns, to_ns=at_ns)
        from_ns, role = at_ns, ProcessRole.DOWN if became is ProcessRole.DOWN else ProcessRole.SERVING
    if ended_ns > from_ns:
        yield RoleSpan(process=process, role=role, from_ns=from_ns, to_ns=ended_ns)


def leads(spans: Iterable[RoleSpan]) -> list[Lead]:
    """Return who began to lead after somebody else, oldest first."""
    found: list[Lead] = []
    for span in sorted(
        (span for span in spans if span.role is ProcessRole.PRIMARY), key=lambda span: span.epoch
    ):
        if not found or found[-1].server != span.process:
            found.append(Lead(server=span.process, epoch=span.epoch, at_ns=span.from_ns))
    return found
