"""Does to a database, and to those who use it, what the schedule says, and takes it back.

Rule 1: whatever a fault did is taken back when its time is over, or when the run ends, whichever is first.
Rule 2: a fault that finds nobody to hit hits nobody: it is not counted.
Rule 3: no disk is lost. What a database has written and synced it finds again; what it had not is lost with
        the machine's memory only, and nobody here takes that away.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Any, assert_never

from bankrmi.patroni.descent import Descendant, signal_all
from bankrmi.patroni.members import DATABASES, ETCD_MEMBERS
from bankrmi.relays import Way
from bankrmi.robustness.chaos.bank import WITNESS
from bankrmi.robustness.chaos.clients import Clients
from bankrmi.robustness.chaos.crowds import Crowds
from bankrmi.robustness.chaos.fault_log import FaultLog
from bankrmi.robustness.chaos.nemesis import ways_between
from bankrmi.robustness.chaos.recorded import FaultKind
from bankrmi.robustness.chaos.storms import Planned, pass_through, until
from bankrmi.robustness.engine.bank import EngineBank, EngineSituation
from bankrmi.robustness.engine.schedule import EngineAim, engine_storms

__all__ = ["EngineNemesis"]

_TICK_S = 0.02
_CALM_AT_MOST_S = 25.0
_BETWEEN_LOOKS_S = 0.3
_LOOK_S = 1.0
_LEAVE_AT_MOST_S = 15.0
_CROWD_AT_LEAST_MS = 500
_PARTS = {EngineAim.POSTGRESQL: "PostgreSQL", EngineAim.PATRONI: "Patroni"}


class EngineNemesis:
    """Injects the faults of one run (see `chaos.run.Raging`)."""

    def __init__(self, bank: EngineBank, clients: Clients, faults: FaultLog, *, seed: int) -> None:
        self._bank = bank
        self._clients = clients
        self._processes = bank.processes
        self._faults = faults
        self._crowds = Crowds(bank, clients)
        self._storms = engine_storms(seed)
        self._chance = random.Random(f"engine nemesis/{seed}")
        self._down: set[str] = set()  # Ended by a fault that will start them again.
        self._paused: set[str] = set()  # Members of which something stands still.

    async def rage(self) -> None:
        """Go on until cancelled; everything is taken back then."""
        looking = asyncio.create_task(self._look_again_and_again())
        try:
            await pass_through(self._storms, self._carry_out, self._whole_again)
        finally:
            looking.cancel()

    async def _look_again_and_again(self) -> None:
        """Have it noted who leads."""
        while True:
            await asyncio.to_thread(self._bank.look_at_databases)
            await asyncio.sleep(_LOOK_S)

    async def _whole_again(self) -> None:
        def looked() -> Awaitable[bool]:
            return asyncio.to_thread(self._bank.is_whole)

        await until(looked, looks_every_s=_BETWEEN_LOOKS_S, at_most_s=_CALM_AT_MOST_S)

    async def settle(self) -> None:
        """After the rage: there is nothing that would have to be undone."""

    def start(self, name: str) -> None:
        """Start a process of the run, if it does not run."""
        if name in self._clients.names:
            self._clients.start(name)
        else:
            self._bank.start(name)

    async def _carry_out(self, fault: Planned[EngineAim]) -> None:
        await asyncio.sleep(fault.after_ms / 1000)
        situation = await asyncio.to_thread(self._bank.situation)
        match fault.kind:
            case FaultKind.KILL:
                await self._each(fault, situation, self._kill)
            case FaultKind.PAUSE:
                await self._each(fault, situation, self._pause)
            case FaultKind.STOP:
                await self._each(fault, situation, self._stop)
            case FaultKind.CUT | FaultKind.SLOW:
                await self._hinder(fault, situation)
            case FaultKind.SWITCHOVER:
                await self._switch_over(situation)
            case FaultKind.RUSH:
                async with self._crowds.rush() as here:
                    if here:
                        with self._faults.fault(fault.kind, "all servers"):
                            await asyncio.sleep(max(fault.for_ms, _CROWD_AT_LEAST_MS) / 1000)
            case (
                FaultKind.WIPE
                | FaultKind.REMOVE
                | FaultKind.STRANGERS
                | FaultKind.SLOW_DISK
                | FaultKind.RELEASE
            ):
                raise AssertionError(f"nobody plans {fault.kind} here")
            case _:
                assert_never(fault.kind)

    # -- whom it hits ----------------------------------------------------------------------------

    def _aimed(self, aim: EngineAim, situation: EngineSituation) -> tuple[str, ...]:
        primary, chance = situation.databases.primary, self._chance
        leads = () if primary is None else (primary,)
        others = tuple(name for name in DATABASES if name != primary) if leads else ()
        match aim:
            case EngineAim.POSTGRESQL | EngineAim.PATRONI | EngineAim.PRIMARY:
                return leads
            case EngineAim.STANDBY:
                return others
            case EngineAim.DATABASES:
                return DATABASES
            case EngineAim.MEMBER:
                return (chance.choice(ETCD_MEMBERS),)
            case EngineAim.MEMBERS:
                return ETCD_MEMBERS
            case EngineAim.SERVER:
                return (chance.choice(self._bank.servers),)
            case EngineAim.SERVERS:
                return self._bank.servers
            case EngineAim.NAMESERVER:
                return (WITNESS,)
            case EngineAim.CLIENT:
                return (chance.choice(self._clients.names),)
            case EngineAim.CLIENTS:
                return self._clients.names
            case EngineAim.PEERS:
                return (*others, *ETCD_MEMBERS)
            case _:
                assert_never(aim)

    async def _each(
        self,
        fault: Planned[EngineAim],
        situation: EngineSituation,
        hit: Callable[[str, Planned[EngineAim], str], Any],
    ) -> None:
        victims = [name for name in self._aimed(fault.aim, situation) if self._is_up(name)]
        await asyncio.gather(*(hit(name, fault, self._role(name, situation)) for name in victims))

    def _is_up(self, name: str) -> bool:
        return name not in self._down and name not in self._paused and self._processes.is_alive(name)

    @staticmethod
    def _role(name: str, situation: EngineSituation) -> str:
        databases = situation.databases
        return "primary" if name == databases.primary else "standby" if name in databases.in_sync else ""

    # -- processes -------------------------------------------------------------------------------

    @asynccontextmanager
    async def _downtime(self, name: str) -> AsyncIterator[None]:
        """Nobody else touches it; at the end it is started again."""
        self._down.add(name)
        try:
            yield
        finally:
            self._down.discard(name)
            self.start(name)

    async def _kill(self, name: str, fault: Planned[EngineAim], was: str) -> None:
        with self._faults.fault(FaultKind.KILL, name, was=was, note=_PARTS.get(fault.aim, "")):
            if fault.aim is EngineAim.POSTGRESQL:
                signal_all(self._bank.of_postgresql(name), signal.SIGKILL)  # Patroni sees to the rest.
            elif fault.aim is EngineAim.PATRONI:
                await self._kill_patroni(name, fault.for_ms / 1000)
            else:
                async with self._downtime(name):
                    self._processes.kill(name)
                    await asyncio.sleep(fault.for_ms / 1000)

    async def _kill_patroni(self, name: str, seconds: float) -> None:
        held = self._bank.database.hold(name)
        held.touch()
        try:
            signal_all(self._bank.of_patroni(name), signal.SIGKILL)
            await asyncio.sleep(seconds)
        finally:
            held.unlink(missing_ok=True)

    async def _pause(self, name: str, fault: Planned[EngineAim], was: str) -> None:
        with self._faults.fault(FaultKind.PAUSE, name, was=was, note=_PARTS.get(fault.aim, "")):
            self._paused.add(name)
            self._stand_still(name, fault.aim)
            try:
                await asyncio.sleep(fault.for_ms / 1000)
            finally:
                self._paused.discard(name)
                self._go_on(name)

    def _stand_still(self, name: str, aim: EngineAim) -> None:
        if name not in (*DATABASES, *ETCD_MEMBERS):
            self._processes.pause(name)
            return
        signal_all(self._part(name, aim), signal.SIGSTOP)

    def _part(self, name: str, aim: EngineAim) -> list[Descendant]:
        match aim:
            case EngineAim.POSTGRESQL:
                return self._bank.of_postgresql(name)
            case EngineAim.PATRONI:
                return self._bank.of_patroni(name)
            case _:
                return self._bank.of_machine(name)

    def _go_on(self, name: str) -> None:
        if name in (*DATABASES, *ETCD_MEMBERS):
            signal_all(self._bank.of_machine(name), signal.SIGCONT)
        elif self._processes.is_paused(name):
            self._processes.resume(name)

    async def _stop(self, name: str, fault: Planned[EngineAim], was: str) -> None:
        with self._faults.fault(FaultKind.STOP, name, was=was):
            async with self._downtime(name):
                self._processes.ask_to_end(name, signal.SIGTERM)
                try:
                    await self._until_gone(name)
                finally:
                    self._processes.kill(name)
                await asyncio.sleep(fault.for_ms / 1000)

    async def _until_gone(self, name: str) -> None:
        async def is_gone() -> bool:
            return not self._processes.is_alive(name)

        await until(is_gone, looks_every_s=_TICK_S, at_most_s=_LEAVE_AT_MOST_S)

    # -- links -----------------------------------------------------------------------------------

    async def _hinder(self, fault: Planned[EngineAim], situation: EngineSituation) -> None:
        links = self._links(fault, situation)
        ways = [way for one, other in links for way in ways_between(one, other, fault.direction)]
        with ExitStack() as held:
            noted = [held.enter_context(self._noted(link, fault, situation)) for link in links]
            if fault.kind is FaultKind.CUT:
                self._bank.network.cut(*ways)
                held.callback(self._bank.network.heal, *ways)
            elif ways:
                how = self._bank.network.slow(fault.late_ms, *ways)
                held.callback(self._bank.network.hasten, fault.late_ms, *ways)
                for one_of_them in noted:
                    one_of_them["note"] = how
            await asyncio.sleep(fault.for_ms / 1000 if links else 0)

    def _links(self, fault: Planned[EngineAim], situation: EngineSituation) -> Sequence[Way]:
        assert fault.second is not None
        ones, others = self._aimed(fault.aim, situation), self._aimed(fault.second, situation)
        links = [(one, other) for one in ones for other in others if one != other]
        if self._bank.network.alike:
            return links
        return [link for link in links if not set(link) <= {*DATABASES} and not set(link) <= {*ETCD_MEMBERS}]

    def _noted(self, link: Way, fault: Planned[EngineAim], situation: EngineSituation) -> Any:
        ways = ways_between(*link, fault.direction)
        target, toward = ways[0]
        was = self._role(target, situation)
        return self._faults.fault(fault.kind, target, toward=toward, both_ways=len(ways) == 2, was=was)

    # -- operators -------------------------------------------------------------------------------

    async def _switch_over(self, situation: EngineSituation) -> None:
        primary = situation.databases.primary
        if primary is not None:
            with self._faults.fault(FaultKind.SWITCHOVER, primary, was="primary") as noted:
                noted["note"] = await asyncio.to_thread(self._bank.switch_over, primary)
