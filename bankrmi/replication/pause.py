"""A pause of automatic takeover: who wants it, since when, and why.  Part of the view, and lasts as it does.

Rule 1: it says that nobody takes over by himself (V1, V11); who may be led by whom it does not change.
Rule 2: it comes from an operator, and is as short as a line of a log allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bankrmi.replication.fields import identifier, number

__all__ = ["REASON_AT_MOST", "Pause", "reason_of"]

REASON_AT_MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Automatic takeover is off.

    `by` is the operator, as far as he is known; `since_us` when he asked for it, in microseconds since 1970
    by the primary's clock; `reason` what he said about it, if anything.
    """

    by: str
    since_us: int
    reason: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return the plain form."""
        return {"by": self.by, "since_us": self.since_us, "reason": self.reason}

    @classmethod
    def from_wire(cls, form: Any) -> Pause | None:
        """Return the pause of a plain form, None where there is none; raises ValueError for anything else."""
        if form is None:
            return None
        if not isinstance(form, Mapping):
            raise ValueError("is not a pause")
        return cls(
            by=identifier(form.get("by")),
            since_us=number(form.get("since_us")),
            reason=reason_of(form.get("reason")),
        )


def reason_of(value: object) -> str | None:
    """Return a reason as it may be: None, or one short line.  Raises ValueError with what is wrong."""
    if value is None:
        return None
    if type(value) is not str or not 0 < len(value) <= REASON_AT_MOST:
        raise ValueError(f"is not a text of 1 to {REASON_AT_MOST} characters")
    if not value.isprintable():
        raise ValueError("is not one line of printable characters")
    return value
