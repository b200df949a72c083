"""What a copy may not go by: clocks, chance, the network, files. Each differs from one copy to another.

While an update runs, the functions of the standard library that tell time, or draw, raise `Undetermined`,
with the line of the class and what to use instead; an audit hook does so for files, sockets, processes and
threads.

Rule 1: outside of an update all of them are as they always are.
Rule 2: a name that the module of the class has taken for itself (`from time import time`) is found when it is
        loaded; `from datetime import datetime` is what everybody writes, and leads elsewhere meanwhile.
Assumption: what gets past this is seen by the digests (see `changes`): copies that differ stop.
"""

from __future__ import annotations

import datetime
import os
import random
import secrets
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from bankrmi.errors import ConfigurationError
from bankrmi.service.watched_types import watched_datetime, watched_random

__all__ = ["Undetermined", "check_names", "watched", "within"]

_CLOCKS = (
    "time",
    "time_ns",
    "monotonic",
    "monotonic_ns",
    "perf_counter",
    "perf_counter_ns",
    "localtime",
    "gmtime",
    "ctime",
    "process_time",
    "process_time_ns",
    "thread_time",
    "thread_time_ns",
    "clock_gettime",
    "clock_gettime_ns",
)
_DRAWS = tuple(name for name in random.__all__ if name != "Random")
_SECRETS = tuple(name for name in secrets.__all__ if name != "compare_digest")
_OF_THE_MACHINE = (
    *("stat", "lstat", "getcwd", "getenv", "uname", "getlogin"),
    *("getppid", "times", "getloadavg", "cpu_count"),
)
_REFUSED: tuple[tuple[ModuleType, tuple[str, ...], str], ...] = (
    (time, _CLOCKS, "self.now"),
    (time, ("sleep",), "nothing: an update waits for nothing"),
    (random, _DRAWS, "self.random"),
    (secrets, _SECRETS, "self.random"),
    (uuid, ("uuid1", "uuid4", "uuid6", "uuid7", "getnode"), "self.new_id()"),
    (os, ("urandom", "getpid", "getrandom"), "self.random"),
    (os, _OF_THE_MACHINE, "arguments"),
)
_ENDING: tuple[tuple[ModuleType, tuple[str, ...]], ...] = (
    (os, ("_exit", "abort", "kill", "killpg", "fork", "forkpty")),
    (signal, ("signal", "alarm", "setitimer", "raise_signal", "pthread_kill")),
)
"""What a method could end, or hold up, the whole server with; refused to queries, too."""
_AUDITED = (
    "open",
    "socket.",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.listdir",
    "os.remove",
)
_IMPORTING = frozenset({"importlib._bootstrap", "_frozen_importlib", "linecache", "traceback"})
_THREADS = "_thread.start_new_thread"


class Undetermined(Exception):
    """An update wanted something that differs from one copy to another."""


_methods: list[str] = []
"""The module of the class of which a method runs now; nothing, if none does."""
_inside: list[str] = []
"""The same, if that is an update."""
_hooked = False

_Replaced = tuple[ModuleType, str, Any, Any]
"""Where, under which name, what is there, and what is there while a method runs."""


def _refusing(original: Callable[..., Any], sentence: str, running: list[str]) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        caller = sys._getframe(1).f_globals.get("__name__")
        if caller != "logging":  # Which dates its lines, and tells them to people.
            _refuse(sentence, running)
        return original(*args, **kwargs)

    return refuse


def _refuse(sentence: str, running: list[str] = _inside) -> None:
    """Raise Undetermined if such a method runs, and nothing is imported.

    What is imported then keeps what it has found here, and uses it later.
    """
    if running and not _imports():
        raise Undetermined(f"{_place()}{sentence}")


def _differs(what: str, instead: str) -> str:
    return f"{what} differs from one copy to another: use {instead}"


def _tell(what: str, instead: str) -> None:
    """Be told what somebody wants, whether an update runs or not."""
    _refuse(_differs(what, instead))


class _WatchedEnvironment(Mapping[str, str]):
    """What stands for `os.environ`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def __getitem__(self, name: str) -> str:
        _tell("os.environ", "arguments")
        return self._environment[name]

    def __iter__(self) -> Iterator[str]:
        _tell("os.environ", "arguments")
        return iter(self._environment)

    def __len__(self) -> int:
        _tell("os.environ", "arguments")
        return len(self._environment)


def _replaced(
    module: ModuleType, names: tuple[str, ...], sentence: Callable[[str], str], running: list[str]
) -> list[_Replaced]:
    found = [(name, getattr(module, name)) for name in names if hasattr(module, name)]
    return [
        (module, name, original, _refusing(original, sentence(f"{module.__name__}.{name}"), running))
        for name, original in found
    ]


_OF_ALL: list[_Replaced] = [
    one
    for module, names in _ENDING
    for one in _replaced(module, names, "{} is not for a method of a service".format, _methods)
]
_OF_UPDATES: list[_Replaced] = _OF_ALL + [
    one
    for module, names, instead in _REFUSED
    for one in _replaced(module, names, partial(_differs, instead=instead), _inside)
]
_STAND_INS: list[_Replaced] = [
    (datetime, "datetime", datetime.datetime, watched_datetime(_tell)),
    (random, "Random", random.Random, watched_random(_tell)),
    (os, "environ", os.environ, _WatchedEnvironment(os.environ)),
]

_Place = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


def _by_place(replaced: list[_Replaced]) -> list[_Place]:
    """Return the names of each module, what they refuse with, and what they are: changed at once, in C."""
    places: dict[str, _Place] = {}
    for module, name, original, refusal in replaced:
        _, refusals, originals = places.setdefault(module.__name__, (vars(module), {}, {}))
        refusals[name], originals[name] = refusal, original
    return list(places.values())


_PLACES_OF_ALL, _PLACES_OF_UPDATES = _by_place(_OF_ALL), _by_place(_OF_UPDATES + _STAND_INS)
_taken: dict[str, _Place] = {}
"""Of modules of classes: what they have taken of those for which something stands in."""


def _places(module: str) -> list[_Place]:
    """Return what is changed while an update of a class of this module runs."""
    names = vars(sys.modules[module]) if module in sys.modules else {}
    taken = _taken.get(module)
    if taken is None or taken[0] is not names:
        stand_ins = {id(original): stands for _, _, original, stands in _STAND_INS}
        found = {name: value for name, value in names.items() if id(value) in stand_ins}
        taken = _taken[module] = names, {name: stand_ins[id(value)] for name, value in found.items()}, found
    return [*_PLACES_OF_UPDATES, taken]


def _place() -> str:
    """Return where the class is just now: "inventory.py, line 12: "; nothing if it is not to be seen."""
    for frame in _frames():
        if _inside and frame.f_globals.get("__name__") == _inside[-1]:
            return f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}: "
    return ""


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


@contextmanager
def watched(module: str, *, is_update: bool) -> Iterator[None]:
    """Refuse all of that to a method of a class of this module, until the context ends; to a query,
    little."""
    places = _places(module) if is_update else _PLACES_OF_ALL
    _methods.append(module)
    if is_update:
        _hook()
        _inside.append(module)
    for names, refusals, _ in places:
        names.update(refusals)
    try:
        yield
    finally:
        for names, _, originals in places:
            names.update(originals)
        _methods.pop()
        if is_update:
            _inside.pop()


@contextmanager
def within(module: str) -> Iterator[None]:
    """What is refused now is said to be of this module, which an update calls into, until the context
    ends."""
    if not _inside:  # A query runs: its own lines are not looked for either.
        yield
        return
    is_there_already = module in _inside
    _inside.append(module)
    *_, (names, refusals, originals) = _places(module)
    names.update(refusals)
    try:
        yield
    finally:
        if not is_there_already:
            names.update(originals)
        _inside.pop()


def _hook() -> None:
    global _hooked
    if not _hooked:
        _hooked = True
        sys.addaudithook(_audit)


def _audit(event: str, _args: tuple[Any, ...]) -> None:
    if not _inside or not (event.startswith(_AUDITED) or event == _THREADS) or _imports():
        return
    what = "a thread" if event == _THREADS else "a file" if event == "open" else event
    raise Undetermined(
        f"{_place()}{what} is not the same on every copy: an update goes by its arguments and self.db"
    )


def _imports() -> bool:
    """Whether this is the import of a module, which the class may do where it likes."""
    return any(frame.f_globals.get("__name__") in _IMPORTING for frame in _frames())


def check_names(module: ModuleType) -> None:
    """Raise ConfigurationError if the module has one of the functions that are refused under a name of its
    own."""
    originals = {id(original): (place.__name__, name) for place, name, original, _ in _OF_UPDATES}
    for name, value in vars(module).items():
        found = originals.get(id(value))
        if found is not None:
            raise ConfigurationError(
                f"{module.__name__} has taken {found[0]}.{found[1]} as `{name}`, which differs from one copy "
                "to another and cannot be watched there: import the module, and use what the service gives"
            )
