"""How many calls does a daemon answer for a second of its CPU, ours and Pyro5's multiplex one?

The callers are sockets that send one prepared call each and wait for the answer (`load/echo.py`); `32x1` is
32 of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from bankrmi.bench.bank import own_folder
from bankrmi.bench.children import Children, python
from bankrmi.bench.figures import Finding
from bankrmi.bench.rows.row import Row, RowOptions, shapes_of
from bankrmi.diagnosis.usage import cpu_seconds
from bankrmi.errors import OperationFailed

__all__ = ["DAEMON"]

_DAEMONS = {
    "bankrmi": python("bankrmi.bench.load.echo", "serve"),
    "Pyro5 multiplex": python("bankrmi.bench.load.pyro5", "multiplex"),
}
_WARM_S = 0.3


def _daemon(asked: RowOptions) -> Iterator[Finding]:
    """Yield calls for a second of the daemon's CPU, and for one of the clock."""
    for shape in shapes_of(asked):
        yield from _with(shape.clients, asked)


def _with(connections: int, asked: RowOptions) -> Iterator[Finding]:
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in _DAEMONS}
    with own_folder() as folder:
        children = Children(folder)
        try:
            for number in range(1, asked.rounds + 1):
                for name in _DAEMONS:
                    asked.progress.show(f"daemon: {name}, round {number} of {asked.rounds}")
                    figures[name].append(_round(children, name, connections, asked.seconds))
        finally:
            children.stop()
    for name, found in figures.items():
        by_cpu, by_clock = zip(*found, strict=True)
        what = f"{connections} connections: {name}"
        yield Finding(row="daemon", what=what, unit="calls a CPU second", values=by_cpu)
        yield Finding(row="daemon", what=what, unit="calls/s", values=by_clock)


def _round(children: Children, name: str, connections: int, seconds: float) -> tuple[float, float]:
    served = children.start("daemon", _DAEMONS[name], speaks=True)
    assert served.stdout is not None
    uri = served.stdout.readline().decode().rpartition(" ")[2].strip()
    if not uri:
        raise OperationFailed(f"{name}: {children.last_words('daemon')}")
    _call(children, uri, connections, _WARM_S)
    before = cpu_seconds(served.pid)
    answered = _call(children, uri, connections, seconds)
    used = max(0.01, cpu_seconds(served.pid) - before)
    children.end("daemon")
    return answered / used, answered / seconds


def _call(children: Children, uri: str, connections: int, seconds: float) -> int:
    command = python("bankrmi.bench.load.echo", "call", uri, str(connections), str(seconds))
    caller = children.start("caller", command, speaks=True)
    assert caller.stdout is not None
    line = caller.stdout.readline()
    children.end("caller")
    if not line:
        raise OperationFailed(children.last_words("caller"))
    return int(json.loads(line))


DAEMON = Row(measure=_daemon, parts=("32x1",), shapes=True)
