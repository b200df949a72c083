"""A server that runs a class wrongly, on all copies alike, is found by what the class comes to by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bankrmi.errors import InvalidRequest
from bankrmi.robustness.mutants.mutant import Patch, in_place
from bankrmi.robustness.services.seeds import DURATION_MS, made_up_workload
from bankrmi.robustness.simulator.simulation import SimulationResult, simulate
from bankrmi.server.service_object import ServiceObject
from bankrmi.service import running
from bankrmi.service.calls import Called, Raised
from bankrmi.service.machine import ServiceMachine, Told
from bankrmi.service.running import Runner

VALUE, RUN, READ, RAISED = Runner._value, Runner.run, ServiceMachine.read, running._raised


def _wrong_result(self: Runner, service: Any, method: Any, call: Called) -> Any:
    value = VALUE(self, service, method, call)
    return value + 1 if type(value) is int and method.is_update and value > 10 else value


def _wrong_query(self: Runner, service: Any, method: Any, call: Called) -> Any:
    value = VALUE(self, service, method, call)
    return value[1:] if type(value) is list and not method.is_update else value


def _wrong_error(error: BaseException, module: Any) -> Raised:
    made = RAISED(error, module)
    return Raised("RuntimeError", "builtins", made.words, None) if made.name == "MadeUpRefusal" else made


def _declared_error(error: BaseException, module: Any) -> Raised:
    made = RAISED(error, module)
    return Raised("MadeUpRefusal", "made_up", made.words, None) if made.name == "KeyError" else made


def _out_of_memory(error: BaseException, module: Any) -> Raised:
    return Raised("MemoryError", "builtins", "", None)


def _lost(self: Runner, call: Called, moment: Any, **more: Any) -> Any:
    """It says what came of it, and has done nothing."""
    if moment is None:
        return RUN(self, call, moment, **more)
    database = self.tables._database
    database.execute("SAVEPOINT lost")
    try:
        return RUN(self, call, moment, **more)
    finally:
        database.execute("ROLLBACK TO lost")
        database.execute("RELEASE lost")


def _twice(self: Runner, call: Called, moment: Any, **more: Any) -> Any:
    value = RUN(self, call, moment, **more)
    if moment is not None:
        RUN(self, call, moment, **more)
    return value


def _stale(self: ServiceMachine, query: Called) -> Told | Raised:
    """What was answered once is answered again, whatever has changed."""
    kept: dict[str, Any] = self.__dict__.setdefault("told_before", {})
    told: Told | Raised = kept.setdefault(repr(query), READ(self, query))
    return told


def _takes_nothing(self: ServiceObject, name: Any, kind: Any, args: Any, kwargs: Any) -> Any:
    raise InvalidRequest("no such method")


@pytest.mark.parametrize(
    ("owner", "name", "lie", "seed", "words"),
    [
        (Runner, "_value", _wrong_result, 1, "; MadeUpModel1 by itself returns"),
        (Runner, "_value", _wrong_query, 0, "; it was [["),
        (running, "_raised", _wrong_error, 0, "raised RuntimeError: "),
        (running, "_raised", _declared_error, 1, "raised MadeUpRefusal: "),
        (running, "_raised", _out_of_memory, 0, "raised MemoryError; MadeUp0 by itself raises "),
        (Runner, "run", _lost, 0, "s1 lacks ("),
        (Runner, "run", _twice, 0, "in table tally, which MadeUp0 by itself does not"),
        (ServiceMachine, "read", _stale, 0, "; it was [["),
        (ServiceObject, "bound", _takes_nothing, 0, "is cancelled, and nobody was asking for its outcome"),
    ],
)
def test_a_lie_is_found(owner: Any, name: str, lie: Callable[..., Any], seed: int, words: str) -> None:
    with in_place((Patch(owner, name, lie),)):
        result = _in_a_world(seed)
    assert result.failure is not None
    assert result.failure.kind == "safety"
    assert words in str(result.failure)


@pytest.mark.parametrize("seed", range(3))
def test_where_nobody_lies_nothing_is_found(seed: int) -> None:
    assert _in_a_world(seed).failure is None


def _in_a_world(seed: int) -> SimulationResult:
    return simulate(seed, workload=made_up_workload(seed), duration_ms=DURATION_MS)
