"""Restoring the witness, over real sockets: everybody is asked, and only an empty witness takes the view."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bankrmi.cli.interruption import what_was_under_way
from bankrmi.client import plan_witness_restore, restore_witness
from bankrmi.config import Configuration
from bankrmi.coordination.restore import EPOCHS_UNHEARD
from bankrmi.coordination.view_store import ViewStore
from bankrmi.coordination.witness import WITNESS_ID, Witness
from bankrmi.errors import OperationFailed
from bankrmi.replication.cause import OPERATOR, CauseKind, named
from bankrmi.replication.view import View
from bankrmi.rmi import PlainObject
from tests.client.doubles import Running, free_address


class Operator:
    """What a server tells an operator."""

    def __init__(self, server: str, epoch: int, tip: tuple[int, int]) -> None:
        self.holding: dict[str, Any] = {
            "server": server,
            "incarnation": f"disk-{server}",
            "start_id": f"start-{server}",
            "history": "h1",
            "epoch": epoch,
            "primary": server,
            "tip": [*tip, b"d" * 16],
            "fenced": False,
            "last_view": None,
            "may_have_moved_on": False,
            "retired_for": None,
        }
        self.asked_to_be_fenced = 0
        self.on_being_fenced: Callable[[], None] = lambda: None

    def holdings(self) -> dict[str, Any]:
        return self.holding

    def fence(self) -> dict[str, Any]:
        self.asked_to_be_fenced += 1
        self.holding["fenced"] = True
        self.on_being_fenced()
        return self.holding


class Bank:
    """A witness without memory, and two servers."""

    def __init__(self, folder: Path) -> None:
        self.configuration = Configuration(
            path=folder / "config.yaml",
            nameserver=free_address(),
            servers={"s1": free_address(), "s2": free_address()},
        )
        self.store = ViewStore(folder / "witness")
        self.running = [
            Running(str(self.configuration.witness), {WITNESS_ID: self._exposed(Witness(self.store))}),
        ]

    @staticmethod
    def _exposed(target: object) -> PlainObject:
        methods = ("holdings", "fence") if isinstance(target, Operator) else ("read", "propose")
        return PlainObject(target, methods)

    def start(self, server: str, *, epoch: int, tip: tuple[int, int]) -> Operator:
        operator = Operator(server, epoch, tip)
        objects = {f"bankrmi.operator.{server}": self._exposed(operator)}
        self.running.append(Running(self.configuration.servers[server], objects))
        return operator


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    bank = Bank(tmp_path)
    yield bank
    for one in bank.running:
        one.stop()
    bank.store.close()


def test_the_safe_view_is_found_shown_and_taken(bank: Bank) -> None:
    bank.start("s1", epoch=4, tip=(90, 4))
    bank.start("s2", epoch=5, tip=(80, 5))
    plan = plan_witness_restore(bank.configuration)
    assert plan["found"][0] == "s1: epoch 4 led by s1, newest entry 90 (of epoch 4), history h1"
    assert plan["found"][2].startswith("s2 led epoch 5")
    restored = restore_witness(bank.configuration, plan["view"])
    view = View.from_wire(restored)
    assert (view.primary, view.epoch, view.in_sync, view.forced) == (
        "s2",
        5 + EPOCHS_UNHEARD,
        frozenset({"s2"}),
        True,
    )
    assert view.history != "h1"
    assert bank.store.current("account") == view


def test_while_a_server_cannot_be_asked_no_view_is_safe(bank: Bank) -> None:
    s1 = bank.start("s1", epoch=4, tip=(90, 4))
    with pytest.raises(OperationFailed, match="no view is safe: s2 cannot be asked") as raised:
        plan_witness_restore(bank.configuration)
    assert "s1: epoch 4" in raised.value.message
    assert s1.asked_to_be_fenced == 0


def test_nobody_is_fenced_before_the_operator_says_yes(bank: Bank) -> None:
    """A bank that is well without the view stays so while he looks, and if he says no."""
    operators = [bank.start("s1", epoch=4, tip=(90, 4)), bank.start("s2", epoch=5, tip=(80, 5))]
    plan = plan_witness_restore(bank.configuration)
    assert [one.asked_to_be_fenced for one in operators] == [0, 0]
    restore_witness(bank.configuration, plan["view"])
    assert [one.asked_to_be_fenced for one in operators] == [1, 1]


def test_a_server_that_is_given_up_is_not_waited_for(bank: Bank) -> None:
    bank.start("s1", epoch=4, tip=(90, 4))
    plan = plan_witness_restore(bank.configuration, given_up=["s2"])
    assert plan["view"]["primary"] == "s1"
    restore_witness(bank.configuration, plan["view"], given_up=["s2"])
    view = bank.store.current("account")
    assert view is not None
    assert view.primary == "s1"
    assert view.cause is not None
    assert (view.cause.kind, view.cause.by, view.cause.of) == (CauseKind.FORCED, OPERATOR, ("s2",))
    assert view.cause.operator is not None
    assert view.cause.operator.endswith(f"@{named(socket.gethostname())}"), "who did that is in the record"


def view_of(*members: str, epoch: int) -> dict[str, Any]:
    return View(
        history="h1",
        epoch=epoch,
        primary=members[0],
        start_id=f"start-{members[0]}",
        in_sync=frozenset(members),
        incarnations={name: f"disk-{name}" for name in members},
    ).to_wire()


def test_what_the_operator_did_not_see_is_not_proposed(bank: Bank) -> None:
    """s2 took over just before it was fenced: that is another plan. Everybody goes on as before."""
    s1, s2 = bank.start("s1", epoch=5, tip=(90, 5)), bank.start("s2", epoch=4, tip=(80, 4))
    plan = plan_witness_restore(bank.configuration)
    assert plan["view"]["primary"] == "s1"
    s1.on_being_fenced = lambda: s2.holding.update(epoch=6, last_view=view_of("s2", epoch=6))
    s2.on_being_fenced = s1.on_being_fenced
    with pytest.raises(OperationFailed, match=r"s2 holds everything now, and not s1; .*\(epoch 6, "):
        restore_witness(bank.configuration, plan["view"])
    assert s1.holding["fenced"]
    view = bank.store.current("account")
    assert view is not None
    assert (view.history, view.epoch, view.in_sync) == ("h1", 6, frozenset({"s2"}))


@pytest.mark.parametrize("certain", [True, False], ids=["certain", "not certain"])
def test_if_no_view_is_safe_after_all_the_bank_goes_on_where_that_is_certain(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, certain: bool
) -> None:
    """s2, which is not a member, goes away just when everybody is fenced."""
    monkeypatch.setattr("bankrmi.coordination.restoring._FENCING_SECONDS", 0.1)
    s1 = bank.start("s1", epoch=5, tip=(90, 5))
    s2 = bank.start("s2", epoch=4, tip=(80, 4))
    s1.holding |= {"last_view": view_of("s1", epoch=5), "may_have_moved_on": not certain}
    plan = plan_witness_restore(bank.configuration)
    s2.on_being_fenced = failing
    with pytest.raises(OperationFailed, match="no view is safe any more: s2 cannot be asked") as raised:
        restore_witness(bank.configuration, plan["view"])
    view = bank.store.current("account")
    if certain:
        assert view is not None
        assert (view.history, view.epoch, view.primary) == ("h1", 5, "s1")
        assert "the bank goes on" in raised.value.message
    else:
        assert view is None
        assert "s1 is fenced" in raised.value.message


def test_who_is_not_fenced_is_not_said_to_be(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have not seen yet that there is no view."""
    monkeypatch.setattr("bankrmi.coordination.restoring._FENCING_SECONDS", 0.1)
    for one in (bank.start("s1", epoch=4, tip=(90, 4)), bank.start("s2", epoch=5, tip=(80, 5))):
        one.on_being_fenced = partial(one.holding.update, fenced=False)
    plan = plan_witness_restore(bank.configuration)
    with pytest.raises(OperationFailed) as raised:
        restore_witness(bank.configuration, plan["view"])
    assert raised.value.message.endswith(
        "; nobody is fenced; s1, s2 may be yet: as of now, not; run `bankrmi witness restore` again"
    ), raised.value.message


def failing() -> None:
    raise OperationFailed("it is on its way down")


def test_after_the_yes_all_is_looked_at_again_before_anybody_is_fenced(bank: Bank) -> None:
    """The operator thought it over, and s2 went away meanwhile, or took over: all is left as it is."""
    s1, s2 = bank.start("s1", epoch=5, tip=(90, 5)), bank.start("s2", epoch=4, tip=(80, 4))
    plan = plan_witness_restore(bank.configuration)
    s2.holding |= {"epoch": 6, "last_view": view_of("s2", epoch=6)}
    with pytest.raises(OperationFailed, match="s2 holds everything now, and not s1; nothing was changed"):
        restore_witness(bank.configuration, plan["view"])
    bank.running.pop().stop()
    with pytest.raises(
        OperationFailed, match=r"s2 cannot be asked .*; nothing was changed, and nobody was fenced"
    ):
        restore_witness(bank.configuration, plan["view"])
    assert (s1.asked_to_be_fenced, s2.asked_to_be_fenced) == (0, 0)
    assert bank.store.current("account") is None


def test_an_interruption_says_who_holds_still_and_what_to_do(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    s1, s2 = bank.start("s1", epoch=5, tip=(90, 5)), bank.start("s2", epoch=4, tip=(80, 4))
    plan = plan_witness_restore(bank.configuration)
    s2.on_being_fenced = failing

    def control_c(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bankrmi.coordination.restoring.time.sleep", control_c)
    with pytest.raises(KeyboardInterrupt) as raised:
        restore_witness(bank.configuration, plan["view"])
    assert " ".join(what_was_under_way(raised.value)) == (
        "interrupted: s1 is fenced, and answers nobody until the witness is restored: "
        "run `bankrmi witness restore` again"
    )
    assert s1.holding["fenced"]


def test_a_witness_that_goes_away_meanwhile_leaves_nobody_to_guess(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.start("s1", epoch=5, tip=(90, 5))
    s2 = bank.start("s2", epoch=4, tip=(80, 4))
    plan = plan_witness_restore(bank.configuration)
    s2.on_being_fenced = failing
    monkeypatch.setattr("bankrmi.coordination.restoring.time.sleep", lambda _: bank.running[0].stop())
    with pytest.raises(OperationFailed, match=r"does not answer.*; s1 is fenced, and answers nobody until"):
        restore_witness(bank.configuration, plan["view"])


def test_a_witness_that_holds_a_view_is_left_alone(bank: Bank) -> None:
    bank.start("s1", epoch=4, tip=(90, 4))
    bank.start("s2", epoch=5, tip=(80, 5))
    plan = plan_witness_restore(bank.configuration)
    restore_witness(bank.configuration, plan["view"])
    with pytest.raises(OperationFailed, match="nothing to restore"):
        plan_witness_restore(bank.configuration)
    with pytest.raises(OperationFailed, match="nothing to restore"):
        restore_witness(bank.configuration, plan["view"])


def test_without_the_witness_nothing_can_be_restored(bank: Bank) -> None:
    bank.running[0].stop()
    with pytest.raises(OperationFailed, match=r"the witness at .* does not answer"):
        plan_witness_restore(bank.configuration)


def test_servers_that_came_after_the_file_was_written_are_asked_too(bank: Bank) -> None:
    """V12: the one who led lately is in no file; and what is restored says where everybody lives."""
    s1 = bank.start("s1", epoch=4, tip=(90, 4))
    bank.start("s2", epoch=4, tip=(90, 4))
    lives = {**bank.configuration.servers, "s3": free_address()}
    last = View.first(history="h1", server="s1", start_id="start-s1", incarnation="disk-s1").adding(
        "s3", lives
    )
    s1.holding["last_view"] = last.to_wire()
    with pytest.raises(OperationFailed, match="no view is safe: s3 cannot be asked"):
        plan_witness_restore(bank.configuration)
    s3 = Operator("s3", 5, (95, 5))
    s3.holding["last_view"] = last.started_again("start-s1").to_wire() | {"epoch": 5}
    bank.running.append(Running(lives["s3"], {"bankrmi.operator.s3": bank._exposed(s3)}))
    plan = plan_witness_restore(bank.configuration)
    assert plan["view"]["primary"] == "s3"
    restored = View.from_wire(restore_witness(bank.configuration, plan["view"]))
    assert restored.servers == lives
    assert s3.asked_to_be_fenced == 1
