from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Generator, Sequence
from contextlib import suppress
from importlib import import_module

import pytest
from hypothesis import settings

from bankrmi.__main__ import _import_structlog

_import_structlog()  # Without rich, as our processes do: a traceback in colour takes half a second.

from bankrmi.rmi.complaints import Complaints, complaints  # noqa: E402 - after the line above
from bankrmi.testing import running  # noqa: E402
from tests import warm  # noqa: E402
from tests.examples import USUAL_EXAMPLES  # noqa: E402

# Two cores, many processes: a deadline for each example would test the machine, not the code.
settings.register_profile("bankrmi", deadline=None, print_blob=True, max_examples=USUAL_EXAMPLES)
settings.register_profile("thorough", settings.get_profile("bankrmi"), max_examples=2000)
settings.load_profile("bankrmi")

# In the background of a script (`make test &`) Ctrl-C is ignored, also by all that is started from there.
signal.signal(signal.SIGINT, signal.default_int_handler)

# So is SIGHUP under `nohup`: what is handled here is default again in all that is started from here.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)

# Tests start hundreds of processes: with PYTHONDONTWRITEBYTECODE each would compile all of bankrmi anew,
# which takes as long as all else that it does.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


setattr(running, "Popen", warm.Popen)  # noqa: B010 - those of a `ServiceCluster`, too; mypy sees no export


@pytest.fixture(autouse=True)
def _as_if_it_were_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the BANKRMI_* variables of whoever runs it, nor on what the tests before it logged.

    One fixture: thousands of tests take a millisecond, and each fixture a tenth of that.
    """
    for variable in [name for name in os.environ if name.startswith("BANKRMI_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setattr(complaints, "_budget", Complaints()._budget)


@pytest.fixture
def starting_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that our code starts in this process, be it with asyncio, are forked, too."""
    monkeypatch.setattr(subprocess, "Popen", warm.Popen)


_BEGIN_FIRST = (
    "tests/test_pages.py::test_everything_shown_happens",
    "tests/robustness/test_chaos.py::",
    "tests/system/test_disks_taken_away.py::test_a_server_whose_database_cannot_be_synced",
    "tests/system/test_by_hand.py::",
    "tests/system/test_doctor.py::",
    "tests/system/test_rolling_upgrade.py::",
    "tests/console/test_in_browser.py::",
    "tests/robustness/test_power_loss_states.py::",
    "tests/testing/test_page.py::",
)
"""Each takes a quarter of a minute or more: at the end of a run they would keep one worker busy alone."""
_LONG_SECONDS = 1800
"""What takes a minute of the processor may take ten where many share it."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Make long what is beyond the first parameters of a test; have the longest ones begin first."""
    seen: Counter[str] = Counter()
    pairs: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        test = item.nodeid.partition("[")[0]
        mark = item.get_closest_marker("but_first_long")
        if mark is not None:
            seen[test] += 1
            if seen[test] > mark.args[0]:
                item.add_marker(pytest.mark.long)
        if item.get_closest_marker("each_value_once"):
            pairs[test].append(item)
    for tries in pairs.values():
        for item in _with_a_value_tried_before(tries):
            item.add_marker(pytest.mark.long)
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_LONG_SECONDS))
    items.sort(key=lambda item: not item.nodeid.startswith(_BEGIN_FIRST))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Thousands of tests are made, none of them garbage: to look for some takes a tenth of the time."""
    gc.disable()
    try:
        _import_in_an_order_of_its_own(session.config)
        return (yield)
    finally:
        gc.enable()


def _import_in_an_order_of_its_own(config: pytest.Config) -> None:
    """Have each worker begin elsewhere among the files: in a fresh clone, where none is compiled yet, all of
    them would compile each one at the same time.  What cannot be imported is left to pytest, to say why."""
    worker, workers = os.environ.get("PYTEST_XDIST_WORKER", ""), os.environ.get("PYTEST_XDIST_WORKER_COUNT")
    if not workers or config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    files = sorted(config.rootpath.glob("tests/**/test_*.py"))
    first = len(files) * int(worker.removeprefix("gw")) // int(workers)
    for file in files[first:] + files[:first]:
        with suppress(Exception, pytest.skip.Exception):
            import_module(".".join(file.relative_to(config.rootpath).with_suffix("").parts))


def pytest_collection_finish() -> None:
    """What is here by now stays: when a test has garbage collected, only what tests made is looked at."""
    gc.freeze()


def _with_a_value_tried_before(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return those of a test that it can do without, as long as each value of each parameter is tried."""
    left, tried = list(items), set[tuple[str, int]]()
    for is_worth_it in (all, any):  # Those first that are new in everything: that takes the fewest.
        for item in list(left):
            values = _values_of(item)
            if is_worth_it(value not in tried for value in values):
                left.remove(item)
                tried.update(values)
    return left


def _values_of(item: pytest.Item) -> list[tuple[str, int]]:
    """Return which value each parameter of a test has; a value is the object that stands in its list."""
    assert isinstance(item, pytest.Function)
    return [(name, id(value)) for name, value in item.callspec.params.items()]
