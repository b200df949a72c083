"""One backup: asked of a server that serves, written beside its place, checked, and put there.

Rule 1: a file that is there stays as it is, unless it is to be overwritten; then it is replaced in one step.
Rule 2: whatever ends the command, Ctrl-C included, no half of a backup is left.
Rule 3: room is kept on the disk: it may be a server's own, and a server whose disk is full stops.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bankrmi.backup.draft import Draft, drafted
from bankrmi.backup.fetching import BackupState, Fetch, FetchPace
from bankrmi.client.asking import asking
from bankrmi.client.overview import as_it_is_now, overview
from bankrmi.config import Configuration
from bankrmi.coordination.restoring import OPERATOR_ID
from bankrmi.errors import InvalidRequest, OperationFailed, Unreached
from bankrmi.own_credentials import own_credentials
from bankrmi.replication.journal import Adopted
from bankrmi.replication.record import Record
from bankrmi.storage.backup_label import Label
from bankrmi.storage.database import sync_directory
from bankrmi.storage.space import check_room
from bankrmi.verifying.backup_file import verify_backup

__all__ = [
    "BYTES_PER_SECOND",
    "Order",
    "Taken",
    "back_up",
    "back_up_from",
    "check_target",
    "primary_of",
    "put_backup_in_place",
]

BYTES_PER_SECOND = 5e6
"""Unless the operator says otherwise. A megabyte of single operations takes a server some 25 ms: an eighth of
its time, at this rate."""

_LOOK_AT_ROOM_BYTES = 8 << 20

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is wanted: everything, or what came after `since`, as a file of this name.

    `since` is an action id, or the label of the backup that this one is to continue.
    """

    file: Path
    since: int | Label | None = None
    overwrite: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What was written."""

    label: Label
    size_bytes: int


def check_target(order: Order) -> None:
    """Raise InvalidRequest if a backup cannot, or must not, get this name."""
    file, folder = order.file, order.file.parent
    if not folder.is_dir():
        raise InvalidRequest(f"{folder} is not a directory: a backup is written into one that is there")
    try:
        there = file.lstat()
    except FileNotFoundError:
        there = None
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be written: {error.strerror}") from error
    if there is not None and not stat.S_ISREG(there.st_mode):
        raise InvalidRequest(f"{file} is not a plain file: a backup needs a name of its own")
    if there is not None and not order.overwrite:
        raise InvalidRequest(
            f"{file} is there already, and is left as it is: name another, or say --overwrite"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InvalidRequest(f"{folder} cannot be written: a backup is made beside its place")


def back_up(
    configuration: Configuration,
    order: Order,
    *,
    server: str | None = None,
    rate: float = BYTES_PER_SECOND,
    progress: Progress = lambda _: None,
) -> Taken:
    """Write a backup of a server, else of the primary; `rate` is in bytes a second.

    Raises InvalidRequest, OperationFailed, Unreached, Busy; then nothing was written.
    """
    check_target(order)
    configuration = as_it_is_now(configuration)
    name = server or primary_of(configuration)
    credentials = own_credentials(configuration, "operator")
    with asking(configuration.servers[name], OPERATOR_ID + name, credentials=credentials) as ask:
        return back_up_from(Fetch(name, ask, FetchPace(rate), progress), configuration.service, order)


def primary_of(configuration: Configuration) -> str:
    """Return who leads; raises Unreached."""
    view = overview(configuration)["view"]
    if view is None or view["primary"] not in configuration.servers:
        raise Unreached(
            "nobody knows of a primary: `bankrmi status` shows who can be reached, and --server names one "
            "to back up"
        )
    return str(view["primary"])


def back_up_from(fetch: Fetch, service: str, order: Order) -> Taken:
    """Write a backup of the server that is asked; raises as `back_up` does."""
    check_target(order)
    since = order.since
    state = fetch.state(since.tip.action_id if isinstance(since, Label) else since)
    if isinstance(since, Label) and since.tip != state.since:
        raise InvalidRequest(
            f"{fetch.server} holds another history at action id {since.tip.action_id} than the backup "
            "before: that one cannot be continued, make a whole one"
        )
    if since is None:
        check_room(order.file.parent, state.size_bytes)
    with drafted(order.file, state.since, whole=since is None) as draft:
        _fill(draft, fetch, state)
        label = _finish(draft, fetch, state, service)
        _check(draft, fetch)
        put_backup_in_place(draft.path, order)
    return Taken(label=label, size_bytes=order.file.stat().st_size)


def _check(draft: Draft, fetch: Fetch) -> None:
    """Read what was written, and check it as a stopped server's disk is; raise OperationFailed."""
    verdict = verify_backup(draft.path, lambda what: fetch.progress(f"checking: {what}"))
    if not verdict.sound:
        raise OperationFailed(
            f"what {fetch.server} gave is not sound ({verdict.faults[0]}): no backup was written; "
            "back up another server, and look at this one with `bankrmi verify`"
        )


def _fill(draft: Draft, fetch: Fetch, state: BackupState) -> None:
    goal, looked_bytes = state.now.acknowledged, 0

    def take(records: list[Record]) -> None:
        nonlocal looked_bytes
        draft.take_records(records)
        if draft.size_bytes - looked_bytes >= _LOOK_AT_ROOM_BYTES:
            looked_bytes = draft.size_bytes
            check_room(draft.path.parent, 0, of=looked_bytes)

    if draft.whole:
        if state.since.action_id:
            fetch.sessions(state.since, draft.take_sessions)
        goal = max(goal, fetch.accounts(draft.take_accounts).action_id)
    fetch.records(state.since, goal, take)


def _finish(draft: Draft, fetch: Fetch, state: BackupState, service: str) -> Label:
    now = fetch.newest
    assert now is not None
    label = Label(
        kind="whole" if draft.whole else "increment",
        service=service,
        server=fetch.server,
        history=now.history,
        epoch=now.epoch,
        since=state.since,
        tip=draft.tip,
        taken_us=now.time_us,
    )
    # Who led, and in which process, is of no use to whoever puts it back: that is a history of its own.
    adopted = Adopted(
        history=now.history, epoch=now.epoch, primary=fetch.server, start_id="backup", granted_ms=0
    )
    draft.finish(label, state, adopted)
    return label


def put_backup_in_place(draft: Path, order: Order) -> None:
    """Give a draft its name, durably; raises InvalidRequest if there is another file of that name by now."""
    file = order.file
    try:
        if order.overwrite:
            draft.replace(file)
        else:
            _name(draft, file)
        sync_directory(file.parent)
    except FileExistsError:
        raise InvalidRequest(f"{file} is there by now, and is left as it is: name another") from None


def _name(draft: Path, file: Path) -> None:
    """As a rename that replaces nothing: a link, where the file system knows them."""
    try:
        os.link(draft, file)
    except FileExistsError:
        raise
    except OSError:
        if file.exists():
            raise FileExistsError from None
        draft.replace(file)
