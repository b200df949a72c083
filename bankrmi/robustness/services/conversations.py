"""What one client of a service does, call after call: its workload, again and again.

    def workload(chance: random.Random, inventory: Inventory):
        name = chance.choice(["apple", "pear"])
        count = yield inventory.put(name, chance.randint(1, 5))
        if count > 10:
            yield inventory.take(name, 10)

A workload yields calls, and gets what came of each: the value that was returned, or the exception that was
raised. One that makes a single call, or a list of calls, may return them instead.

Rule 1: all chance is drawn from what the workload is given, so a seed is always the same conversation.
Rule 2: an exception that it does not catch ends this run of the workload, and the next one begins.
Assumption: a workload makes calls; one that makes none in so many runs is said to be empty.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from bankrmi.errors import BankError
from bankrmi.robustness.services.wanted import CallMaker, WantedCall
from bankrmi.robustness.simulator.workload import BrokenWorkload
from bankrmi.service.declaring import Description
from bankrmi.service.served_services import ServedServices

__all__ = ["CallScript", "Conversation"]

CallScript = Callable[[random.Random, Any], Any]
"""What a user writes (see above)."""

_RUNS_WITHOUT_CALLS = 1000


class Conversation:
    """One client's."""

    def __init__(
        self,
        description: Description | ServedServices,
        workload: CallScript,
        chance: random.Random,
        *,
        whole: bool = True,
    ) -> None:
        """`whole`: calls are made with the defaults of arguments that the workload does not give."""
        self._maker = CallMaker(description, whole=whole)
        self._workload = workload
        self._chance = chance
        self._going: Iterator[Any] | None = None
        self._answer: object = None
        self._error: BaseException | None = None

    def next(self) -> WantedCall:
        """Return the next call; raises BrokenWorkload for a workload that makes none, or breaks."""
        for _ in range(_RUNS_WITHOUT_CALLS):
            wanted = self._wanted()
            if wanted is not None:
                return wanted
        raise BrokenWorkload(f"{self._name} made no call in {_RUNS_WITHOUT_CALLS} runs")

    def _wanted(self) -> WantedCall | None:
        """Return the next call of this run; None if it is over."""
        error, self._error = self._error, None
        answer, self._answer = self._answer, None
        try:
            going = self._going
            if going is None:
                going = self._going = _calls(self._workload(self._chance, self._maker))
                wanted = next(going)
            elif not isinstance(going, Generator):
                wanted = next(going)
            elif error is not None:
                wanted = going.throw(error)
            else:
                wanted = going.send(answer)
        except StopIteration:
            self._going = None
            return None
        except Exception as broken:
            self._going = None
            if broken is error:
                return None
            if isinstance(broken, BrokenWorkload):
                raise
            words = broken.message if isinstance(broken, BankError) else f"{type(broken).__name__}: {broken}"
            raise BrokenWorkload(f"{self._name} broke: {words}") from broken
        if not isinstance(wanted, WantedCall):
            raise BrokenWorkload(
                f"{self._name} yielded {wanted!r:.60}: a call is wanted, such as what {self._example} returns"
            )
        return wanted

    def returned(self, value: object) -> None:
        """The newest call returned this."""
        self._answer = value

    def raised(self, error: BaseException) -> None:
        """The newest call raised this, or nobody knows what came of it."""
        self._error = error

    @property
    def _name(self) -> str:
        return f"the workload {getattr(self._workload, '__qualname__', self._workload)}"

    @property
    def _example(self) -> str:
        return "service.method(...)"


def _calls(made: Any) -> Iterator[Any]:
    """Return the calls that a run of a workload makes."""
    if isinstance(made, WantedCall):
        return iter([made])
    if made is None:
        return iter(())
    if isinstance(made, Iterable):
        return iter(made)
    return iter([made])
