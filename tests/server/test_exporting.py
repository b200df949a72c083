"""Exports of one server: what may be shown, and what an operator may cost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bankrmi.bank.accounts import Accounts
from bankrmi.errors import BankError, Busy, InvalidRequest, NotPrimary, OperationFailed
from bankrmi.replication.effects import NotLeading, Read
from bankrmi.replication.events import Event, ReadArrived
from bankrmi.server.exporting import AT_ONCE, IDLE_MS, PATIENT_MS, Exports
from bankrmi.storage.journal import SqliteJournal
from tests.storage.journals import LEDGER, decide, deposit, opened

TIMEOUT_MS = 10_000.0


class _Call:
    """An operator who asks."""

    def __init__(self, *args: object) -> None:
        self.args = list(args)
        self.connection_lost = False
        self.answers: list[Any] = []

    def answer(self, value: Any) -> None:
        self.answers.append(value)

    def fail(self, error: BaseException) -> None:
        self.answers.append(error)


class _Server:
    """A server whose rules the test speaks for."""

    def __init__(self, *, leads: bool) -> None:
        self.journal: SqliteJournal = opened()
        self.now_ms = 0.0
        self.replica: Any = SimpleNamespace(
            primary=SimpleNamespace() if leads else None,
            acknowledged=0,
        )
        self.reads: list[ReadArrived] = []
        self.exports = Exports(
            self,
            lambda: self.accounts,
            server="s1",
            now_ms=lambda: self.now_ms,
            timeout_ms=TIMEOUT_MS,
            page=2,
        )

    @property
    def accounts(self) -> Accounts:
        assert isinstance(self.journal.machine, Accounts)
        return self.journal.machine

    def take(self, event: Event) -> None:
        assert isinstance(event, ReadArrived)
        self.journal.read(event.query)
        self.reads.append(event)

    def work(self, number: int) -> None:
        decide(self.journal, 1, ("a", number), [deposit(1, 1)], 1)
        self.journal.commit()

    def ask(self, *args: object) -> _Call:
        call = _Call(*args)
        try:
            self.exports.ask(call)  # type: ignore[arg-type]
        except BankError as error:
            call.fail(error)
        return call

    @property
    def kept(self) -> int:
        assert len(self.accounts._snapshots) == len(self.exports._exports)
        return len(self.accounts._snapshots)


def rest_of(server: _Server, page: dict[str, Any]) -> list[tuple[int, int]]:
    rows = list(page["balances"])
    while page["next"] is not None:
        [page] = server.ask(page["next"]).answers
        rows += page["balances"]
    return rows


def test_at_the_primary_the_rules_say_when_a_state_may_leave() -> None:
    """It is a read: it shows the moment of its arrival, and leaves when that is acknowledged."""
    server = _Server(leads=True)
    call = server.ask()
    server.work(1)
    server.exports.tick()
    assert call.answers == []
    [read] = server.reads
    read.token.reply(Read("h", 0, None))
    [page] = call.answers
    assert (page["action_id"], page["history"], page["server"]) == (0, "h", "s1")
    server.work(2)
    assert dict(rest_of(server, page)) == LEDGER
    assert server.kept == 0


def test_a_primary_that_is_deposed_meanwhile_shows_nothing() -> None:
    server = _Server(leads=True)
    call = server.ask()
    server.reads[0].token.reply(NotLeading("s2"))
    assert isinstance(call.answers[0], NotPrimary)
    assert server.kept == 0


def test_a_standby_shows_nothing_that_it_does_not_know_to_be_acknowledged() -> None:
    server = _Server(leads=False)
    server.work(1)
    call = server.ask()
    server.exports.tick()
    assert call.answers == []
    server.work(2)
    server.replica.acknowledged = 1
    server.exports.tick()
    [page] = call.answers
    assert page["action_id"] == 1
    assert dict(rest_of(server, page)) == {**LEDGER, 1: LEDGER[1] + 1}


def test_what_a_standby_rolls_back_is_never_shown() -> None:
    server = _Server(leads=False)
    server.work(1)
    call = server.ask()
    server.journal.roll_back(0)
    decide(server.journal, 2, ("b", 1), [deposit(2, 5)], 1)
    server.journal.commit()
    server.replica.acknowledged = 1
    server.exports.tick()
    server.exports.tick()
    [page] = call.answers
    assert dict(rest_of(server, page)) == {**LEDGER, 2: LEDGER[2] + 5}


def test_a_standby_that_hears_of_nothing_acknowledged_says_so_in_the_end() -> None:
    server = _Server(leads=False)
    server.work(1)
    call = server.ask()
    server.now_ms += TIMEOUT_MS + 1
    server.exports.tick()
    with pytest.raises(
        OperationFailed, match=r"holds entries up to action id 1, and knows only those up to 0"
    ):
        raise call.answers[0]
    assert server.kept == 0


def test_who_asks_the_primary_is_not_shown_a_standby() -> None:
    [refused] = _Server(leads=False).ask(None, True).answers
    assert isinstance(refused, NotPrimary)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "+",
        "+0",
        "{}+",
        "{}+0",
        "{}+99999999999999999999",
        "{}+2+2",
        7,
        ["a"],
        {},
        b"x",
        "\ud800",
        True,
    ],
)
def test_odd_names_of_pages_are_refused_in_a_sentence(token: Any) -> None:
    server = _Server(leads=False)
    [page] = server.ask().answers
    if isinstance(token, str):
        token = token.replace("{}", page["next"].partition("+")[0])
    [refused] = server.ask(token).answers
    assert isinstance(refused, InvalidRequest)
    assert "begin the export again" in refused.message
    assert dict(rest_of(server, page)) == LEDGER, "the one under way is not harmed"


def test_what_is_kept_for_an_operator_who_went_away_expires() -> None:
    server = _Server(leads=False)
    [page] = server.ask().answers
    assert server.kept == 1
    server.now_ms += IDLE_MS + 1
    server.exports.tick()
    assert server.kept == 0
    assert isinstance(server.ask(page["next"]).answers[0], InvalidRequest)


def test_an_operator_whose_connection_is_lost_is_not_waited_for() -> None:
    server = _Server(leads=True)
    call = server.ask()
    call.connection_lost = True
    server.exports.tick()
    assert server.kept == 0
    server.reads[0].token.reply(Read("h", 0, None))
    assert call.answers == []


def test_exports_have_a_number_and_who_reads_his_is_not_pushed_out() -> None:
    server = _Server(leads=False)
    pages = [server.ask().answers[0] for _ in range(AT_ONCE)]
    [refused] = server.ask().answers
    assert isinstance(refused, Busy)
    server.now_ms += PATIENT_MS
    pages[1:] = [server.ask(page["next"]).answers[0] for page in pages[1:]]
    assert not isinstance(server.ask().answers[0], BankError)
    assert server.kept <= AT_ONCE
    assert isinstance(server.ask(pages[0]["next"]).answers[0], InvalidRequest)


def test_an_empty_server_says_so() -> None:
    from tests.storage.journals import journal_on

    server = _Server(leads=False)
    server.journal = journal_on(None)
    [refused] = server.ask().answers
    assert str(refused.message) == "s1 holds nothing yet"
    assert server.kept == 0
