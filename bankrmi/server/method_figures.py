"""How often each method of what is served was run on this server, and for how long: whose the one thread is.

Rule 1: methods are those that the classes have here, so many of them at most; all others together are one
        more. Whatever callers send, and whatever a journal holds, makes no new one.
Rule 2: a run counts wherever it is: an update's on every copy, a query's where it is answered.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bankrmi.service.served_services import ServedServices, qualified

__all__ = ["METHODS_AT_MOST", "OTHER", "MethodFigures"]

METHODS_AT_MOST = 500
OTHER = "(other)"
"""No method is called so."""


class MethodFigures:
    """Those of one server."""

    def __init__(self, services: ServedServices) -> None:
        self._of: dict[str, list[float]] = {}
        self._labels: dict[str, tuple[str, ...]] = {}
        several = bool(services.beside)
        for service, one in services.each():
            for method in sorted(one.methods):
                if len(self._of) < METHODS_AT_MOST:
                    name = qualified(service, method)
                    self._of[name] = [0, 0.0]
                    self._labels[name] = (services.called(service), method) if several else (method,)
        self._others: list[float] = [0, 0.0]
        self._other = (OTHER,) * (2 if several else 1)

    @property
    def labels(self) -> Mapping[str, Collection[str]]:
        """Each label with all values that there can be."""
        known = [*self._labels.values(), self._other]
        names = ("service", "method")[-len(self._other) :]
        return {name: tuple(dict.fromkeys(one[at] for one in known)) for at, name in enumerate(names)}

    def ran(self, method: str, seconds: float) -> None:
        """Count one run of a method, which is called as the journal calls it."""
        figures = self._of.get(method, self._others)
        figures[0] += 1
        figures[1] += seconds

    def runs(self) -> Mapping[tuple[str, ...], float]:
        """Return how many there were, by the labels."""
        return self._by_labels(0)

    def seconds(self) -> Mapping[tuple[str, ...], float]:
        """Return how long they took, by the labels."""
        return self._by_labels(1)

    def _by_labels(self, at: int) -> Mapping[tuple[str, ...], float]:
        found = {self._labels[name]: figures[at] for name, figures in self._of.items()}
        return {**found, self._other: self._others[at]}
