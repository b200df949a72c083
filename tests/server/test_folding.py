"""When a server proposes up to where sessions are over."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bankrmi.replication.events import Event, OutcomeAsked
from bankrmi.replication.sessions import HORIZON, new_session
from bankrmi.server.folding import Folder
from tests.storage.journals import decide, deposit
from tests.storage.test_folding import DAY_MS, DAY_US, fold_all, folding


class Host:
    """Leads, and decides nothing by itself; a day is enough for a session."""

    def __init__(self) -> None:
        self.now_us = 9 * DAY_US // 4
        self.taken: list[Event] = []
        self.journal = folding(operations=1, session_us=DAY_US)
        for number in range(5):
            session = new_session(DAY_MS + number * DAY_MS // 4)
            decide(self.journal, 1, (session, 1), [deposit(1, 1)], 5)
        self.journal.commit()
        fold_all(self.journal)
        view = SimpleNamespace(epoch=1)
        self.leader = SimpleNamespace(view=view, queued=0)
        self.replica: Any = SimpleNamespace(primary=self.leader, may_be_folded=0)
        self.folder = Folder(self, self, lambda: False)  # type: ignore[arg-type]

    def take(self, event: Event) -> None:
        self.taken.append(event)
        self.leader.queued += 1

    def failed(self, error: Exception) -> None:
        raise error

    def now_ms(self) -> float:
        return 0.0

    def wall_us(self) -> int:
        return self.now_us

    def after(self, *_: object) -> None:
        """The test looks."""

    def look(self, times: int = 1) -> list[int]:
        """Return which horizons are proposed meanwhile; time goes on."""
        self.taken.clear()
        for _ in range(times):
            self.folder.look()
            self.now_us += DAY_US // 64
        horizons = []
        for event in self.taken:
            assert isinstance(event, OutcomeAsked)
            assert event.request[0] == HORIZON
            horizons.append(event.request[1])
        return horizons

    def decide(self) -> None:
        """Decide what was proposed last, and all that waits."""
        event = self.taken[-1]
        assert isinstance(event, OutcomeAsked)
        self.journal.cancel(1, event.request, 1)
        self.journal.commit()
        self.leader.queued = 0


@pytest.fixture
def host() -> Host:
    return Host()


def test_while_nothing_is_decided_one_horizon_waits_and_not_one_for_each_look(host: Host) -> None:
    """A bank below `copies_min` for hours would have no room left for anybody else's requests."""
    assert len(host.look(40)) == 1
    host.decide()
    assert len(host.look(8)) == 1, "sessions have become old meanwhile"


def test_a_horizon_that_was_lost_is_proposed_again(host: Host) -> None:
    """Its leader stepped down, or had no room for it."""
    [first] = host.look(8)
    host.leader.view.epoch = 2
    [second] = host.look(8)
    assert second >= first
    host.leader.queued = 0
    assert host.look(8) != []
