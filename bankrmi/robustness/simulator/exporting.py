"""An operator who exports all accounts, simulated: production's exports, page by page, while all goes on.

Rule 1: what an export rests on counts as acknowledged when its first page leaves, as with any answer.
Rule 2: its pages together are one state: what the entries up to its action id come to.
Rule 3: of whoever leads it is a read: nothing that anybody had been told before is missing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from bankrmi.bank.accounts import Accounts
from bankrmi.errors import BankError, NotPrimary
from bankrmi.replication.record import CANCELLED, entries_of
from bankrmi.rmi.turn import Line
from bankrmi.robustness.simulator.cluster import Cluster, OtherProcess, OtherServer
from bankrmi.robustness.simulator.failure import SimulationFailure

__all__ = ["Exporter"]

PAUSES_MS = (None, None, 200, 2000)
"""The longest time between two exports; None: there are none in this world."""

PATIENCE_MS = 6000.0
"""Longer than the server has; after it, nobody is there any more."""


@dataclass(slots=True, eq=False)
class _Export:
    """One export, as the operator sees it."""

    server: OtherServer
    boot: int
    leading: bool
    floor: int
    rows: list[tuple[int, int]] = field(default_factory=list)
    expected: dict[int, int] | None = None
    is_judged: bool = True
    over: bool = False


class _Call:
    """A question for a page (see `rmi.Call`)."""

    def __init__(self, exporter: Exporter, export: _Export, *args: object) -> None:
        self.args = args
        self.asked = False
        self._exporter = exporter
        self._export = export

    @property
    def connection_lost(self) -> bool:
        return self._export.over

    def answer(self, page: Any) -> None:
        self._exporter.leaves(self._export, page)

    def fail(self, error: Exception) -> None:
        self._exporter.fails(self._export, error)


class Exporter:
    """Exports, one after the other, from any server."""

    name = "operator"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._chance = random.Random(f"exports of seed {cluster.world.seed}")
        self._pause_ms = self._chance.choice(PAUSES_MS)
        self._model = cluster.workload.model()
        self._open: _Export | None = None
        self._reckoned_to = 0  # What the entries up to here come to is in the model.
        self.done = 0
        """How many were read to their end."""
        self.errors: list[str] = []
        """Why the others were not, but for those whose server died or did not lead."""

    def begin(self) -> None:
        """Export again and again, until it is quiet."""
        if self._pause_ms is not None and isinstance(self._cluster.workload.machine(), Accounts):
            self._world.after(self._pause_ms * self._chance.random(), self._export)

    def _export(self) -> None:
        if self._world.quiet:
            return
        server = self._cluster.servers[self._chance.choice(sorted(self._cluster.servers))]
        export = _Export(server, server.boot, self._chance.random() < 0.5, self._cluster.told)
        self._open = export
        self._world.after(PATIENCE_MS, lambda: self._end(export))
        self._ask(export, None)

    def waive(self, kept: int) -> None:
        """By an operator's force only this much is left of what was acknowledged."""
        self._model, self._reckoned_to = self._cluster.workload.model(), 0
        if self._open is not None:
            self._open.floor = min(self._open.floor, kept)

    def _end(self, export: _Export) -> None:
        if not export.over:
            export.over = True
            self.begin()

    def _ask(self, export: _Export, page: object) -> None:
        server = export.server
        call = _Call(self, export, page, export.leading)

        def ask(process: OtherProcess) -> None:
            if call.asked:
                return  # A connection does not deliver it once more.
            call.asked = True
            try:
                process.exports.ask(call)  # type: ignore[arg-type]  # It is as much of a call as is wanted.
            except BankError as error:
                call.fail(error)

        def arrive() -> None:
            process = server.process
            if process is not None and server.boot == export.boot and not export.over:
                cost_ms = self._cluster.work.page_of_accounts_ms()
                process.called(self.name, Line.OURS, cost_ms, lambda: ask(process))

        what = "export all accounts" if page is None else "the next accounts?"
        self._world.send(self.name, server.name, what, arrive)

    # -- at the server ---------------------------------------------------------------------------

    def leaves(self, export: _Export, page: dict[str, Any]) -> None:
        """A page leaves a server."""
        if export.expected is None:
            self._first_leaves(export, page["action_id"], page["history"])
        what = f"accounts at {page['action_id']}"
        self._world.send(export.server.name, self.name, what, lambda: self._arrived(export, page))

    def _first_leaves(self, export: _Export, action_id: int, history: str) -> None:
        if self._cluster.is_waived(history, action_id):
            export.is_judged, export.expected = False, {}
            return  # It does not know yet that its history was left by force.
        self._cluster.shown(export.server.name, action_id)
        if export.leading and action_id < export.floor and not self._cluster.clocks_apart:
            raise SimulationFailure(
                "safety", f"an export stands at {action_id}; {export.floor} was acknowledged before"
            )
        if action_id < self._reckoned_to:
            self._model, self._reckoned_to = self._cluster.workload.model(), 0
        for entry in entries_of(self._cluster.acknowledged_records(self._reckoned_to, action_id)):
            if entry.status != CANCELLED:
                self._model.apply(entry.operation)
        self._reckoned_to = action_id
        export.expected = dict(self._model.values)

    def fails(self, export: _Export, error: Exception) -> None:
        """A server refuses."""
        self._world.send(export.server.name, self.name, str(error), lambda: self._refused(export, error))

    # -- at the operator -------------------------------------------------------------------------

    def _refused(self, export: _Export, error: Exception) -> None:
        if not export.over and not isinstance(error, NotPrimary):
            self.errors.append(f"{export.server.name}: {error}")
        self._end(export)

    def _arrived(self, export: _Export, page: dict[str, Any]) -> None:
        if export.over:
            return
        rows, following = page["balances"], page["next"]
        if rows and export.rows and rows[0][0] <= export.rows[-1][0]:
            return  # The message came twice.
        export.rows += rows
        if following is not None:
            self._ask(export, following)
            return
        if export.is_judged and dict(export.rows) != export.expected:
            shown = f"{export.server.name} exports {export.rows}"
            raise SimulationFailure(
                "safety", f"{shown}, and at {page['action_id']} they were {export.expected}"
            )
        self.done += 1
        self._end(export)
