"""What a bank does, told in a line each to whoever runs it with `up`: from the lines of its logs.  Pure.

Rule 1: the view is told as the witness logs it: what a server says of itself may never have come true.
Rule 2: a warning is told once in a while, not each time; there are few kinds of them, and more are not
        remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bankrmi.cli.logs import LogLine

__all__ = ["Narrator"]

AGAIN_S = 300.0
"""After this long, the same warning is told again."""

KINDS = 200
"""Of warnings that are remembered."""

_LONG_AGO_S = 30.0
"""A death longer than this before a takeover was not the reason for it."""

_LEADS_ON = (
    "paused",
    "resumed",
    "retired",
    "reinstated",
    "settled",
    "added at",
    "removed",
    "moved to",
)
"""Causes, as they are logged, of views whose primary never stopped leading."""

_WAITING = frozenset({"waiting", "nobody can lead"})
_LEVELS = frozenset({"warning", "error", "critical"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    epoch: int
    primary: str
    in_sync: tuple[str, ...]
    cause: str = ""


class Narrator:
    """One bank's story."""

    def __init__(self, service: str) -> None:
        self._service = service
        self.up_since_s = float("inf")
        """What was logged before is how the bank started: not told but for warnings."""
        self._view: _View | None = None
        self._died_s: dict[str, float] = {}
        self._told_s: dict[tuple[str, str], float] = {}

    def died(self, server: str, at_s: float) -> None:
        """Note the end of a process; somebody else tells it."""
        self._died_s[server] = at_s

    def take(self, who: str, line: LogLine) -> str | None:
        """Return what a line of the log of `who` is worth telling."""
        if line.event == "view" and line.details.get("service") == self._service:
            return self._changed(_view_of(line.details), line.time_s)
        if line.time_s < self.up_since_s and line.level not in _LEVELS:
            return None
        if line.event == "rolled back":
            entries = line.details.get("entries")
            return f"{who} removed entries that were never acknowledged: {entries}, kept beside its database"
        if line.event == "copy fetched":
            return f"{who} fetched a copy from {line.details.get('source')}"
        is_last_word = line.level == "error" and not line.details  # Told with the end of the process.
        if line.event in _WAITING or (line.level in _LEVELS and not is_last_word):
            return self._warning(who, line)
        return None

    def _warning(self, who: str, line: LogLine) -> str | None:
        kind = (who, line.event)
        if line.time_s - self._told_s.get(kind, float("-inf")) < AGAIN_S:
            return None
        if kind not in self._told_s and len(self._told_s) >= KINDS:
            return None
        self._told_s[kind] = line.time_s
        details = "; ".join(f"{key}: {value}" for key, value in line.details.items())
        return f"{who}: {line.event}" + (f" ({details})" if details else "")

    def _changed(self, view: _View | None, at_s: float) -> str | None:
        before = self._view
        if view is None:
            return None
        self._view = view
        self._forget_deaths(view, at_s)
        if before is None or view.epoch <= before.epoch or at_s < self.up_since_s:
            return None
        copies = f"{len(view.in_sync)} copies" if len(view.in_sync) > 1 else "ONE COPY ONLY"
        return f"{self._what_happened(before, view, at_s)}{_because(view)}: {copies}"

    def _forget_deaths(self, view: _View, at_s: float) -> None:
        """Who counts again came back since: what ends its reign next is something new."""
        for name in {view.primary, *view.in_sync}:
            if self._died_s.get(name, at_s) < at_s:
                del self._died_s[name]

    def _what_happened(self, before: _View, view: _View, at_s: float) -> str:
        epoch = f"in epoch {view.epoch}"
        if view.primary != before.primary:
            if before.primary in view.in_sync:
                return f"{before.primary} handed over to {view.primary} {epoch}"
            after = self._after_a_death(before.primary, at_s, known=bool(view.cause))
            return f"{view.primary} took over {epoch}{after}"
        gained = [name for name in view.in_sync if name not in before.in_sync]
        lost = [name for name in before.in_sync if name not in view.in_sync]
        if gained:
            are = "is" if len(gained) == 1 else "are"
            return f"{', '.join(gained)} {are} in sync {epoch}"
        if lost:
            return f"{view.primary} goes on without {', '.join(lost)} {epoch}"
        goes_on = any(view.cause.startswith(one) or f" {one} " in f"{view.cause} " for one in _LEADS_ON)
        return f"{view.primary} {'goes on leading' if goes_on else 'leads again'} {epoch}"

    def _after_a_death(self, primary: str, at_s: float, *, known: bool) -> str:
        died_s = self._died_s.get(primary)
        if died_s is None or at_s - died_s > _LONG_AGO_S:
            return f" from {primary}{'' if known else ', which was silent'}"
        after_ms = (at_s - died_s) * 1000
        if after_ms >= 10_000:
            return f", {after_ms / 1000:.0f} s after {primary} died"
        # The end of a process is noticed a moment after it: by then another may lead.
        return f", {max(1, round(after_ms))} ms after {primary} died"


def _view_of(details: Mapping[str, str]) -> _View | None:
    epoch = details.get("epoch", "")
    if not epoch.isdigit() or "primary" not in details:
        return None
    in_sync = tuple(name for name in details.get("in_sync", "").split(",") if name)
    cause = details.get("cause", "")
    return _View(epoch=int(epoch), primary=details["primary"], in_sync=in_sync, cause=cause)


def _because(view: _View) -> str:
    """Return the cause, unless it says again what the sentence says."""
    said = view.cause in ("", *(f"{name} joined" for name in view.in_sync))
    return "" if said else f" ({view.cause})"
