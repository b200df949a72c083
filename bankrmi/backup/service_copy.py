"""A backup of a class's state: a copy of a server's database, of which all is acknowledged.

    begin ──> pieces ──> is all of it acknowledged? ──> labelled, checked, in its place
                             └─ asked again for a while; a record that was rolled back: back up again

Rule 1: what is in the copy, and not known to be acknowledged, is waited for; it is not left out, since what
        it changed is in the tables.
Rule 2: it is checked as any backup is, before it gets its name: journal, tables, and what takes them back.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from bankrmi.backup.fetching import PAUSE_SECONDS, SECONDS, Fetch, FetchPace
from bankrmi.backup.taking import Order, Taken, check_target, primary_of, put_backup_in_place
from bankrmi.client.asking import Ask, asking
from bankrmi.client.overview import as_it_is_now
from bankrmi.config import Configuration
from bankrmi.coordination.restoring import OPERATOR_ID
from bankrmi.errors import Busy, InvalidRequest, OperationFailed
from bankrmi.own_credentials import own_credentials
from bankrmi.replication.fields import identifier, number
from bankrmi.replication.journal import Adopted
from bankrmi.replication.record import Position
from bankrmi.storage.about import About, served_class
from bankrmi.storage.backup_label import Label, write_label
from bankrmi.storage.copying import remove_logs
from bankrmi.storage.database import open_database, private_opener
from bankrmi.storage.space import check_room
from bankrmi.verifying.backup_file import verify_backup

__all__ = ["back_up_service", "back_up_service_from"]

MAKING_SECONDS = 300.0
"""A copy may be large, and is made while the server has nothing else to do."""

Progress = Callable[[str], None]


def back_up_service(
    configuration: Configuration, order: Order, *, server: str | None, rate: float, progress: Progress
) -> Taken:
    """Write a backup of the state of a class, of a server, else of the primary; raises as `back_up` does."""
    if order.since is not None:
        raise InvalidRequest("of a class there are whole backups only: leave --since out")
    check_target(order)
    configuration = as_it_is_now(configuration)
    name = server or primary_of(configuration)
    credentials = own_credentials(configuration, "operator")
    with asking(configuration.servers[name], OPERATOR_ID + name, credentials=credentials) as ask:
        return back_up_service_from(name, ask, FetchPace(rate), progress, configuration.service, order)


def back_up_service_from(
    server: str, ask: Ask, pace: FetchPace, progress: Progress, service: str, order: Order
) -> Taken:
    """Write a backup of the server that is asked."""
    path = order.file.with_name(f".{os.urandom(4).hex()}.backup.tmp")
    try:
        _download(server, ask, pace, progress, path)
        label = _labelled(server, ask, progress, path, service)
        verdict = verify_backup(path, lambda what: progress(f"checking: {what}"))
        if not verdict.sound:
            raise OperationFailed(
                f"what {server} gave is not sound ({verdict.faults[0]}): no backup was written; "
                "back up another server, and look at this one with `bankrmi verify`"
            )
        put_backup_in_place(path, order)
    except (apsw.Error, OSError) as error:
        raise OperationFailed(
            f"{order.file.parent} cannot take it ({error}): no backup was written"
        ) from error
    finally:
        path.unlink(missing_ok=True)
        remove_logs(path)
    return Taken(label=label, size_bytes=order.file.stat().st_size)


def _download(server: str, ask: Ask, pace: FetchPace, progress: Progress, path: Path) -> None:
    progress(f"{server} makes a copy")
    name, size = _begun(server, ask)
    check_room(path.parent, size)
    here = 0
    with open(path, "wb", opener=private_opener) as file:
        while piece := ask("read_copy", [name, here], seconds=SECONDS):
            if type(piece) is not bytes or here + len(piece) > size:
                raise OperationFailed(f"{server} gave another copy than it had announced")
            file.write(piece)
            here += len(piece)
            progress(f"{100 * here // max(size, 1)} %")
            pace.took(len(piece))
        file.flush()
        os.fsync(file.fileno())
    ask("end_copy", [name], seconds=SECONDS)
    if here != size:
        raise OperationFailed(f"{server} gave {here} bytes of a copy of {size}: back up again")


def _begun(server: str, ask: Ask) -> tuple[str, int]:
    """Return name and size of the copy that the server has made; another one's may be handed out first."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            answer = ask("begin_copy", [], seconds=MAKING_SECONDS)
            break
        except Busy:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_SECONDS)
    try:
        name, size = answer
        return identifier(name), number(size)
    except (TypeError, ValueError) as error:
        raise OperationFailed(f"{server} answered what cannot be read ({error})") from error


def _labelled(server: str, ask: Ask, progress: Progress, path: Path, service: str) -> Label:
    """Make a backup of a copy; return its label."""
    database = open_database(path, as_copy=True)
    try:
        database.pragma("journal_mode", "delete")
        about = About(database)
        if served_class(database) is None:
            raise OperationFailed(f"what {server} gave is not the state of a class")
        opening = about.get("opening")
        row = database.execute(
            "SELECT action_id, epoch, digest FROM journal ORDER BY action_id DESC LIMIT 1"
        ).get
        tip = Position(0, 0, opening) if row is None else Position._make(row)
        fetch = Fetch(server, ask, FetchPace(1e12), progress)
        _wait_until_acknowledged(fetch, tip)
        now = fetch.newest
        assert now is not None
        label = Label(
            kind="whole",
            service=service,
            server=server,
            history=now.history,
            epoch=now.epoch,
            since=Position(0, 0, opening),
            tip=tip,
            taken_us=now.time_us,
        )
        database.execute("BEGIN")
        about.set(incarnation="backup")
        about.set_adopted(
            Adopted(history=now.history, epoch=now.epoch, primary=server, start_id="backup", granted_ms=0)
        )
        write_label(database, label)
        database.execute("COMMIT")
    finally:
        database.close()
    return label


def _wait_until_acknowledged(fetch: Fetch, tip: Position) -> None:
    """Return when the server knows all of this to be acknowledged; raise OperationFailed if it never does."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            state = fetch.state(tip.action_id)
        except InvalidRequest:
            if time.monotonic() > deadline:
                raise OperationFailed(
                    f"{fetch.server} hears of nothing acknowledged: no backup was written; "
                    "`bankrmi why` says more"
                ) from None
            time.sleep(PAUSE_SECONDS)
            continue
        if state.since != tip:
            raise OperationFailed(f"what {fetch.server} held was rolled back since: back up again")
        return
