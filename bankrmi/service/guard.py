"""What a copy may not go by: clocks, chance, the network, files. Each differs from one copy to another.

While an update runs, the functions of the standard library that tell time, or draw, raise `Undetermined`, with the line of
the class and what to use instead; an audit hook does so for files, sockets, processes and threads.

Rule 1: outside of an update all of them are as they always are.
Rule 2: a name that the module of the class has taken for itself (`from time import time`) is found when it is loaded.
Assumption: what gets past this is seen by the digests (see `changes`): copies that differ stop.
"""

from __future__ import annotations

import os
import random
import secrets
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from bankrmi.errors import ConfigurationError

__all__ = ["Undetermined", "check_names", "determined"]

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
)
_DRAWS = (
    "random",
    "randint",
    "randrange",
    "choice",
    "choices",
    "sample",
    "shuffle",
    "uniform",
    "gauss",
    "getrandbits",
    "randbytes",
    "seed",
    "SystemRandom",
)
_SECRETS = ("token_bytes", "token_hex", "token_urlsafe", "randbelow", "choice", "randbits")
_REFUSED: tuple[tuple[ModuleType, tuple[str, ...], str], ...] = (
    (time, _CLOCKS, "self.now"),
    (time, ("sleep",), "nothing: an update waits for nothing"),
    (random, _DRAWS, "self.random"),
    (secrets, _SECRETS, "self.random"),
    (uuid, ("uuid1", "uuid4"), "self.new_id()"),
    (os, ("urandom", "getpid", "getrandom"), "self.random"),
)
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
_THREADS = "_thread.start_new_thread"


class Undetermined(Exception):
    """An update wanted something that differs from one copy to another."""


_inside: list[str] = []
"""The module of the class whose update runs now; nothing, if none does."""
_hooked = False


def _refusing(what: str, instead: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise Undetermined(f"{_place()}{what} differs from one copy to another: use {instead}")

    return refuse


_REPLACED = [
    (module, name, getattr(module, name), _refusing(f"{module.__name__}.{name}", instead))
    for module, names, instead in _REFUSED
    for name in names
    if hasattr(module, name)
]


def _place() -> str:
    """Return where the class is just now: "inventory.py, line 12: "; nothing if it is not to be seen."""
    frame = sys._getframe(1)
    module = _inside[-1] if _inside else ""
    while frame is not None:
        if frame.f_globals.get("__name__") == module:
            return f"{os.path.basename(frame.f_code.co_filename)}, line {frame.f_lineno}: "
        frame = frame.f_back  # type: ignore[assignment]
    return ""


@contextmanager
def determined(module: str) -> Iterator[None]:
    """Refuse all of that to a class of this module, until the context ends."""
    _hook()
    for place, name, _, refusal in _REPLACED:
        setattr(place, name, refusal)
    _inside.append(module)
    try:
        yield
    finally:
        _inside.pop()
        for place, name, original, _ in _REPLACED:
            setattr(place, name, original)


def _hook() -> None:
    global _hooked  # noqa: PLW0603 - a hook cannot be taken out again, and one is enough
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
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__") in (
            "importlib._bootstrap",
            "_frozen_importlib",
            "linecache",
            "traceback",
        ):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def check_names(module: ModuleType) -> None:
    """Raise ConfigurationError if the module has one of the functions that are refused under a name of its own."""
    originals = {id(original): (place.__name__, name) for place, name, original, _ in _REPLACED}
    for name, value in vars(module).items():
        found = originals.get(id(value))
        if found is not None:
            raise ConfigurationError(
                f"{module.__name__} has taken {found[0]}.{found[1]} as `{name}`, which differs from one copy to "
                "another, and cannot be watched there: import the module itself, and use what the service gives"
            )
