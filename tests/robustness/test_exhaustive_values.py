"""A server as a value is the server: nothing of its memory is lost, what is forgotten is not missed."""

from __future__ import annotations

import random
from typing import Any

import pytest

from bankrmi.replication.replica import Replica
from bankrmi.robustness.exhaustive import client
from bankrmi.robustness.exhaustive import server as room
from bankrmi.robustness.exhaustive import state as at
from bankrmi.robustness.exhaustive.bank import MoveGenerator
from bankrmi.robustness.exhaustive.beginning import first_state, just_started
from bankrmi.robustness.exhaustive.bounds import SearchBounds
from bankrmi.robustness.exhaustive.disks import Content, Disks
from bankrmi.robustness.exhaustive.memory import NOW_MS
from bankrmi.robustness.exhaustive.scribe import deeds_of
from bankrmi.robustness.exhaustive.server import NAMES, Servers, start_id
from bankrmi.robustness.exhaustive.state import Label, State
from bankrmi.storage.journal import SqliteJournal

BOUNDS = SearchBounds(retries=0)
DEPTH = 6


def bank_of(bounds: SearchBounds) -> tuple[MoveGenerator, State]:
    settings, landmarks_ms, pace = bounds.timing()
    bank = MoveGenerator(Servers(settings, landmarks_ms, client.asked), pace)
    return bank, first_state(bank, bounds)


def reached(bounds: SearchBounds, depth: int) -> set[Any]:
    """Return what anyone can see of the banks that up to `depth` events lead to."""
    bank, first = bank_of(bounds)
    layer, seen, seen_by_anyone = [first], {first}, {visible(bank, first)}
    for _ in range(depth):
        layer = list({after for state in layer for _, after in bank.moves(state)} - seen)
        seen.update(layer)
        seen_by_anyone.update(visible(bank, state) for state in layer)
    return seen_by_anyone


def visible(bank: MoveGenerator, state: State) -> Any:
    """Who lives, what is on the disks, who leads which epoch, what the view is and what clients were told."""
    kept, servers = bank.servers.kept, bank.servers
    parts: list[Any] = []
    for field in at.SERVER:
        glance = servers.glances[state[field]]
        content = servers.disks[glance.disk]
        leads = kept[glance.leads].epoch if glance.leads >= 0 else 0
        parts.append((glance.alive, glance.boot, content.adopted, content.records, leads))
    view = kept[state[at.VIEW]]
    return (*parts, view.epoch, view.primary, view.in_sync, kept[state[at.ACKNOWLEDGED]], state[at.ANSWERED])


@pytest.fixture(scope="module")
def expected() -> set[Any]:
    return reached(BOUNDS, DEPTH)


@pytest.mark.parametrize("forgetting", ["forget", "surplus", "comes_too_late"])
def test_what_is_forgotten_is_not_missed(
    monkeypatch: pytest.MonkeyPatch, expected: set[Any], forgetting: str
) -> None:
    """Without it there are more states; but as many events lead to the same, as far as anyone can see."""
    monkeypatch.setattr(room, forgetting, lambda *_: 0)
    assert reached(BOUNDS, DEPTH) == expected


def test_forgetting_too_much_is_noticed(monkeypatch: pytest.MonkeyPatch, expected: set[Any]) -> None:
    """The check before can fail: here, a server forgets that it was told of the view."""

    def forgetful(replica: Replica) -> None:
        replica._viewing.view = None

    monkeypatch.setattr(room, "forget", forgetful)
    assert reached(BOUNDS, DEPTH) != expected


class Shadow:
    """A server of the same kind that is never turned into a value: it lives on, with a clock that goes on."""

    def __init__(self, place: int, servers: Servers, number: int) -> None:
        self.place = place
        self.servers = servers
        self.disks = Disks()
        content = servers.disks[servers[number].disk]
        opened = Content(content.incarnation, content.adopted, content.records)
        self.journal: SqliteJournal = self.disks.journal(self.disks.number(opened))
        self.now_ms = NOW_MS
        self.replica = self._process(servers[number].boot)

    def _process(self, boot: int) -> Replica:
        return Replica(
            self.servers._settings[self.place],
            self.journal,
            start_id=start_id(self.place, boot),
            now_ms=self.now_ms,
        )

    def crash(self) -> None:
        self.journal.discard()

    def start(self, boot: int) -> None:
        self.replica = self._process(boot)

    def take(self, before: int, happening: Any) -> list[Any]:
        """Let the same happen; return what it does."""
        server = self.servers[before]
        self.now_ms += happening[1] if happening[0] == "tick" else 0.001
        event = self.servers._event(server, happening, list(server.probes))
        deeds = deeds_of(self.replica, event, self.now_ms, self.servers.kept, self.journal.commit)
        return [deed for deed in deeds if deed]


@pytest.mark.parametrize("seed", range(12))
def test_a_server_that_is_never_a_value_does_the_same(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Along random walks, crashes and haste included; numbers of messages are left as they are."""
    monkeypatch.setattr(room, "surplus", lambda _: 0)
    bank, _ = bank_of(BOUNDS)
    state, shadows = _just_started(bank)
    chance = random.Random(seed)
    for _ in range(250):
        moves = bank.moves(state) + (bank.hasty_moves(state) if chance.random() < 0.1 else [])
        label, after = chance.choice([move for move in moves if "and crashes" not in str(move[0])])
        _follow(bank, shadows, label, state, after)
        state = after


def _just_started(bank: MoveGenerator) -> tuple[State, list[Shadow]]:
    started = list(just_started(bank, NAMES))
    started[at.ANSWERED] = 0
    started[at.CRASHES], started[at.LOSSES], started[at.RETRIES] = 3, 2, 2
    shadows = [Shadow(place, bank.servers, started[at.SERVER[place]]) for place in range(len(NAMES))]
    return tuple(started), shadows


def _follow(bank: MoveGenerator, shadows: list[Shadow], label: Label, state: State, after: State) -> None:
    if label[0] == "crashes":
        shadows[label[1]].crash()
    elif label[0] == "starts":
        shadows[label[1]].start(bank.servers.glances[after[at.SERVER[label[1]]]].boot)
    elif isinstance(label[0], int):
        place, happening = label[:2]
        before = state[at.SERVER[place]]
        outcome = bank.servers.step(before, happening)
        assert shadows[place].take(before, happening) == list(outcome.deeds), label
        content = bank.servers.disks[bank.servers[outcome.server].disk]
        journal = shadows[place].journal
        assert (journal.adopted, tuple(journal.records(0, 99))) == (content.adopted, content.records)
