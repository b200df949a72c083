"""The witness: one winner, on disk before it is told, and nothing certain once the disk fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.coordination.view_store import DiskFailed, ViewStore
from bankrmi.coordination.witness import Witness
from bankrmi.errors import ConfigurationError, InvalidRequest, OperationFailed
from tests.coordination.views import both, first, forced


@pytest.fixture
def store(tmp_path: Path) -> Any:
    opened = ViewStore(tmp_path / "witness")
    yield opened
    opened.close()


def test_before_the_first_view_there_is_none(store: ViewStore) -> None:
    assert store.current("account") is None
    assert Witness(store).read("account") is None


def test_of_two_proposals_from_one_epoch_one_wins_and_the_other_learns_the_view(store: ViewStore) -> None:
    store.propose("account", None, first())
    store.propose("account", ("h1", 1), both())
    taken_over = both().taken_over_by("s2", "start-s2")
    alone = both().without(frozenset({"s2"}))
    assert store.propose("account", ("h1", 2), taken_over) == (True, taken_over)
    assert store.propose("account", ("h1", 2), alone) == (False, taken_over)


def test_a_proposal_that_arrives_twice_has_won_both_times(store: ViewStore) -> None:
    assert store.propose("account", None, first()) == (True, first())
    assert store.propose("account", None, first()) == (True, first())
    assert store.history("account") == [first()]


def test_services_have_views_of_their_own(store: ViewStore) -> None:
    store.propose("account", None, first())
    assert store.current("savings") is None
    assert store.propose("savings", None, first("s2"))[0]


def test_the_view_and_its_history_are_there_after_a_restart(tmp_path: Path) -> None:
    store = ViewStore(tmp_path)
    store.propose("account", None, first())
    store.propose("account", ("h1", 1), both())
    store.close()
    again = ViewStore(tmp_path)
    assert again.current("account") == both()
    assert again.history("account") == [first(), both()]
    again.close()


def test_an_impossible_view_is_refused_and_changes_nothing(store: ViewStore) -> None:
    store.propose("account", None, first())
    with pytest.raises(InvalidRequest, match="only a forced takeover"):
        store.propose("account", ("h1", 1), replace(forced(first(), server="s1"), forced=False))
    assert store.history("account") == [first()]


def test_a_restored_view_is_taken_only_while_there_is_none(store: ViewStore) -> None:
    restored = forced(None, epoch=9)
    assert store.propose("account", None, restored) == (True, restored)
    assert store.propose("account", None, forced(None, history="h3", epoch=9)) == (False, restored)


@pytest.mark.parametrize(
    ("expected", "view", "words"),
    [
        (None, None, "not a view"),
        (None, {"epoch": "1"}, "not a view"),
        (None, {**first().to_wire(), "in_sync": []}, "not a view"),
        (None, {**first().to_wire(), "incarnations": {"s2": "x"}}, "not a view"),
        (None, {**first().to_wire(), "start_id": "x" * 201}, "up to 200"),
        ("h1", first().to_wire(), r"\[history, epoch\]"),
        (["h1", True], first().to_wire(), r"\[history, epoch\]"),
    ],
)
def test_what_is_not_a_proposal_is_refused(store: ViewStore, expected: Any, view: Any, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        Witness(store).propose("account", expected, view)
    assert store.current("account") is None


def test_plain_values_go_in_and_out_and_a_change_is_told(store: ViewStore) -> None:
    told = []
    witness = Witness(store, on_view=lambda *news: told.append(news))
    assert witness.propose("account", None, first().to_wire()) == {"won": True, "view": first().to_wire()}
    lost = witness.propose("account", None, first("s2").to_wire())
    assert lost == {"won": False, "view": first().to_wire()}
    assert witness.read("account") == first().to_wire()
    assert witness.history("account") == [first().to_wire()]
    assert told == [("account", first())]


def test_a_flipped_bit_is_an_error_and_the_end_of_this_process(tmp_path: Path) -> None:
    store = ViewStore(tmp_path)
    store.propose("account", None, first())
    store.close()
    database = apsw.Connection(str(tmp_path / "view.db"))
    database.execute("UPDATE views SET view = replace(view, '\"epoch\": 1', '\"epoch\": 7')")
    database.close()
    with pytest.raises(DiskFailed, match="does not match its checksum"):
        ViewStore(tmp_path)


def test_a_failed_write_ends_everything_and_is_not_tried_again(store: ViewStore) -> None:
    """After a failed commit nobody knows what is on the disk (rule F1)."""
    stopped: list[str] = []
    witness = Witness(store, on_disk_failure=stopped.append)
    store._database.execute(
        "CREATE TRIGGER full BEFORE INSERT ON views BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )
    with pytest.raises(DiskFailed, match="disk full"):
        witness.propose("account", None, first().to_wire())
    with pytest.raises(DiskFailed, match="any more"):
        witness.read("account")
    assert len(stopped) == 2


def test_a_second_process_is_refused_in_one_sentence(tmp_path: Path, store: ViewStore) -> None:
    script = """
import pathlib, sys
from bankrmi.coordination.view_store import ViewStore
ViewStore(pathlib.Path(sys.argv[1]))
"""
    command = [sys.executable, "-c", script, str(tmp_path / "witness")]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
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
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
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


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["s1", "s2"])), max_size=12))
def test_whatever_is_proposed_each_epoch_has_one_view(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str]]
) -> None:
    """Late, repeated and competing proposals: the history is a chain, and each answer tells its end."""
    store = ViewStore(tmp_path_factory.mktemp("views"))
    store.propose("account", None, first())
    store.propose("account", ("h1", 1), both())
    for back, server in steps:
        history = store.history("account")
        seen = history[max(0, len(history) - 1 - back)]
        if server not in seen.in_sync:
            continue
        stays = server == seen.primary
        proposed = seen.started_again("again") if stays else seen.handed_over_to(server, "handed")
        won, current = store.propose("account", (seen.history, seen.epoch), proposed)
        assert current == store.current("account")
        assert won == (current == proposed)
    epochs = [view.epoch for view in store.history("account")]
    assert epochs == list(range(1, len(epochs) + 1))
    store.close()
