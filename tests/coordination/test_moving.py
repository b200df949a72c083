"""Moving the view from a witness to etcd, and back: never are two keepers believed at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bankrmi.client import move_view, plan_view_move, whole_history
from bankrmi.config import Configuration
from bankrmi.coordination.keepers import AskedKeeper, KeeperSilent, asked_keeper
from bankrmi.coordination.view_store import ViewStore
from bankrmi.coordination.witness import WITNESS_ID, WITNESS_MOVES_ID, Witness, WitnessMoves
from bankrmi.errors import BankError, InvalidRequest, OperationFailed, ViewMoved
from bankrmi.replication.view import View
from bankrmi.rmi import PlainObject
from bankrmi.verifying.witness_directory import verify_views
from tests.client.doubles import Running, free_address
from tests.coordination.views import both, first
from tests.etcd import MEMBERS, EtcdMembers, needs_etcd, paused

pytestmark = needs_etcd


@pytest.fixture(scope="module")
def running_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdMembers]:
    with EtcdMembers(tmp_path_factory.mktemp("etcd")) as members:
        yield members


class Keepers:
    """A witness and an etcd, each with a configuration that names it; the witness holds `both()`."""

    def __init__(self, folder: Path, etcd: EtcdMembers) -> None:
        self.folder = folder
        self.etcd_members = etcd
        names: dict[str, Any] = {
            "servers": {"s1": free_address(), "s2": free_address()},
            "nameserver": free_address(),
        }
        self.old = Configuration(path=folder / "old.yaml", witness=free_address(), **names)
        self.new = Configuration(path=folder / "new.yaml", witness=etcd.settings(), **names)
        self.start_witness()
        self.store.propose("account", None, first())
        self.store.propose("account", ("h1", 1), both())

    def start_witness(self) -> None:
        self.store = ViewStore(self.folder / "witness")
        objects: dict[str, Any] = {
            WITNESS_ID: PlainObject(Witness(self.store), ("read", "propose", "history", "history_before")),
            WITNESS_MOVES_ID: PlainObject(WitnessMoves(self.store), ("kept", "move")),
        }
        self.running = Running(str(self.old.witness), objects)

    @property
    def witness(self) -> AskedKeeper:
        return asked_keeper(self.old)

    @property
    def etcd(self) -> AskedKeeper:
        return asked_keeper(self.new)

    def believed(self) -> list[str]:
        """Return which of the two would let a proposal win."""
        found = []
        for name, keeper in (("witness", self.witness), ("etcd", self.etcd)):
            try:
                if keeper.read() is not None:
                    found.append(name)
            except OperationFailed:
                pass
        return found


@pytest.fixture
def keepers(tmp_path: Path, running_etcd: EtcdMembers) -> Iterator[Keepers]:
    running_etcd.delete_all()
    made = Keepers(tmp_path, running_etcd)
    yield made
    made.running.stop()
    made.store.close()


def test_there_and_back(keepers: Keepers) -> None:
    assert keepers.believed() == ["witness"]
    assert View.from_wire(move_view(keepers.old, keepers.new)) == both()
    assert keepers.believed() == ["etcd"]
    third = both().started_again("another-start")
    assert keepers.etcd.propose(("h1", 2), third) == (third, True)
    assert View.from_wire(move_view(keepers.new, keepers.old)) == third
    assert keepers.believed() == ["witness"]
    fourth = third.started_again("yet-another-start")
    assert keepers.witness.propose(("h1", 3), fourth) == (fourth, True)
    assert View.from_wire(move_view(keepers.old, keepers.new)) == fourth
    assert View.from_wire(move_view(keepers.old, keepers.new)) == fourth, "it was done already"
    assert keepers.believed() == ["etcd"]


def test_there_and_back_without_a_change_in_between(keepers: Keepers) -> None:
    for source, target, name in [
        (keepers.old, keepers.new, "etcd"),
        (keepers.new, keepers.old, "witness"),
    ] * 3:
        assert View.from_wire(move_view(source, target)) == both()
        assert keepers.believed() == [name]


def told(configuration: Configuration, limit: int = 20) -> tuple[list[int], list[str]]:
    """Return the epochs that `history` shows, and what it says of others."""
    found = whole_history(configuration, limit=limit)
    return [view.epoch for view in found.views], list(found.elsewhere)


def test_after_a_move_the_changes_before_it_are_shown_and_the_move_is_on_record(keepers: Keepers) -> None:
    witness, etcd = keepers.witness.kept().keeper, keepers.etcd.kept().keeper
    move_view(keepers.old, keepers.new)
    assert told(keepers.new) == ([1, 2], []), "the witness that was left is asked"
    third = both().started_again("another-start")
    keepers.etcd.propose(("h1", 2), third)
    assert told(keepers.new) == ([1, 2, 3], [])
    assert told(keepers.new, 2) == ([2, 3], [])
    (moved,) = whole_history(keepers.new, limit=20).views[1].moves
    assert (moved.keeper, moved.place) == (witness, str(keepers.old.witness))
    assert moved.operator is not None
    assert moved.moved_us is not None
    assert whole_history(keepers.new, limit=20).views[2].moves == (), "no later view has it"

    epochs, [later] = told(keepers.old)
    assert epochs == [1, 2]
    assert later.startswith(f"the view was moved from here to {etcd}: later changes are there")

    fourth = third.started_again("yet-another-start")
    keepers.etcd.propose(("h1", 3), fourth)
    move_view(keepers.new, keepers.old)
    assert told(keepers.old) == ([1, 2, 3, 4], []), "etcd had the third, and is asked as the view says"
    assert told(keepers.old, 2) == ([3, 4], [])
    move_view(keepers.old, keepers.new)
    assert told(keepers.new) == ([1, 2, 3, 4], [])
    moves = whole_history(keepers.new, limit=1).views[0].moves
    assert [one.keeper for one in moves] == [etcd, witness], "each of them, in their order"


def test_a_move_there_and_back_is_on_record_though_the_view_is_as_it_was(keepers: Keepers) -> None:
    """The witness has a row of it already: the note is added to that one, and nothing else changes in it."""
    before = keepers.store.current("account")
    witness, etcd = keepers.witness.kept().keeper, keepers.etcd.kept().keeper
    move_view(keepers.old, keepers.new)
    move_view(keepers.new, keepers.old)
    shown = whole_history(keepers.old, limit=20)
    assert (shown.views, shown.elsewhere) == ([first(), both()], ()), "nothing was elsewhere"
    assert [one.keeper for one in shown.views[-1].moves] == [witness, etcd]
    after = keepers.store.current("account")
    assert before is not None
    assert after is not None
    assert (after, after.cause, after.written_us) == (before, before.cause, before.written_us)
    keepers.running.stop()
    keepers.store.close()
    assert verify_views(keepers.folder / "witness" / "view.db").faults == ()
    keepers.start_witness()


def test_a_keeper_that_was_left_and_is_gone_is_named(keepers: Keepers) -> None:
    move_view(keepers.old, keepers.new)
    keepers.running.stop()
    epochs, [where] = told(keepers.new)
    assert epochs == [2]
    assert where.startswith(
        f"the changes before epoch 2 are with the witness at {keepers.old.witness} (nobody listens"
    ), where
    assert "`bankrmi history --left FILE`" in where
    keepers.store.close()
    (keepers.folder / "witness" / "view.db").unlink()
    keepers.start_witness()
    assert "(another one is there by now, " in told(keepers.new)[1][0]


def left_for_the_witness(keepers: Keepers, kept_by: Configuration) -> None:
    """Let etcd have had the view, with two changes of it, and the witness have it again."""
    third = both().started_again("another-start")
    move_view(keepers.old, kept_by)
    asked_keeper(kept_by).propose(("h1", 2), third)
    asked_keeper(kept_by).propose(("h1", 3), third.started_again("yet-another-start"))
    move_view(kept_by, keepers.old)


def test_an_etcd_that_was_left_and_stands_still_keeps_nobody_waiting_for_long(
    keepers: Keepers, running_etcd: EtcdMembers
) -> None:
    left_for_the_witness(keepers, keepers.new)
    with paused(running_etcd, *MEMBERS):
        epochs, [where] = told(keepers.old)
    assert epochs == [1, 2, 4]
    assert where.startswith(f"the changes before epoch 4 are with etcd at {running_etcd.url('m1')},")
    assert "(no answer from http" in where


def test_an_etcd_that_was_left_is_asked_over_tls_with_the_file_that_says_how(
    keepers: Keepers, tmp_path: Path
) -> None:
    """No view says where a certificate is: else whoever writes views would be sent files of ours."""
    with EtcdMembers(tmp_path / "secured", tls=True) as secured:
        of_then = keepers.new.model_copy(update={"witness": secured.settings()})
        left_for_the_witness(keepers, of_then)
        epochs, [where] = told(keepers.old)
        assert epochs == [1, 2, 4]
        assert where == (
            f"the changes before epoch 4 are with etcd at {','.join(map(secured.url, MEMBERS))} "
            "(it takes certificates to ask it, and the view names none: "
            "`bankrmi history --left FILE` asks it, with the configuration from then)"
        )
        found = whole_history(keepers.old, limit=20, left=[keepers.new, of_then])
        assert ([view.epoch for view in found.views], found.elsewhere) == ([1, 2, 3, 4], ())


def test_nothing_wins_at_the_keeper_that_was_left(keepers: Keepers) -> None:
    move_view(keepers.old, keepers.new)
    third = both().started_again("another-start")
    with pytest.raises(ViewMoved):
        keepers.store.propose("account", ("h1", 2), third)
    with pytest.raises(OperationFailed, match="was moved to etcd:"):
        keepers.witness.propose(("h1", 2), third)
    keepers.running.stop()
    keepers.store.close()
    keepers.start_witness()
    with pytest.raises(ViewMoved):  # A witness that starts again has not forgotten it.
        keepers.store.propose("account", ("h1", 2), third)
    assert keepers.believed() == ["etcd"]


@pytest.mark.parametrize("back", [False, True])
def test_interrupted_between_the_steps_there_is_no_keeper_and_the_same_command_goes_on(
    keepers: Keepers, back: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = (keepers.new, keepers.old) if back else (keepers.old, keepers.new)
    if back:
        move_view(keepers.old, keepers.new)
    into = type(asked_keeper(target))
    with monkeypatch.context() as broken:

        def lost(*_: object) -> bool:
            raise KeeperSilent("no answer")

        broken.setattr(into, "move", lost)
        with pytest.raises(OperationFailed, match=r"the old keeper is closed, .*run the command again"):
            move_view(source, target)
    assert keepers.believed() == []
    assert plan_view_move(source, target)["begun"]
    assert View.from_wire(move_view(source, target)) == both()
    assert keepers.believed() == ["witness" if back else "etcd"]


@pytest.mark.parametrize("end", [KeeperSilent("no answer"), KeyboardInterrupt()], ids=["silent", "Ctrl-C"])
def test_when_the_closing_is_not_answered_it_is_said_that_it_may_be_closed(
    keepers: Keepers, end: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    closes = type(keepers.witness).move

    def unheard(self: Any, *args: Any) -> bool:
        assert closes(self, *args)
        raise end

    with monkeypatch.context() as broken:
        broken.setattr(type(keepers.witness), "move", unheard)
        with pytest.raises((OperationFailed, KeyboardInterrupt)) as failure:
            move_view(keepers.old, keepers.new)
    said = [str(failure.value), *getattr(failure.value, "__notes__", ())]
    assert any("may be closed" in one and "run the same command again" in one for one in said)
    assert keepers.believed() == []
    assert View.from_wire(move_view(keepers.old, keepers.new)) == both()


def test_a_change_just_before_the_closing_is_moved_too(
    keepers: Keepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    third = both().started_again("another-start")
    closes = type(keepers.witness).move

    def overtaken(self: Any, *args: Any) -> bool:
        monkeypatch.undo()
        assert keepers.witness.propose(("h1", 2), third) == (third, True)
        return bool(closes(self, *args))

    monkeypatch.setattr(type(keepers.witness), "move", overtaken)
    assert View.from_wire(move_view(keepers.old, keepers.new)) == third
    assert keepers.etcd.read() == third


def test_a_step_of_an_earlier_move_that_arrives_late_does_nothing(keepers: Keepers) -> None:
    """Each is sent again, as it was, when the view has been moved there, back, and there again."""
    late: list[tuple[AskedKeeper, tuple[Any, ...]]] = []

    def step(keeper: AskedKeeper, moved_to: str | None) -> None:
        args = (keeper.kept(), both(), moved_to)
        late.append((keeper, args))
        assert keeper.move(*args)

    witness, etcd = keepers.witness.kept().keeper, keepers.etcd.kept().keeper
    for _ in range(2):
        step(keepers.witness, etcd)
        step(keepers.etcd, None)
        step(keepers.etcd, witness)
        step(keepers.witness, None)
    for keeper, args in late:
        assert not keeper.move(*args)
        assert keepers.believed() == ["witness"]


def test_nothing_is_written_over_another_view(keepers: Keepers) -> None:
    """Empty servers that were led to etcd by mistake have made a first view there."""
    other = first("s2")
    assert keepers.etcd.propose(None, other)[1]
    with pytest.raises(OperationFailed, match="holds another one of this service"):
        move_view(keepers.old, keepers.new)
    assert keepers.witness.read() == both()
    assert keepers.etcd.read() == other


def test_without_etcd_nothing_is_closed(keepers: Keepers) -> None:
    elsewhere = keepers.new.model_copy(
        update={"witness": keepers.etcd_members.settings(etcd=["http://127.0.0.1:9"])}
    )
    with pytest.raises(OperationFailed, match="etcd does not answer"):
        move_view(keepers.old, elsewhere)
    assert keepers.witness.read() == both()


def test_what_makes_no_sense_is_refused(keepers: Keepers) -> None:
    with pytest.raises(OperationFailed, match="name the same keeper"):
        move_view(keepers.old, keepers.old)
    with pytest.raises(OperationFailed, match="there is nothing to move"):
        move_view(keepers.new, keepers.old)
    kept = keepers.store.kept("account")
    for view, moved_to in ((first(), "elsewhere"), (both().started_again("x"), None)):
        with pytest.raises(InvalidRequest):
            keepers.store.move("account", kept.revision, view, moved_to)
    assert keepers.store.kept("account") == kept


def test_what_a_witness_has_moved_is_verified(keepers: Keepers) -> None:
    """The views in between are not here: that is no fault; a flipped bit in a move is one."""
    move_view(keepers.old, keepers.new)
    view = both()
    for number in range(3):
        before, view = view, view.started_again(f"start-{number}")
        keepers.etcd.propose((before.history, before.epoch), view)
    move_view(keepers.new, keepers.old)
    keepers.running.stop()
    keepers.store.close()
    database = keepers.folder / "witness" / "view.db"
    assert verify_views(database).faults == ()
    content = database.read_bytes()
    database.write_bytes(content.replace(b"etcd:", b"etce:"))
    [fault] = verify_views(database).faults
    assert "a move of the view does not match its checksum" in fault
    database.write_bytes(content)
    keepers.start_witness()


def test_the_error_crosses_the_wire(keepers: Keepers) -> None:
    move_view(keepers.old, keepers.new)
    with pytest.raises(BankError) as failure:
        keepers.store.here("account")
    assert str(failure.value.moved_to).startswith("etcd:")
