"""The table of rows of classes, beside their methods; and what such a row is handed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bankrmi.bench.figures import Finding
from bankrmi.bench.rows.across import across
from bankrmi.bench.rows.beside import beside
from bankrmi.bench.rows.class_failover import class_failover
from bankrmi.bench.rows.failover import FAILOVER_KINDS
from bankrmi.bench.telling import ProgressDisplay

if TYPE_CHECKING:
    from bankrmi.bench.class_plan import ClassPlan
    from bankrmi.bench.systems.our_class import OurClass

__all__ = ["CLASS_ROWS", "ClassRow", "ClassRowOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRowOptions:
    """How much of it, on which servers, and where to tell how far it is."""

    plan: ClassPlan
    system: OurClass
    """Servers that run, with what the rows before have left; a row may start others."""
    parts: tuple[str, ...]
    """Never empty where the row says which are usual."""
    progress: ProgressDisplay

    @property
    def failovers(self) -> int:
        """How often each fault is done."""
        return self.plan.failovers

    @property
    def servers(self) -> int:
        """How many there are."""
        return self.plan.servers


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """What a row measures, and of what parts: `failover:kill` asks for one of them."""

    measure: Callable[[ClassRowOptions], Iterator[Finding]]
    parts: tuple[str, ...] = ()
    """None: its parts are methods."""
    usual: tuple[str, ...] = ()
    """Those that are measured if none is named; of methods, the row finds them."""
    of_several: bool = False
    """Whether it is of several services in one pair."""
    own_servers: bool = False
    """Whether it starts servers of its own, which nobody else is to disturb."""


CLASS_ROWS = {
    "across": ClassRow(measure=across, of_several=True),
    "beside": ClassRow(measure=beside, of_several=True),
    "failover": ClassRow(
        measure=class_failover, parts=tuple(FAILOVER_KINDS), usual=("kill",), own_servers=True
    ),
}
