"""What differs from one copy to another is refused in an update, by its line, however it is written."""

from __future__ import annotations

import datetime
import os
import random
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from bankrmi.replication.record import unpacked
from bankrmi.robustness.services.by_itself import ServiceByItself
from bankrmi.robustness.services.outcomes import outcome_told
from bankrmi.service import ServedServices, Service, Uses, described, update
from bankrmi.service.calls import Called, Raised
from tests.service import clocks
from tests.service.clocks import WAYS, Clocks
from tests.service.copies import Copy


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    made = Copy(tmp_path_factory.mktemp("clocks") / "bank.db", Clocks)
    yield made
    made.journal.close(writes=False)


@pytest.mark.parametrize("way", WAYS)
def test_an_update_is_refused_what_differs_and_a_query_is_not(copy: Copy, way: str) -> None:
    with pytest.raises(Raised) as refused:
        copy.call("look", way)
    assert refused.value.name == "Undetermined"
    line = WAYS[way].__code__.co_firstlineno
    assert refused.value.words.startswith(
        f"clocks.py, line {line}: {way} differs from one copy to another: use "
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Since 3.12 `utcnow` is.
        assert copy.ask("ask", way)


def test_what_looks_at_no_clock_goes_on_as_ever(copy: Copy) -> None:
    assert copy.call("reckon") == [
        True,
        True,
        "a moment",
        True,
        "2020-01-03T00:00:00+00:00",
        "1970-01-01T00:00:00+00:00",
        True,
        "2020",
        True,
        True,
    ]


class Asks(Service):
    """It has another service look, whose module is another one."""

    clocks = Uses(Clocks)

    @update
    def look(self, way: str) -> str:
        return self.clocks.look(way)


@pytest.mark.parametrize("way", WAYS)
def test_another_service_is_refused_the_same_and_whoever_judges_comes_to_that(
    tmp_path: Path, way: str
) -> None:
    services = ServedServices(described(Asks), {"clocks": described(Clocks)})
    copy = Copy(tmp_path / "bank.db", services)
    record = copy.decide("look", way)
    told = outcome_told(unpacked(record.outcomes)[0])
    copy.journal.close(writes=False)
    assert f"clocks.py, line {WAYS[way].__code__.co_firstlineno}: {way} differs" in told.words
    call = Called("look", [way], {})
    assert ServiceByItself(services).update(call, (1, ("s", 1)), told).raised == told.raised == "Undetermined"


def test_afterwards_all_is_as_it_was(copy: Copy) -> None:
    with pytest.raises(Raised):
        copy.call("look", "os.environ")
    assert vars(clocks)["datetime"] is datetime.datetime
    assert type(datetime.datetime.now(datetime.UTC)) is datetime.datetime
    assert type(random.Random()) is random.Random
    assert os.environ["PATH"]


def test_a_module_that_an_update_imports_has_clocks_when_none_runs(
    copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "late_module.py").write_text(
        "import os\n"
        "from datetime import UTC, datetime\n"
        "from random import Random\n"
        "from time import time\n"
        "ZERO = 0 * time() * len(os.environ) * datetime.now(UTC).year\n"
        "def look():\n"
        "    return time() > 0 and datetime.now(UTC).year > 2000 and Random().random() < 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert copy.call("import_late") == "0.0"
    assert sys.modules["late_module"].look()
    with pytest.raises(Raised, match=r"time\.time differs"):
        copy.call("look", "time.time")
