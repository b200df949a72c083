"""Ctrl-C while a class is tried in this process: it is not taken for what came of a method."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import bankrmi
from bankrmi.cli.interruption import Interrupted, interruptible
from bankrmi.patient_handlers import patient, with_patient_handlers
from bankrmi.testing import simulate
from tests.service import ringing
from tests.service.copies import Copy


class Slow(bankrmi.Service):
    """Is interrupted in whatever it does."""

    def create(self) -> None:
        """It has no tables."""

    @bankrmi.update
    def put(self) -> None:
        ringing.interrupt()
        ringing.heard.append("its end")

    @bankrmi.update
    def catch_all(self) -> None:
        try:
            ringing.interrupt()
        except BaseException:
            ringing.heard.append("caught")
        ringing.heard.append("its end")

    @bankrmi.update
    def twice(self) -> None:
        ringing.interrupt()
        ringing.interrupt()
        ringing.heard.append("its end")

    @bankrmi.query
    def get(self) -> None:
        ringing.interrupt()
        ringing.heard.append("its end")


class PlainSlow:
    """Is not: the model that it is held against."""

    def put(self) -> None: ...
    def catch_all(self) -> None: ...
    def twice(self) -> None: ...
    def get(self) -> None: ...


class Stopped(KeyboardInterrupt):
    """What the handler of these tests raises."""


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    def stop(_number: int, _: FrameType | None) -> None:
        raise Stopped

    before = signal.signal(signal.SIGINT, patient(stop))
    ringing.heard.clear()
    copy = Copy(tmp_path / "bank.db", Slow)
    yield copy
    copy.journal.close(writes=False)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("name", ["put", "catch_all"])
def test_a_method_comes_to_its_end_and_then_whoever_tried_it_is_interrupted(copy: Copy, name: str) -> None:
    with pytest.raises(Stopped):
        copy.call(name)
    assert ringing.heard == ["its end"]


def test_a_query_likewise(copy: Copy) -> None:
    with pytest.raises(Stopped):
        copy.ask("get")
    assert ringing.heard == ["its end"]


def test_who_says_it_twice_does_not_wait_for_the_method(copy: Copy) -> None:
    with pytest.raises(Stopped):
        copy.call("twice")
    assert ringing.heard == []


@pytest.mark.parametrize("model", [None, PlainSlow], ids=["itself", "plain"])
def test_a_simulation_ends_by_it_and_tells_no_violation(model: Callable[[], object] | None) -> None:
    """With the handler that Python has by itself, as in pytest, and with that of the commands."""

    def workload(_chance: Any, slow: Any) -> Any:
        return slow.put()

    with pytest.raises(KeyboardInterrupt):
        simulate(Slow, workload, model=model, seeds=range(3), seconds=3)
    with pytest.raises(Interrupted), interruptible():
        simulate(Slow, workload, model=model, seeds=range(3), seconds=3)


def test_outside_of_a_method_nothing_waits() -> None:
    with pytest.raises(KeyboardInterrupt), with_patient_handlers():
        ringing.interrupt()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
