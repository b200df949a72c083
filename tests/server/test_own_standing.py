"""Whether a server whose own certificate counts no more changes the view."""

from __future__ import annotations

from collections.abc import Callable

from bankrmi.coordination.coordinator import Expected, OnSilence
from bankrmi.replication.view import View
from bankrmi.server.own_standing import OwnStanding
from tests.coordination.views import both, first


class Keeper:
    """A keeper that lets everything win."""

    def __init__(self) -> None:
        self.view: View | None = None

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


def test_who_counts_no_more_proposes_nothing_and_reads_on() -> None:
    keeper, reasons, silences, seen = Keeper(), [""], [], []
    ours = OwnStanding(keeper, lambda: reasons[-1])

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
