"""The disk of the witness: what was told is there, whatever comes between; nothing certain once it fails."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest

from bankrmi.coordination import view_store
from bankrmi.coordination.view_store import FORMAT, ViewStore, ViewStoreFailed
from bankrmi.coordination.witness import Witness
from bankrmi.errors import BankError, ConfigurationError, InvalidRequest, OperationFailed
from bankrmi.replication.view import View
from bankrmi.robustness.power_loss.strace import without_strace
from bankrmi.storage.database import own_directory
from bankrmi.verifying.witness_directory import verify_views
from tests import warm
from tests.coordination.views import CRASH, both, first, forced
from tests.storage.forgetful_disk import ForgetfulDisk

traced_only = pytest.mark.skipif(without_strace() is not None, reason=without_strace() or "")


def test_the_view_and_its_history_are_there_after_a_restart(tmp_path: Path) -> None:
    store = ViewStore(tmp_path)
    store.propose("account", None, first())
    store.propose("account", ("h1", 1), both())
    store.close()
    again = ViewStore(tmp_path)
    assert again.current("account") == both()
    assert again.history("account") == [first(), both()]
    again.close()


def test_a_view_that_a_failed_sync_left_in_the_kernel_is_durable_before_the_next_process_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the log has on the disk hides what the database has: a power loss would bring the old one back."""
    store = ViewStore(tmp_path)
    store.propose("account", None, first())
    log = tmp_path / "view.db-wal"
    disk = ForgetfulDisk(log, monkeypatch)
    disk.fails_next = True
    with pytest.raises(ViewStoreFailed, match="the disk is on fire"):
        store.propose("account", ("h1", 1), both())
    store.close()
    again = ViewStore(tmp_path)
    assert again.current("account") == both(), "the next process tells it"
    again._log.close()
    again._database.close()
    again._lock.close()
    disk.lose_power()
    after = ViewStore(tmp_path)
    assert after.current("account") == both()
    after.close()


def test_nothing_is_added_to_a_log_that_was_cut_off(tmp_path: Path) -> None:
    store = ViewStore(tmp_path)
    store.propose("account", None, first())
    with (tmp_path / "view.db-wal").open("r+b") as log:
        log.truncate(100)
    with pytest.raises(ViewStoreFailed, match=r"view\.db-wal was cut off while it was written"):
        store.propose("account", ("h1", 1), both())
    store.close()


def test_the_rows_of_a_version_before_have_no_cause_and_no_time(tmp_path: Path) -> None:
    """And what comes after them does; that version reads such rows, too: it looks no further."""
    store = ViewStore(tmp_path)
    store.close()
    form = first().to_wire()
    assert (form.pop("cause"), form.pop("written_us")) == (None, None)
    text = json.dumps(form, sort_keys=True)
    checksum = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    database = apsw.Connection(str(tmp_path / "view.db"))
    row = ("account", "h1", 1, text, checksum)
    database.execute(
        "INSERT INTO views (service, history, epoch, view, checksum) VALUES (?, ?, ?, ?, ?)", row
    )
    database.close()
    again = ViewStore(tmp_path, wall_us=lambda: 7)
    assert again.propose("account", ("h1", 1), both().because(CRASH)) == (True, both())
    assert [(view.cause, view.written_us) for view in again.history("account")] == [(None, None), (CRASH, 7)]
    again.close()


def test_what_cannot_be_written_leaves_no_transaction_open(store: ViewStore) -> None:
    """It ended the witness at the next proposal: BEGIN had been done, and the number did not fit."""
    too_large = replace(forced(None, epoch=9), epoch=2**63)
    with pytest.raises(InvalidRequest, match="cannot be written"):
        store.propose("account", None, too_large)
    assert store.propose("account", None, first()) == (True, first())


def test_a_flipped_bit_is_an_error_and_the_end_of_this_process(tmp_path: Path) -> None:
    store = ViewStore(tmp_path)
    store.propose("account", None, first())
    store.close()
    database = apsw.Connection(str(tmp_path / "view.db"))
    database.execute("UPDATE views SET view = replace(view, '\"epoch\": 1', '\"epoch\": 7')")
    database.close()
    with pytest.raises(ViewStoreFailed, match="does not match its checksum"):
        ViewStore(tmp_path)


def test_what_no_bank_can_have_written_is_an_error_and_the_folder_is_free_again(tmp_path: Path) -> None:
    """A traceback, it was, and the lock stayed with the process."""
    store = ViewStore(tmp_path)
    store.propose("account", None, replace(first(), start_id="with blanks"))
    with pytest.raises(ViewStoreFailed, match="what stands in it is not a view: start_id holds characters"):
        store.current("account")
    store.close()
    for _ in range(2):
        with pytest.raises(ViewStoreFailed, match="what stands in it is not a view"):
            ViewStore(tmp_path)
    own_directory(tmp_path).close()


def test_a_failed_write_ends_everything_and_is_not_tried_again(store: ViewStore) -> None:
    """After a failed commit nobody knows what is on the disk (rule F1)."""
    stopped: list[str] = []
    witness = Witness(store, on_disk_failure=stopped.append)
    store._database.execute(
        "CREATE TRIGGER full BEFORE INSERT ON views BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )
    with pytest.raises(ViewStoreFailed, match="disk full"):
        witness.propose("account", None, first().to_wire())
    with pytest.raises(ViewStoreFailed, match="any more"):
        witness.read("account")
    assert len(stopped) == 2


def test_a_second_process_is_refused_in_one_sentence(tmp_path: Path, store: ViewStore) -> None:
    script = """
import pathlib, sys
from bankrmi.coordination.view_store import ViewStore
ViewStore(pathlib.Path(sys.argv[1]))
"""
    command = [sys.executable, "-c", script, str(tmp_path / "witness")]
    second = warm.run_command(command, timeout=60)
    assert f"another witness (pid {os.getpid()}) uses {tmp_path / 'witness'} already" in second.stderr
    with pytest.raises(OperationFailed, match="another witness"):
        ViewStore(tmp_path / "witness")


def test_a_folder_that_cannot_be_made_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises((ConfigurationError, OperationFailed), match="cannot be written"):
        ViewStore(tmp_path / "file" / "witness")


def test_a_file_that_is_no_database_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "view.db").write_text("this is not a database at all" * 40)
    with pytest.raises(OperationFailed, match=r"view\.db"):
        ViewStore(tmp_path)
    assert (tmp_path / "view.db").read_text().startswith("this is not")


PROPOSE_AND_DIE = """
import os, signal, sys, json
from pathlib import Path
from bankrmi.coordination.view_store import ViewStore
from bankrmi.replication.view import View
store = ViewStore(Path(sys.argv[1]))
view = View.first(history="h1", server="s1", start_id="a", incarnation="disk-s1")
store.propose("account", None, view)
while True:
    sys.stdout.write(json.dumps(view.to_wire()) + "\\n"); sys.stdout.flush()
    following = view.started_again(str(view.epoch))
    store.propose("account", (view.history, view.epoch), following)
    view = following
"""


def test_what_was_answered_is_there_after_kill_9(tmp_path: Path) -> None:
    """Killed at any moment, the store holds all that was told, and at most one view more."""
    for round_number in range(4):
        folder = tmp_path / str(round_number)
        command = [sys.executable, "-c", PROPOSE_AND_DIE, str(folder)]
        process = warm.Popen(command, stdout=subprocess.PIPE, text=True, uses_ours=True)
        assert process.stdout is not None
        for _ in range(5 + round_number):
            process.stdout.readline()
        process.kill()
        told = [json.loads(line) for line in process.stdout.read().splitlines() if line.endswith("}")]
        process.stdout.close()
        process.wait()
        store = ViewStore(folder)
        epochs = [view.epoch for view in store.history("account")]
        store.close()
        assert epochs == list(range(1, len(epochs) + 1))
        told_up_to = max([view["epoch"] for view in told], default=5 + round_number)
        assert told_up_to <= len(epochs) <= told_up_to + 1


# -- many views ------------------------------------------------------------------------------------


def filled(folder: Path, views: int) -> ViewStore:
    """Return a store that looks back on `views` views."""
    ViewStore(folder).close()
    database = apsw.Connection(str(folder / "view.db"))
    newest = json.dumps(first().to_wire() | {"epoch": views}, sort_keys=True)
    checksum = hashlib.blake2b(newest.encode(), digest_size=16).hexdigest()
    database.execute(
        """
        WITH RECURSIVE past(epoch) AS (VALUES (1) UNION ALL SELECT epoch + 1 FROM past WHERE epoch < ?1)
        INSERT INTO views (service, history, epoch, view, checksum)
        SELECT 'account', 'h1', epoch, iif(epoch = ?1, ?2, 'an old view'), ?3 FROM past
        """,
        (views, newest, checksum),
    )
    database.close()
    return ViewStore(folder)


def steps_of(store: ViewStore, work: Callable[[], object]) -> int:
    """Return how many steps SQLite takes for something."""
    steps = 0

    def count() -> bool:
        nonlocal steps
        steps += 1
        return False

    store._database.set_progress_handler(count, 1)
    work()
    store._database.set_progress_handler(None)
    return steps


def start_steps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many rows a start looks at."""
    looked_at: list[object] = []
    checked = ViewStore._checked

    def counted(self: ViewStore, *row: Any) -> View:
        looked_at.append(row)
        return checked(self, *row)

    with monkeypatch.context() as patched:
        patched.setattr(ViewStore, "_checked", counted)
        ViewStore(folder).close()
    return len(looked_at)


def test_what_the_witness_does_costs_the_same_after_many_views_as_after_ten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in SQLite's own steps; the version before read and checked the whole history each time."""
    many = 200_000
    stores = {views: filled(tmp_path / str(views), views) for views in (10, many)}

    def forced_takeover(store: ViewStore) -> bool:
        current = store.current("account")
        assert current is not None
        expected = (current.history, current.epoch)
        return store.propose("account", expected, forced(current, history=f"of-{current.epoch}"))[0]

    works: dict[str, Callable[[ViewStore], object]] = {
        "read": lambda store: store.current("account"),
        "read of a stranger": lambda store: store.current("no-such-service"),
        "propose": forced_takeover,
        "services": ViewStore.services,
    }
    for name, work in works.items():
        few, after_many = (steps_of(store, partial(work, store)) for store in stores.values())
        assert after_many < 2 * few, f"{name}: {few} steps after 10 views, {after_many} after {many}"
    for store in stores.values():
        store.close()
    assert start_steps(tmp_path / str(many), monkeypatch) == 1


def test_a_disk_of_the_version_before_is_taken_as_it_is(tmp_path: Path) -> None:
    filled(tmp_path, 10).close()
    with apsw.Connection(str(tmp_path / "view.db")) as database:
        before = list(database.execute("SELECT * FROM views"))
        database.execute("DROP INDEX of_service; PRAGMA user_version=0")
    database.close()
    store = ViewStore(tmp_path)
    assert store._database.pragma("user_version") == FORMAT
    current = store.current("account")
    assert current is not None
    assert current.epoch == 10
    assert store.propose("account", ("h1", 10), current.started_again("again"))[0]
    assert list(store._database.execute("SELECT * FROM views WHERE number <= 10")) == before
    store.close()


@pytest.mark.parametrize("found", [FORMAT + 1, -1])
def test_a_disk_of_a_version_that_is_not_known_is_refused_and_left_as_it_is(
    tmp_path: Path, found: int
) -> None:
    filled(tmp_path, 3).close()
    with apsw.Connection(str(tmp_path / "view.db")) as database:
        database.pragma("user_version", found)
    database.close()
    before = (tmp_path / "view.db").read_bytes()
    sentence = f"is of format {found}, and this version reads formats up to {FORMAT}: run the version"
    with pytest.raises(ConfigurationError, match=sentence):
        ViewStore(tmp_path)
    assert (tmp_path / "view.db").read_bytes() == before
    assert [fault for fault in verify_views(tmp_path / "view.db").faults if f"of format {found}" in fault]


def test_a_step_that_is_cut_short_leaves_the_format_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step, and the number of its format, are one transaction."""
    filled(tmp_path, 3).close()
    steps = (*view_store._STEPS, "CREATE TABLE more (id TEXT) STRICT; SELECT no_such_column FROM views")
    monkeypatch.setattr(view_store, "_STEPS", steps)
    monkeypatch.setattr(view_store, "FORMAT", len(steps))
    with pytest.raises(OperationFailed, match="no such column"):
        ViewStore(tmp_path)
    monkeypatch.undo()
    store = ViewStore(tmp_path)
    assert not store._database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'more'").get
    store.close()


# -- its log -----------------------------------------------------------------------------------------

PROPOSE_AND_SETTLE = """
import os, sys
from pathlib import Path
from bankrmi.coordination.view_store import ViewStore
from bankrmi.replication.view import View
store = ViewStore(Path(sys.argv[1]))
view = View.first(history="h1", server="s1", start_id="a", incarnation="disk-s1")
store.propose("account", None, view)
for epoch in range(2, 6):
    store.settle()
    os.write(1, b"proposes")
    following = view.started_again(str(epoch))
    store.propose("account", (view.history, view.epoch), following)
    os.write(1, b"answers")
    view = following
"""


@traced_only
def test_a_takeover_waits_for_two_syncs_of_the_witness(tmp_path: Path) -> None:
    """The log is begun anew since it was brought in; a rollback journal took four, and two for its folder."""
    trace = tmp_path / "trace"
    traced = ["strace", "-f", "-e", "trace=write,fsync,fdatasync", "-o", str(trace)]
    command = [*traced, sys.executable, "-c", PROPOSE_AND_SETTLE, str(tmp_path / "witness")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    proposals = re.findall(r'write\(1, "proposes"(.*?)write\(1, "answers"', trace.read_text(), re.DOTALL)
    assert len(proposals) == 4
    assert {len(re.findall(r"\bf(?:data)?sync\(", one)) for one in proposals} == {2}


def test_what_has_settled_is_in_the_database_itself(tmp_path: Path) -> None:
    """A bit that flips in a log cuts it off there, without a word: an older view would be the newest."""
    store = ViewStore(tmp_path / "witness")
    store.propose("account", None, first())
    store.settle()
    store.propose("account", ("h1", 1), both())
    _copy_without_log(store, tmp_path / "not yet")
    store.settle()
    _copy_without_log(store, tmp_path / "settled")
    store.close()
    for name, newest in (("not yet", first()), ("settled", both())):
        copy = ViewStore(tmp_path / name)
        assert copy.current("account") == newest
        copy.close()
    assert not (tmp_path / "witness" / "view.db-wal").exists(), "who stops in good order leaves one file"


def _copy_without_log(store: ViewStore, folder: Path) -> None:
    folder.mkdir()
    (folder / "view.db").write_bytes(store._file.read_bytes())


def test_what_was_not_settled_is_when_it_starts_again(tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    killed.mkdir()
    store = ViewStore(tmp_path / "witness")
    store.propose("account", None, first())
    for name in ("view.db", "view.db-wal"):
        (killed / name).write_bytes((tmp_path / "witness" / name).read_bytes())
    store.close()
    assert verify_views(killed / "view.db").holds.startswith("account: epoch 1")
    again = ViewStore(killed)
    (tmp_path / "view.db").write_bytes((killed / "view.db").read_bytes())
    again.close()
    assert verify_views(tmp_path / "view.db").holds.startswith("account: epoch 1")


def test_a_disk_that_a_rollback_journal_was_kept_on_is_taken_as_it_is(tmp_path: Path) -> None:
    store = ViewStore(tmp_path)
    store.propose("account", None, first())
    store.close()
    database = apsw.Connection(str(tmp_path / "view.db"))
    assert database.pragma("journal_mode", "delete") == "delete"
    database.close()
    again = ViewStore(tmp_path)
    assert again.propose("account", ("h1", 1), both())[0]
    assert again.history("account") == [first(), both()]
    again.close()


@pytest.mark.parametrize("when", ["proposing", "settling"])
def test_a_log_that_cannot_be_synced_or_brought_in_ends_everything(
    store: ViewStore, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    stopped: list[str] = []
    witness = Witness(store, on_disk_failure=stopped.append)
    witness.propose("account", None, first().to_wire())
    if when == "proposing":
        monkeypatch.setattr(os, "fdatasync", _refuse)
        with pytest.raises(ViewStoreFailed, match="the disk refused a commit"):
            witness.propose("account", ["h1", 1], both().to_wire())
    else:
        monkeypatch.setattr(store._log, "_database", Refusing())
        with pytest.raises(ViewStoreFailed, match="the disk refused to bring the log into the database"):
            store.settle()
    monkeypatch.undo()
    with pytest.raises(ViewStoreFailed, match="any more"):
        witness.read("account")
    assert stopped


def _refuse(_: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


class Refusing:
    """A database that cannot bring its log in."""

    def wal_checkpoint(self, *, mode: int) -> tuple[int, int]:
        raise apsw.IOError(f"disk I/O error in mode {mode}")


def test_no_flipped_bit_on_the_disk_brings_an_older_view_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a row, or in an index that leads to it: an error, or no difference."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # No power is lost here.
    store = ViewStore(tmp_path / "whole")
    store.propose("account", None, first())
    for epoch in range(1, 30):
        store.propose("account", ("h1", epoch), replace(first(), epoch=epoch + 1, start_id=f"start-{epoch}"))
    truth = store.current("account")
    store.close()
    content = (tmp_path / "whole" / "view.db").read_bytes()
    chance = random.Random(9)
    outcomes = {"error": 0, "no difference": 0}
    for _ in range(400):
        place = chance.randrange(len(content))
        damaged = bytearray(content)
        damaged[place] ^= 1 << chance.randrange(8)
        (tmp_path / "view.db").write_bytes(damaged)
        (tmp_path / "view.db-journal").unlink(missing_ok=True)
        try:
            opened = ViewStore(tmp_path)
        except BankError:
            outcomes["error"] += 1
            continue
        try:
            assert opened.current("account") == truth, f"byte {place}"
            outcomes["no difference"] += 1
        except BankError:
            outcomes["error"] += 1
        finally:
            opened.close()
    assert all(outcomes.values()), outcomes
