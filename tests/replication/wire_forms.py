"""What each version of the protocol looks like on the wire, as it is recorded for ever.

    python -m tests.replication.wire_forms        # records the newest version; it has not to be recorded yet

Rule 1: a version that was released never changes: its file is compared with what the code makes of it now.
Rule 2: what is recorded is the form itself, of an example that fills every field, and the methods of the
        objects; so a field that is added, moved, removed or packed in another way shows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bankrmi.coordination.witness import Witness, WitnessMoves
from bankrmi.protocol_versions import NEWEST
from bankrmi.replication import forms, view
from bankrmi.replication.cause import Cause, CauseKind
from bankrmi.replication.forms import FIELDS
from bankrmi.replication.keeper_move import KeeperMove
from bankrmi.replication.pause import Pause
from bankrmi.replication.view import View
from bankrmi.server.account import AccountObject
from bankrmi.server.operator_object import OperatorObject
from bankrmi.server.standby_object import StandbyObject
from bankrmi.server.wire import answer_to_wire, message_to_wire
from bankrmi.storage.tables import FORMATS_READ
from tests.replication.test_messages import ANSWER_KINDS, EXAMPLES

FOLDER = Path(__file__).parent

CAUSE = Cause(
    kind=CauseKind.SILENCE, by="s2", of=("s1",), address="127.0.0.1:9101", silent_ms=7, operator="o@m",
    backup="monday.backup", action_id=9,
)  # fmt: skip
FULL_VIEW = View(
    history="h", epoch=7, primary="s2", start_id="s2#1", in_sync=frozenset({"s1", "s2"}),
    incarnations={"s1": "d1", "s2": "d2"}, handed_over_by="s1", forced=True, cause=CAUSE, written_us=1_700,
    paused=Pause(by="o@m", since_us=1_600, reason="new cables"),
    servers={"s1": "127.0.0.1:9101", "s2": "127.0.0.1:9102", "s3": "127.0.0.1:9103"},
    retired_for="bank at 10.0.0.20:5432",
    moves=(KeeperMove(keeper="0a", place="127.0.0.1:9090", moved_us=1_800, operator="o@m"),),
)  # fmt: skip
NOTES_SINCE_2 = {
    "moves": (),
    "cause": replace(CAUSE, backup=None, action_id=None),
}
"""Notes need no version, and whoever does not know one passes it over: what a version before makes of it."""


def file_of(version: int) -> Path:
    """Return where a version is recorded."""
    return FOLDER / f"wire_forms_v{version}.json"


def recorded(version: int) -> dict[str, Any]:
    """Return what is recorded of a version."""
    return dict(json.loads(file_of(version).read_text()))


def at(version: int, example: Any) -> Any:
    """Return the example as a version has it: what came later means what was before."""
    added = view.ADDED if isinstance(example, View) else forms.ADDED.get(type(example), {})
    notes = NOTES_SINCE_2 if isinstance(example, View) and version < 2 else {}
    before = {name: one.before for name, one in added.items() if one.since > version}
    return replace(example, **before, **notes)


def form_of(example: Any, version: int) -> Any:
    """Return the plain form of a message, an answer or a view."""
    if isinstance(example, View):
        return at(version, example).to_wire()
    to_wire = answer_to_wire if type(example) in ANSWER_KINDS else message_to_wire
    return to_wire(at(version, example), version)


def of_version(version: int) -> dict[str, Any]:
    """Return all that is recorded of a version, as the code has it now."""
    return {
        "messages": {
            kind.__name__: {
                "fields": list(forms.names_of(kind, version)),
                "example": plain(form_of(EXAMPLES[kind], version)),
            }
            for kind in FIELDS
        },
        "view": plain(form_of(FULL_VIEW, version)),
        "reads databases up to format": FORMATS_READ[version],
    }


def of_newest() -> dict[str, Any]:
    """Return the methods that there are: an older version has none that is missing here."""
    exposed = (AccountObject, OperatorObject, StandbyObject)
    methods = {kind.__name__: sorted(kind.exposed.methods) for kind in exposed}
    for kind in (Witness, WitnessMoves):
        public = [name for name in vars(kind) if not name.startswith("_")]
        methods[kind.__name__] = sorted(name for name in public if callable(getattr(kind, name)))
    return methods


def plain(value: Any) -> Any:
    """Return it as JSON can hold it; bytes and numbers stay different."""
    match value:
        case bytes():
            return {"hex": value.hex()}
        case Mapping():
            return {key: plain(one) for key, one in value.items()}
        case list() | tuple():
            return [plain(one) for one in value]
    return value


def from_plain(value: Any) -> Any:
    """Return what `plain` was given, with lists for tuples."""
    match value:
        case {"hex": str(text)} if len(value) == 1:
            return bytes.fromhex(text)
        case dict():
            return {key: from_plain(one) for key, one in value.items()}
        case list():
            return [from_plain(one) for one in value]
    return value


def main() -> int:
    """Record the newest version, if it is not recorded."""
    file = file_of(NEWEST)
    if file.exists():
        sys.stderr.write(
            f"{file} is there. If version {NEWEST} was released, it never changes: raise NEWEST in "
            "bankrmi/protocol_versions.py. If it was not, remove the file, and record it anew.\n"
        )
        return 1
    file.write_text(json.dumps({**of_version(NEWEST), "methods": of_newest()}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
