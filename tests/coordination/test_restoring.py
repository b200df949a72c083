"""Restoring the witness, over real sockets: everybody is asked, and only an empty witness takes the view."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bankrmi.client import plan_witness_restore, restore_witness
from bankrmi.config import Configuration
from bankrmi.coordination.restore import EPOCHS_UNHEARD
from bankrmi.coordination.view_store import ViewStore
from bankrmi.coordination.witness import WITNESS_ID, Witness
from bankrmi.errors import OperationFailed
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
            "still": True,
            "last_view": None,
            "may_have_moved_on": False,
        }

    def hold_still(self) -> dict[str, Any]:
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
            Running(self.configuration.witness, {WITNESS_ID: self._exposed(Witness(self.store))}),
        ]

    @staticmethod
    def _exposed(target: object) -> PlainObject:
        methods = ("hold_still",) if isinstance(target, Operator) else ("read", "propose")
        return PlainObject(target, methods)

    def start(self, server: str, *, epoch: int, tip: tuple[int, int]) -> None:
        objects = {f"bankrmi.operator.{server}": self._exposed(Operator(server, epoch, tip))}
        self.running.append(Running(self.configuration.servers[server], objects))


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
    bank.start("s1", epoch=4, tip=(90, 4))
    with pytest.raises(OperationFailed, match="no view is safe: s2 cannot be asked") as raised:
        plan_witness_restore(bank.configuration)
    assert "s1: epoch 4" in raised.value.message


def test_a_witness_that_holds_a_view_is_left_alone(bank: Bank) -> None:
    bank.start("s1", epoch=4, tip=(90, 4))
    bank.start("s2", epoch=5, tip=(80, 5))
    plan = plan_witness_restore(bank.configuration)
    restore_witness(bank.configuration, plan["view"])
    with pytest.raises(OperationFailed, match="nothing to restore"):
        plan_witness_restore(bank.configuration)
    with pytest.raises(OperationFailed, match="meanwhile"):
        restore_witness(bank.configuration, {**plan["view"], "history": "h9"})


def test_without_the_witness_nothing_can_be_restored(bank: Bank) -> None:
    bank.running[0].stop()
    with pytest.raises(OperationFailed, match=r"the witness at .* does not answer"):
        plan_witness_restore(bank.configuration)
