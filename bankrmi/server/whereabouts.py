"""Where every server of the bank lives, as one process knows it now: from its file first, then from the view.

Rule: whoever needs an address asks here each time, and keeps none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from bankrmi.metrics.measure import LiveNames

__all__ = ["Whereabouts"]


class Whereabouts(Mapping[str, str]):
    """Name and address of every server, this one included while it is one (V12)."""

    def __init__(self, server: str, addresses: Mapping[str, str]) -> None:
        """`server` is this one."""
        self._server = server
        self._own = addresses[server]
        self._addresses = dict(addresses)
        self._others = frozenset(addresses) - {server}
        self.others: Collection[str] = LiveNames(lambda: self._others)
        """The names of all but this one, whoever they are by now."""
        self.on_change: Callable[[], None] = lambda: None
        """Called after every change."""

    def reach(self, others: Mapping[str, str]) -> None:
        """These are the others from now on."""
        self._addresses = {self._server: self._own, **others}
        self._others = frozenset(others) - {self._server}
        self.on_change()

    def __getitem__(self, server: str) -> str:
        return self._addresses[server]

    def __iter__(self) -> Iterator[str]:
        return iter(self._addresses)

    def __len__(self) -> int:
        return len(self._addresses)
