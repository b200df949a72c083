"""A class that wants to know everything that is not the same on every copy, as people write that."""

from __future__ import annotations

import datetime as dt
import importlib
import os
import random
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from bankrmi.service import Service, query, update

__all__ = ["WAYS", "Clocks"]

WAYS: dict[str, Any] = {
    "datetime.now": lambda: datetime.now(UTC),
    "datetime.utcnow": lambda: dt.datetime.utcnow(),
    "datetime.today": lambda: datetime.today(),
    "datetime.fromtimestamp without a time zone": lambda: datetime.fromtimestamp(0),
    "time.time": lambda: date.today(),
    "time.perf_counter": lambda: time.perf_counter(),
    "time.process_time": lambda: time.process_time(),
    "random.triangular": lambda: random.triangular(),
    "random.Random without a seed": lambda: random.Random().random(),
    "os.stat": lambda: Path("x").exists(),
    "os.getcwd": lambda: Path.cwd(),
    "os.environ": lambda: os.environ["HOME"] + os.getenv("HOME", ""),
}


class Clocks(Service):
    def create(self) -> None:
        self.db.execute("CREATE TABLE seen (at TEXT PRIMARY KEY)")

    @update
    def look(self, way: str) -> str:
        return str(WAYS[way]())

    @query
    def ask(self, way: str) -> str:
        return str(WAYS[way]())

    @update
    def reckon(self) -> list[Any]:
        """All that does not look at a clock goes on as ever."""
        now: Any = self.now
        then: Any = datetime(2020, 1, 2, tzinfo=UTC)
        parsed = [datetime.fromisoformat("2020-01-02"), datetime.strptime("2020", "%Y")]
        kinds: dict[type, str] = {datetime: "a moment"}
        match then:
            case datetime():
                matched = True
        return [
            isinstance(now, datetime) and isinstance(then, dt.datetime) and matched,
            all(type(one) == datetime for one in [now, then, *parsed]),  # noqa: E721 - people do
            kinds[type(then)],
            issubclass(datetime, date) and issubclass(type(then), datetime),
            (then + dt.timedelta(days=1)).isoformat(),
            datetime.fromtimestamp(0, UTC).isoformat(),
            datetime.min < datetime.combine(date(2020, 1, 1), dt.time()) < datetime.max,
            then.strftime("%Y"),
            random.Random(7).randint(0, 9) == random.Random(7).randint(0, 9),
            isinstance(self.random, random.Random),
        ]

    @update
    def import_late(self) -> str:
        return str(importlib.import_module("late_module").ZERO)
