"""Whether a server whose own certificate counts no more changes the view."""

from __future__ import annotations

from collections.abc import Callable

from bankrmi.coordination.coordinator import Expected, OnSilence
from bankrmi.replication.view import View
from bankrmi.server.own_standing import OwnStanding
from tests.coordination.views import first


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
