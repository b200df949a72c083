"""The keeper of the view as a server asks it; how it is followed elsewhere is tried in `test_moving`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bankrmi.config import Configuration
from bankrmi.coordination import movable_keeper
from bankrmi.coordination.coordinator import Expected, OnSilence
from bankrmi.coordination.movable_keeper import MovableKeeper
from bankrmi.replication.view import View
from tests.coordination.views import both, first


class Keeper:
    """A keeper that lets everything win."""

    def __init__(self) -> None:
        self.view: View | None = None
        self.on_met = self.on_moved = lambda *_: None

    def read(self, on_answer: Callable[[View | None], None], _: OnSilence) -> None:
        on_answer(self.view)

    def propose(
        self, _: Expected, view: View, on_answer: Callable[[View | None, bool], None], __: OnSilence
    ) -> None:
        self.view = view
        on_answer(view, True)

    def history(self, _: Expected, on_answer: Callable[[list[View]], None], __: OnSilence) -> None:
        on_answer([] if self.view is None else [self.view])

    def close(self) -> None:
        pass


def test_whose_certificate_counts_no_more_proposes_nothing_and_reads_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, reasons, silences, seen = Keeper(), [""], [], []
    monkeypatch.setattr(movable_keeper, "coordinator_of", lambda *_: keeper)
    servers = {"s1": "127.0.0.1:2", "s2": "127.0.0.1:3"}
    configuration = Configuration(path=tmp_path / "none", nameserver="127.0.0.1:1", servers=servers)
    ours = MovableKeeper(configuration, {}, lambda: reasons[-1])

    def propose(view: View) -> None:
        ours.propose(None, view, lambda now, won: seen.append((now, won)), lambda *why: silences.append(why))

    propose(first())
    assert (seen, silences) == ([(first(), True)], [])
    reasons.append("its certificate has ended")
    propose(both())
    assert silences == [("its certificate has ended", False)], "nothing was sent, so nothing can win yet"
    assert keeper.view == first()
    ours.read(lambda view: seen.append((view, False)), lambda *why: silences.append(why))
    assert seen[-1] == (first(), False)
    reasons.append("")
    propose(both())
    assert seen[-1] == (both(), True)
    assert len(silences) == 1
