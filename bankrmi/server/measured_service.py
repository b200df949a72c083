"""A service whose calls are measured: what the newest one took is what a group reckons with (see `groups`).
What a method raises and does not declare is told in the log, with its line: whoever wrote it has to mend it.

Rule: nothing is decided here; that a group has been long enough is for the rules to say.
Assumption: a standby takes about as long for a call as the primary did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import structlog

from bankrmi.line_budget import LineBudget
from bankrmi.server.method_figures import MethodFigures
from bankrmi.service.calls import Called, Raised
from bankrmi.service.declaring import Description
from bankrmi.service.machine import ServiceMachine, Told
from bankrmi.service.served_services import ServedServices, plain_name
from bankrmi.storage.state_machine import Moment

__all__ = ["CallCosts", "MeasuredService"]

log = structlog.get_logger("bankrmi.server")

_BURST, _EVERY_SECONDS = 5, 5.0
"""Lines for each method: callers can cause them."""


class CallCosts:
    """What the newest call that was decided here has cost, whichever copy of the state it was done on."""

    def __init__(self) -> None:
        self.took_ms = 0.0
        self.outcome_bytes = 0

    def in_bytes(self, bytes_per_ms: float) -> int:
        """Return it in the coin of groups, in which a millisecond is so many bytes."""
        return self.outcome_bytes + int(self.took_ms * bytes_per_ms)


class MeasuredService(ServiceMachine):
    """One copy of a service, whose calls are measured where they are decided."""

    def __init__(
        self,
        services: Description | ServedServices,
        costs: CallCosts,
        *,
        limit_ms: float,
        ledger: Mapping[int, int] | None = None,
        methods: MethodFigures | None = None,
    ) -> None:
        super().__init__(services, limit_ms=limit_ms, ledger=ledger)
        self._costs = costs
        self._methods = methods or MethodFigures(self._services)
        self._budget = LineBudget(_BURST, _EVERY_SECONDS)

    def apply(
        self, operations: Sequence[Any], action_id: int, moment: Moment, told: bytes | None = None
    ) -> list[Any]:
        """Run the call, and note what that took."""
        began_s = perf_counter()
        outcomes = super().apply(operations, action_id, moment, told)
        took_s = perf_counter() - began_s
        self._costs.took_ms = 1000 * took_s
        self._methods.ran(operations[0][0], took_s)
        [outcome] = outcomes
        self._costs.outcome_bytes = len(outcome if type(outcome) is bytes else outcome[1])
        return outcomes

    def read(self, query: Called) -> Told | Raised:
        """Run a query, and note what that took."""
        began_s = perf_counter()
        answer = super().read(query)
        self._methods.ran(query.method, perf_counter() - began_s)
        return answer

    def heard(self, call: Called, raised: Raised) -> None:
        """Say what a method raised that it does not declare, and where."""
        method = self._services.methods.get(call.method)
        declared = () if method is None else method.raises
        if any(kind.__qualname__ == raised.name for kind in declared) or not self._budget.allows(call.method):
            return
        left_out = self._budget.left_out()
        log.warning(
            "a method raised what it does not declare",
            **self._whose(call),
            method=self._services.in_words(call.method),
            error=f"{raised.name}: {raised.words}" if raised.words else raised.name,
            **({"at": raised.at} if raised.at else {}),
            **({"left_out": left_out} if left_out else {}),
        )

    def _whose(self, call: Called) -> dict[str, str]:
        """Return which service it was, where there are several: two of them may be of one class."""
        services = self._services
        return {"service": services.called(plain_name(call.method)[0])} if services.beside else {}
