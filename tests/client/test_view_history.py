"""The history of the view, asked of real sockets: a witness, one of the version before, bad ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bankrmi.certificates.authority import create_authority
from bankrmi.client import history
from bankrmi.client import view_history as module
from bankrmi.config import Configuration, EtcdSettings
from bankrmi.config_settings import CertificateSettings
from bankrmi.coordination.view_store import ViewStore
from bankrmi.coordination.witness import WITNESS_ID, Witness
from bankrmi.errors import ConfigurationError, OperationFailed, Unreached
from bankrmi.replication.cause import Cause, CauseKind
from bankrmi.replication.view import View
from bankrmi.rmi import Call, Exposed, PlainObject
from tests.client.doubles import Running, free_address

CHANGES = 700
"""More than one answer holds."""


class Keeper:
    """A witness with many views, which shows these methods."""

    def __init__(self, folder: Path) -> None:
        self.configuration = Configuration(
            path=folder / "config.yaml",
            nameserver=free_address(),
            witness=free_address(),
            servers={"s1": free_address(), "s2": free_address()},
        )
        self.asked: list[str] = []
        self.store = ViewStore(folder / "witness", wall_us=lambda: 1_000_000)
        self._running: Running | None = None

    def fill(self, changes: int) -> None:
        cause = Cause(kind=CauseKind.STARTED_AGAIN, by="s1", of=("s1",))
        view = View.first(history="h1", server="s1", start_id="x" * 150, incarnation="d").because(cause)
        self.store.propose("account", None, view)
        for _ in range(changes - 1):
            before, view = view, view.started_again("x" * 150).because(cause)
            self.store.propose("account", (before.history, before.epoch), view)

    def serve(self, *methods: str) -> None:
        keeper, witness = self, Witness(self.store)

        class Counted(PlainObject):
            def invoke(self, call: Call) -> None:
                keeper.asked.append(call.method)
                super().invoke(call)

        self.run(Counted(witness, methods))

    def run(self, one: Any) -> None:
        self._running = Running(str(self.configuration.witness_address), {WITNESS_ID: one})

    def stop(self) -> None:
        if self._running is not None:
            self._running.stop()
        self.store.close()


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    keeper = Keeper(tmp_path)
    yield keeper
    keeper.stop()


def epochs(views: list[View]) -> list[int]:
    return [view.epoch for view in views]


def test_the_newest_changes_come_in_order_and_no_more_is_read_than_is_wanted(keeper: Keeper) -> None:
    keeper.fill(CHANGES)
    keeper.serve("history", "history_before")
    assert epochs(history(keeper.configuration, limit=3)) == [CHANGES - 2, CHANGES - 1, CHANGES]
    assert keeper.asked == ["history_before"], "one page, however many there are"
    whole = history(keeper.configuration, limit=10_000)
    assert epochs(whole) == list(range(1, CHANGES + 1))
    assert whole[-1].cause == Cause(kind=CauseKind.STARTED_AGAIN, by="s1", of=("s1",))
    assert whole[-1].written_us == 1_000_000


def test_a_witness_of_the_version_before_is_read_from_its_beginning(keeper: Keeper) -> None:
    keeper.fill(CHANGES)
    keeper.serve("read", "propose", "history")
    assert epochs(history(keeper.configuration, limit=3)) == [CHANGES - 2, CHANGES - 1, CHANGES]
    assert set(keeper.asked) <= {"history"}


def test_before_the_first_view_there_is_no_history(keeper: Keeper) -> None:
    keeper.serve("history", "history_before")
    assert history(keeper.configuration, limit=20) == []


def test_a_witness_that_is_away_is_one_sentence(keeper: Keeper) -> None:
    with pytest.raises(
        Unreached, match=r"does not answer, and it alone keeps the history of the view: nobody listens"
    ):
        history(keeper.configuration, limit=20)


def test_who_lacks_the_certificate_for_it_has_a_fault_of_configuration_and_the_witness_is_not_asked(
    keeper: Keeper, tmp_path: Path
) -> None:
    keeper.serve("history", "history_before")
    create_authority(tmp_path / "certificates", days=30)
    without = keeper.configuration.model_copy(
        update={"certificates": CertificateSettings(folder=tmp_path / "certificates")}
    )
    with pytest.raises(ConfigurationError, match="has no certificate of an operator"):
        history(without, limit=20)
    assert keeper.asked == []
    etcd = EtcdSettings.model_validate({"etcd": ["https://127.0.0.1:1"], "ca": str(tmp_path / "none.pem")})
    with pytest.raises(ConfigurationError, match=r"none\.pem"):
        history(keeper.configuration.model_copy(update={"witness": etcd}), limit=20)


class Answering:
    """Answers whatever is asked with one and the same."""

    exposed = Exposed(methods=frozenset({"history", "history_before"}))

    def __init__(self, answer: Any, *, silent: bool = False) -> None:
        self._answer = answer
        self._silent = silent

    def invoke(self, call: Call) -> None:
        if not self._silent:
            call.answer(self._answer)


def test_a_witness_that_says_nothing_is_one_sentence_after_a_while(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.3)
    keeper.run(Answering(None, silent=True))
    with pytest.raises(
        OperationFailed, match=r"did not tell the history of the view: .* did not answer history_before"
    ):
        history(keeper.configuration, limit=20)


@pytest.mark.parametrize("answer", [7, [7], [{}], "text", {"a": 1}])
def test_an_answer_that_cannot_be_read_is_one_sentence(keeper: Keeper, answer: Any) -> None:
    keeper.run(Answering(answer))
    with pytest.raises(OperationFailed, match="cannot be read"):
        history(keeper.configuration, limit=20)


def test_a_witness_of_the_version_before_without_end_is_given_up(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SECONDS_IN_ALL", 0.3)
    form = View.first(history="h1", server="s1", start_id="a", incarnation="d").to_wire()

    class Endless:
        def history(self, _service: str, _after: object = None) -> list[Any]:
            return [form] * 3

    keeper.run(PlainObject(Endless(), ("history",)))
    with pytest.raises(OperationFailed, match=r"it takes more than 0\.3 s; ask for fewer"):
        history(keeper.configuration, limit=7)


def test_a_history_without_end_is_read_as_far_as_is_wanted(keeper: Keeper) -> None:
    """Whoever answers with the same page for ever keeps nobody for longer than the pages that are wanted."""
    form = View.first(history="h1", server="s1", start_id="a", incarnation="d").to_wire()
    keeper.run(Answering([form] * 3))
    assert epochs(history(keeper.configuration, limit=7)) == [1] * 7
