"""Which keys of etcd hold what, what is asked of them, and what the answers mean.  Pure.

    <prefix><service>/view                    the view as it is: {"view": …, "moved_to": null}
    <prefix><service>/history/<epoch>         every view there was, the newest `VIEWS_KEPT` of them
    <prefix><service>/histories/<history>     that there was such a history

Rule 1: the view changes only by a transaction that compares the key `view` with what was read: its
        modification revision, and its value, byte by byte. (A revision alone could come again where etcd was
        restored from an older copy of itself.) What is kept beside it is written in the same transaction.
Rule 2: all reads are linearizable, which is what etcd does unless it is told otherwise; no lease is used.
Rule 3: whatever etcd answers that is not of the form it should have raises ValueError.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bankrmi.replication.fields import identifier
from bankrmi.replication.view import View

__all__ = ["HISTORY_VIEWS", "VIEWS_KEPT", "Keys", "Stored", "ViewRecord"]

VIEWS_KEPT = 10_000
"""What whoever may propose can add to etcd has a bound: older views are removed."""
HISTORY_VIEWS = 100
"""One answer of `history` has at most so many."""
_DIGITS = 16

Form = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewRecord:
    """What the key `view` says: the view, and where it is kept from now on if it was moved away from here."""

    view: View
    moved_to: str | None = None

    def to_text(self) -> str:
        """Return the value of the key."""
        return json.dumps({"view": self.view.to_wire(), "moved_to": self.moved_to}, sort_keys=True)

    @classmethod
    def from_text(cls, text: bytes) -> ViewRecord:
        """Return the record; raises ValueError if it is none."""
        form = json.loads(text)
        if not isinstance(form, dict) or "view" not in form:
            raise ValueError("is not what bankrmi writes there")
        moved_to = form.get("moved_to")
        return cls(
            view=View.from_wire(form["view"]), moved_to=None if moved_to is None else identifier(moved_to)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A record as it was read, with what the next transaction compares."""

    record: ViewRecord
    value: bytes
    mod_revision: int


class Keys:
    """The keys of one service."""

    def __init__(self, prefix: str, service: str) -> None:
        self._base = f"{prefix}{service}/"
        self.view = f"{self._base}view"

    def of_epoch(self, epoch: int) -> str:
        """Return the key under which the view of an epoch is kept."""
        return f"{self._base}history/{epoch:0{_DIGITS}}"

    def _of_history(self, history: str) -> str:
        return f"{self._base}histories/{history}"

    @property
    def _beyond(self) -> str:
        """What comes after the keys of all epochs: their last character but the number follows the slash."""
        return f"{self._base}history0"

    # -- questions -------------------------------------------------------------------------------

    def read(self) -> Form:
        """Return the question for the view."""
        return {"key": _coded(self.view)}

    def has_had(self, history: str) -> Form:
        """Return the question whether there ever was this history."""
        return {"key": _coded(self._of_history(history)), "count_only": True}

    def following(self, epoch: int) -> Form:
        """Return the question for the views from `epoch` on, oldest first."""
        return {
            "key": _coded(self.of_epoch(epoch)),
            "range_end": _coded(self._beyond),
            "limit": HISTORY_VIEWS + 1,
        }

    def preceding(self, epoch: int | None) -> Form:
        """Return the question for the views up to `epoch` (None: up to the newest), newest first."""
        return {
            "key": _coded(self.of_epoch(0)),
            "range_end": _coded(self._beyond if epoch is None else self.of_epoch(epoch + 1)),
            "limit": HISTORY_VIEWS + 1,
            "sort_order": "DESCEND",
            "sort_target": "KEY",
        }

    def change(self, before: Stored | None, record: ViewRecord) -> Form:
        """Return the transaction that sets the record, if the key is as it was read."""
        view = record.view
        writes = [_put(self.view, record.to_text())]
        comes_back = before is not None and before.record.moved_to is not None  # With a note of that on it.
        if before is None or before.record.view != view or comes_back:
            writes.append(_put(self.of_epoch(view.epoch), json.dumps(view.to_wire(), sort_keys=True)))
        if before is None or before.record.view.history != view.history:
            writes.append(_put(self._of_history(view.history), str(view.epoch)))
        if view.epoch > VIEWS_KEPT:
            oldest, beyond = self.of_epoch(0), self.of_epoch(view.epoch - VIEWS_KEPT + 1)
            too_old = {"key": _coded(oldest), "range_end": _coded(beyond)}
            writes.append({"request_delete_range": too_old})
        return {
            "compare": self._unchanged(before),
            "success": writes,
            "failure": [{"request_range": self.read()}],
        }

    def _unchanged(self, before: Stored | None) -> list[Form]:
        key = {"key": _coded(self.view), "result": "EQUAL"}
        if before is None:
            return [{**key, "target": "CREATE", "create_revision": "0"}]
        return [
            {**key, "target": "MOD", "mod_revision": str(before.mod_revision)},
            {**key, "target": "VALUE", "value": base64.b64encode(before.value).decode()},
        ]

    # -- answers ---------------------------------------------------------------------------------

    def stored(self, answer: Form) -> Stored | None:
        """Return what the key `view` holds, by the answer to `read`; None if there is no such key."""
        rows = _rows(answer)
        if not rows:
            return None
        [(key, value, mod_revision)] = rows
        if key != self.view:
            raise ValueError("another key was answered")
        return Stored(record=ViewRecord.from_text(value), value=value, mod_revision=mod_revision)

    def decided(self, answer: Form) -> tuple[bool, Stored | None]:
        """Return whether a transaction was carried out, and if not, what the key `view` holds."""
        succeeded = answer.get("succeeded", False)
        if succeeded is True:
            return True, None
        if succeeded is not False:
            raise ValueError("it is not said whether it succeeded")
        [response] = answer["responses"]
        return False, self.stored(response["response_range"])

    def views(self, answer: Form) -> list[View]:
        """Return the views that `following` or `preceding` asked for."""
        found = [View.from_wire(json.loads(value)) for _, value, _ in _rows(answer)]
        keys = [key for key, _, _ in _rows(answer)]
        if keys != [self.of_epoch(view.epoch) for view in found]:
            raise ValueError("a view stands under another's key")
        return found

    @staticmethod
    def is_there(answer: Form) -> bool:
        """Return the answer to `has_had`."""
        return int(answer.get("count", 0)) > 0


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _put(key: str, value: str) -> Form:
    return {"request_put": {"key": _coded(key), "value": _coded(value)}}


def _rows(answer: Form) -> list[tuple[str, bytes, int]]:
    """Return key, value and modification revision of each key that was answered."""
    rows = answer.get("kvs", [])
    if not isinstance(rows, list):
        raise ValueError("it is not a list of keys")
    return [
        (
            base64.b64decode(row["key"], validate=True).decode(),
            base64.b64decode(row.get("value", ""), validate=True),
            int(row["mod_revision"]),
        )
        for row in rows
    ]
