"""Two commands work on one bank, one of them late: it opens in one place.  A real PostgreSQL; rule V14."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from bankrmi.backup.fetching import Fetch, FetchPace
from bankrmi.client.asking import Ask
from bankrmi.engine.moving import MovingDatabase
from bankrmi.errors import InvalidRequest, OperationFailed
from bankrmi.relocation import to_database
from bankrmi.relocation.retirement import is_the_same
from bankrmi.replication.view import View
from tests.backup.sources import Source
from tests.engine.postgresql import PostgreSql, needs_postgresql
from tests.storage.journals import deposit

pytestmark = needs_postgresql

ELSEWHERE = "bank at 10.0.0.99:5432"


class LeadingSource(Source):
    """A server that leads, in the epoch on its disk; `retired_for`: in a view that says so."""

    retired_for: str | None = None

    @property
    def replica(self) -> SimpleNamespace:
        leader = SimpleNamespace(view=SimpleNamespace(retired_for=self.retired_for))
        return SimpleNamespace(acknowledged=self.acknowledged, primary=leader)


class OneServer(to_database._Servers):
    """A bank of one server that is not a process; and what is ordered of it."""

    def __init__(self, moving: MovingDatabase) -> None:
        self.there = to_database.words_of(moving)
        self.service = "account"
        self.source = LeadingSource()
        self.source.do(deposit(1, 5))
        adopted = self.source.journal.adopted
        assert adopted is not None
        first = View.first(history=adopted.history, server="s1", start_id="p", incarnation="d")
        self.views = [replace(first, epoch=adopted.epoch)]
        self.orders: list[tuple[Any, ...]] = []

    def view(self) -> View:
        return self.views[-1]

    def are_retired_as_in(self, seen: View) -> View | None:
        return self.view() if is_the_same(seen, self.view(), reversed(self.views)) else None

    @contextmanager
    def asking(self) -> Iterator[tuple[str, Ask]]:
        yield "s1", self.source.ask

    def order(self, method: str, *args: object) -> Any:
        self.orders.append((method, *args))
        self.becomes(str(args[0]) if method == "retire" else None)

    def becomes(self, retired_for: str | None, *, heard: bool = True) -> None:
        """The view says so; and this server leads in it, if it has heard."""
        self.views.append(self.view().retiring(retired_for))
        adopted = self.source.journal.adopted
        assert adopted is not None
        if heard:
            self.source.journal.adopt(replace(adopted, epoch=self.view().epoch, retired_for=retired_for))
            self.source.retired_for = retired_for


@pytest.fixture
def moving(database: PostgreSql) -> Iterator[MovingDatabase]:
    with MovingDatabase(database.url, "account") as moving:
        yield moving


def move(servers: OneServer, moving: MovingDatabase) -> to_database.Moved:
    return to_database._Move(servers, moving, 1e12, lambda _: None).run(prepare=False)


def test_a_bank_is_moved(moving: MovingDatabase) -> None:
    servers = OneServer(moving)
    assert move(servers, moving).action_id == 1
    assert [one[0] for one in servers.orders] == ["retire"]
    row = moving.look()
    assert row is not None
    assert row.arriving is None


def test_what_was_taken_away_is_not_begun_anew_while_the_servers_are_retired(moving: MovingDatabase) -> None:
    """Whoever took it away is about to have them reinstated."""
    servers = OneServer(moving)
    servers.becomes(servers.there)
    with pytest.raises(OperationFailed, match="retired meanwhile"):
        move(servers, moving)
    assert moving.look() is None


def test_what_is_brought_in_the_place_of_something_goes_on_with_it(moving: MovingDatabase) -> None:
    servers = OneServer(moving)
    with moving.bringing("killed", servers.view().history) as bringing:
        assert bringing.is_anew
    servers.becomes(servers.there)
    assert move(servers, moving).action_id == 1
    row = moving.look()
    assert row is not None
    assert row.arriving is None


def test_the_last_of_it_is_of_no_earlier_retirement_than_was_seen(
    moving: MovingDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(to_database, "_SECONDS", 0.3)
    servers = OneServer(moving)
    with moving.bringing("killed", servers.view().history):
        pass
    servers.becomes(servers.there)
    for retired_for in (None, servers.there):
        servers.becomes(retired_for, heard=False)
    with pytest.raises(OperationFailed, match="does not lead as one that is retired"):
        move(servers, moving)
    row = moving.look()
    assert row is not None
    assert row.arriving is not None, "it is not open"


def test_a_late_command_takes_back_the_retirement_that_it_saw_and_no_later_one(
    moving: MovingDatabase,
) -> None:
    servers = OneServer(moving)
    for seen in (servers.view(), None):
        servers.becomes(servers.there)
        if seen is None:
            seen = servers.view()
            servers.becomes(None)
            servers.becomes(servers.there)
        with pytest.raises(OperationFailed, match="they stay retired"):
            to_database._reinstated(servers, seen)
    assert servers.orders == []
    seen = servers.view()
    servers.views.append(seen.started_again("q"))  # Another view of the same retirement.
    to_database._reinstated(servers, seen)
    assert servers.orders == [("reinstate", seen.history, seen.epoch + 1)]


def brought(servers: OneServer, moving: MovingDatabase) -> None:
    """All there is has come to this database; it is not open there."""
    with to_database._Move(servers, moving, 1e12, lambda _: None)._servers.asking() as (name, ask):
        fetch = Fetch(name, ask, FetchPace(1e12), lambda _: None)
        with moving.bringing("prepared", servers.view().history) as bringing:
            to_database._bring_all(fetch, fetch.state(None), bringing)


def test_a_bank_that_was_prepared_in_two_databases_opens_in_the_one_that_the_servers_were_retired_for(
    moving: MovingDatabase, database: PostgreSql, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = OneServer(moving)
    configuration: Any = SimpleNamespace(service="account")
    monkeypatch.setattr(to_database, "_Servers", lambda _: servers)
    brought(servers, moving)
    servers.becomes(ELSEWHERE)
    with pytest.raises(InvalidRequest, match=f"the bank is in {ELSEWHERE}"):
        to_database.move_to_database(configuration, database.url)
    with pytest.raises(OperationFailed, match=f"retired for {ELSEWHERE}"):  # Another command, just then.
        move(servers, moving)
    with pytest.raises(InvalidRequest, match=f"retired for {ELSEWHERE}"):
        to_database.cancel_to_database(configuration, database.url)
    row = moving.look()
    assert row is not None
    assert row.arriving is not None, "it is not open, and is there"
    assert [one[0] for one in servers.orders] == [], "they stay retired"
