"""What the nemesis did, from when to when; kept for the report, and in a file as it goes.

    {"kind":"cut","target":"s1","toward":"s2","both_ways":true,"was":"primary","from_ns":…,"to_ns":…,"note":""}

Rule: a fault is written when it is over, so that its line never has to be changed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bankrmi.robustness.chaos.recorded import Fault, FaultKind

__all__ = ["FaultLog"]


class FaultLog:
    """All faults of a run."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("x", encoding="utf-8")
        self._begun = 0
        self.faults: list[Fault] = []
        self.under_way = 0
        self.last_ended_ns = 0
        self.last_took_ns = 0

    @contextmanager
    def fault(self, kind: FaultKind, target: str, **more: Any) -> Iterator[dict[str, Any]]:
        """Note a fault that lasts as long as the context; `more` are fields of it, to be changed in it."""
        from_ns = time.monotonic_ns()
        self._begun += 1
        self.under_way += 1
        try:
            yield more
        finally:
            self.under_way -= 1
            fault = Fault(kind=kind, target=target, from_ns=from_ns, to_ns=time.monotonic_ns(), **more)
            self._end(fault)

    def _end(self, fault: Fault) -> None:
        self.faults.append(fault)
        self.last_ended_ns, self.last_took_ns = fault.to_ns, fault.to_ns - fault.from_ns
        self._file.write(json.dumps(asdict(fault) | {"kind": fault.kind.value}) + "\n")
        self._file.flush()

    @property
    def count(self) -> int:
        """How many have begun."""
        return self._begun

    def is_quiet(self) -> bool:
        """Whether nothing is under way, nor so fresh that something it held back may still arrive.

        TCP sends again what was lost, after pauses that double: what was cut off may arrive as long after the
        cut as the cut lasted.
        """
        past_ns = time.monotonic_ns() - self.last_ended_ns
        return self.under_way == 0 and past_ns > self.last_took_ns + 1_000_000_000

    def close(self) -> None:
        """Close the file."""
        self._file.close()
