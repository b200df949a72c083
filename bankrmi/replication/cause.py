"""Why the view changed, and who proposed that: a note on a view, for people and for whoever counts.

Rule 1: a cause is decided where the change is, by the rule that wants it, and handed on as a value.
Rule 2: it is no part of what a view is (ADR 30): nothing is compared, decided or refused by it, and one that
        cannot be read is unknown; it never makes a view unreadable.
Rule 3: kinds are a closed set. Details are few and short, whoever wrote them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, assert_never

from bankrmi.replication.fields import identifier, names, number, or_none

__all__ = ["OPERATOR", "UNKNOWN", "Cause", "CauseKind", "in_words", "named"]

OPERATOR = "operator"
"""Who proposed it, if it was no server."""

UNKNOWN = "not recorded"
"""What is said of a view that was made by a version before, which noted no cause."""

_SERVERS_AT_MOST = 5
_NAME_AT_MOST = 100


class CauseKind(Enum):
    """What made somebody want another view."""

    FIRST = "first"
    """V9: a new bank."""
    CRASH = "crash"
    """V1, V2: the process is proven gone: its address refuses, or another process answers there (R3)."""
    SILENCE = "silence"
    """V1: the primary said nothing for its lease."""
    STUCK = "stuck"
    """V1: the primary's process answers who looks at it, but said nothing for its lease (ADR 15)."""
    SWITCHOVER = "switchover"
    """V5: an operator asked for it."""
    STOP = "stop"
    """V10: the process was asked to stop, and handed over or left first."""
    JOINED = "joined"
    """V3: a copy has caught up."""
    LEFT_BEHIND = "left_behind"
    """V2: a copy acknowledged nothing for too long, or the primary's configuration does not name it."""
    OTHER_VERSION = "other_version"
    """S5: a copy's code does not know the version of the state."""
    LOST_DISK = "lost_disk"
    """V8: a member's disk was replaced by an empty one."""
    STARTED_AGAIN = "started_again"
    """V4: a new process of the primary, before anybody took over."""
    LED_AGAIN = "led_again"
    """V4: the same process of the primary, which had stepped down, and nobody took over."""
    SETTLED = "settled"
    """V6: an answer was lost, and this proposal made certain what may still win."""
    ADDED = "added"
    """V12: an operator added a server."""
    REMOVED = "removed"
    """V12: an operator removed a server."""
    MOVED = "moved"
    """V12: an operator gave a server another address."""
    RESTORED = "restored"
    """V9: the witness had lost its memory, and an operator gave it back."""
    BACKUP_RESTORED = "backup_restored"
    """V9: nothing was left of the bank, and an operator had it begin anew with a backup; `of` he gave up."""
    FORCED = "forced"
    """V7, V9: an operator gave servers up, with all that only they held."""
    TAKEOVER = "takeover"
    """V11: automatic takeover is paused, and an operator had a member take over."""
    PAUSED = "paused"
    """V11: an operator wants nobody to take over by himself."""
    RESUMED = "resumed"
    """V11: an operator wants that again; `of` is the primary, if it was gone and a member took over."""
    RETIRED = "retired"
    """V14: an operator has taken the bank to a database, and nobody answers clients here any more."""
    REINSTATED = "reinstated"
    """V14: an operator wants the servers to keep the bank after all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One cause.

    `by` is the server that proposed the view, or `OPERATOR`; `of` are the servers that it is about;
    `address` is what refused, or where a server was added or moved to; `silent_ms` for how long nothing was
    heard. `operator` says who wanted it, as far as that is known: an address, or a name. `backup` is the file
    that the bank began anew with, the last of them, and `action_id` up to where.
    """

    kind: CauseKind
    by: str
    of: tuple[str, ...] = ()
    address: str | None = None
    silent_ms: int | None = None
    operator: str | None = None
    backup: str | None = None
    action_id: int | None = None

    @property
    def in_words(self) -> str:
        """Return it in a few words, who proposed it left out."""
        who, ms = ", ".join(self.of) or "it", self.silent_ms
        match self.kind:
            case CauseKind.FIRST:
                return f"first view of the bank{f', without {who}, by --first' if self.of else ''}"
            case CauseKind.CRASH:
                how = f"refused at {self.address}" if self.address else "another process answers in its place"
                return f"crash of {who}: {how}"
            case CauseKind.SILENCE:
                return f"silence of {who}: {ms} ms"
            case CauseKind.STUCK:
                return f"{who} is stuck: it answers, and sent nothing for {ms} ms"
            case CauseKind.SWITCHOVER:
                return f"switchover{self._asked_by}"
            case CauseKind.STOP:
                return f"stop of {who}"
            case CauseKind.JOINED:
                return f"{who} joined"
            case CauseKind.LEFT_BEHIND:
                why = "not in the primary's configuration" if ms is None else f"silent for {ms} ms"
                return f"{who} left behind: {why}"
            case CauseKind.OTHER_VERSION:
                return f"{who} left behind: its code does not know the version of the state"
            case CauseKind.LOST_DISK:
                return f"lost disk of {who}"
            case CauseKind.STARTED_AGAIN:
                return f"{who} started again"
            case CauseKind.LED_AGAIN:
                return f"{who} led again, after it had stepped down"
            case CauseKind.SETTLED:
                return "settled: a proposal before it had no answer"
            case CauseKind.ADDED:
                return f"{who} added at {self.address}{self._asked_by}"
            case CauseKind.REMOVED:
                return f"{who} removed{self._asked_by}"
            case CauseKind.MOVED:
                return f"{who} moved to {self.address}{self._asked_by}"
            case CauseKind.RESTORED:
                return f"restored{self._asked_by}: the witness had lost its memory"
            case CauseKind.BACKUP_RESTORED:
                lost = f", {who} given up" if self.of else ""
                return f"restored{self._asked_by}{self._from_backup}{lost}"
            case CauseKind.FORCED:
                return f"forced{self._asked_by}: {who} given up"
            case CauseKind.TAKEOVER:
                return f"takeover{self._asked_by}: {who} was gone"
            case CauseKind.PAUSED:
                return f"paused{self._asked_by}: nobody takes over by himself"
            case CauseKind.RESUMED:
                return f"resumed{self._asked_by}{f', and {who} was gone' if self.of else ''}"
            case CauseKind.RETIRED:
                return f"retired{self._asked_by}: the bank is in a database"
            case CauseKind.REINSTATED:
                return f"reinstated{self._asked_by}: the servers keep the bank again"
            case _:
                assert_never(self.kind)

    def is_stop_of(self, server: str) -> bool:
        """Whether this server handed over, or left, because it was asked to stop."""
        return self.kind is CauseKind.STOP and server in self.of

    @property
    def _asked_by(self) -> str:
        return f" by {self.operator}" if self.operator else ""

    @property
    def _from_backup(self) -> str:
        end = "" if self.action_id is None else f", up to action id {self.action_id}"
        return f" from the backup {self.backup}{end}" if self.backup else f" from a backup{end}"

    def to_wire(self) -> dict[str, Any]:
        """Return the plain form; what is not known is not in it."""
        form: dict[str, Any] = {"kind": self.kind.value, "by": self.by, "of": list(self.of)}
        for name in _DETAILS:
            value = getattr(self, name)
            if value is not None:
                form[name] = value
        return form

    @classmethod
    def from_wire(cls, form: Any) -> Cause | None:
        """Return the cause of a plain form; None if it is not one that this version can read."""
        if not isinstance(form, Mapping):
            return None
        try:
            of = tuple(sorted(names(form.get("of", ()))))[:_SERVERS_AT_MOST]
            details = {name: check(form.get(name)) for name, check in _DETAILS.items()}
            return cls(kind=CauseKind(form.get("kind")), by=identifier(form.get("by")), of=of, **details)
        except ValueError:
            return None


_DETAILS = {
    "address": or_none(identifier),
    "silent_ms": or_none(number),
    "operator": or_none(identifier),
    "backup": or_none(identifier),
    "action_id": or_none(number),
}


def in_words(cause: Cause | None) -> str:
    """Return why, in a few words."""
    return UNKNOWN if cause is None else cause.in_words


def named(text: str) -> str:
    """Return somebody's name as it fits into a cause: short, in one word."""
    fit = "".join(one if one.isascii() and one.isprintable() and one != " " else "_" for one in text)
    return fit[:_NAME_AT_MOST] or "_"
