"""A service on two copies that never differ: what one decides, the other follows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bankrmi.replication.record import unpacked
from bankrmi.service import ServedServices, Service
from bankrmi.service.calls import Raised, result_of
from tests.service.copies import Copy

__all__ = ["Pair"]


class Pair:
    """Two copies that never differ; times are those of the records."""

    def __init__(self, folder: Path, kind: type[Service] | ServedServices) -> None:
        self.first, self.second = Copy(folder / "a" / "db", kind), Copy(folder / "b" / "db", kind)

    def close(self) -> None:
        for copy in (self.first, self.second):
            copy.journal.close(writes=False)

    def __call__(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method, one second after the call before; raise Raised."""
        record = self.first.decide(method, *args, **kwargs)
        self.second.follow(record)
        assert self.first.state() == self.second.state()
        [outcome] = unpacked(record.outcomes)
        return result_of(outcome)

    def declines(self, error: str, method: str, *args: Any, **kwargs: Any) -> Sequence[Any] | None:
        """Call a method that raises, and changes nothing; return the arguments of what it raised."""
        return self.raised(error, method, *args, **kwargs).values

    def raised(self, error: str, method: str, *args: Any, **kwargs: Any) -> Raised:
        """Call a method that raises, and changes nothing; return what it raised."""
        before = self.first.state()
        with pytest.raises(Raised) as raised:
            self(method, *args, **kwargs)
        assert raised.value.name == error
        assert self.first.state() == before
        return raised.value
