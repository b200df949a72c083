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

from bankrmi.service.calls import Raised
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
