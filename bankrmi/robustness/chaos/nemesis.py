"""Does to the processes of a run what the schedule says, and takes it back.

Rule 1: whatever a fault did is taken back when its time is over, or when the run ends, whichever is first.
Rule 2: a disk is lost only if another copy holds everything, and nothing on its way can make the view name
        the lost one as leader: it is a standby's, its process is dead, the view was read after that, from
        the witness, and names another primary; and the view no longer names this copy, or all has been quiet
        for so long that no proposal of it can be on its way.
Rule 3: a fault that finds nobody to hit hits nobody: it is not counted.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, asynccontextmanager
from typing import Any, assert_never

from bankrmi.relays import Way
from bankrmi.robustness.chaos.bank import WITNESS, ChaosBank, Situation, is_whole
from bankrmi.robustness.chaos.clients import Clients
from bankrmi.robustness.chaos.crowds import Crowds
from bankrmi.robustness.chaos.fault_log import FaultLog
from bankrmi.robustness.chaos.recorded import FaultKind
from bankrmi.robustness.chaos.rolling_out import RollingOut
from bankrmi.robustness.chaos.roster import Roster
from bankrmi.robustness.chaos.schedule import Aim, storms
from bankrmi.robustness.chaos.slow_disk import slow_disk
from bankrmi.robustness.chaos.storms import Direction, Planned, pass_through, until

__all__ = ["Nemesis", "ways_between"]

_TICK_S = 0.02
_CALM_AT_MOST_S = 6.0
_BETWEEN_LOOKS_S = 0.2
_LEAVE_AT_MOST_S = 5.0
_TAKEN_OUT_AT_MOST_S = 3.0
_BETWEEN_READINGS_S = 0.1
_CROWD_AT_LEAST_MS = 500
_SLOWEST_DISK_MS = 80
_AMONG_MEMBERS = 0.4
_COMES_BACK_EMPTY = 0.5
_WAITS_FOR_IT = 0.5
_IN_GOOD_ORDER = 0.5
_BETWEEN_SERVERS_MS = 500


class Nemesis:
    """Injects the faults of one run."""

    def __init__(
        self,
        bank: ChaosBank,
        clients: Clients,
        faults: FaultLog,
        *,
        seed: int,
        removals: bool = False,
        releases: Sequence[Mapping[str, str]] = (),
    ) -> None:
        """With `removals`, servers are removed from the bank and added to it, too; with several `releases` of
        the classes that they serve, they get one after the other."""
        self._bank = bank
        self._clients = clients
        self._processes = bank.processes
        self._faults = faults
        self._crowds = Crowds(bank, clients)
        self._roster = Roster(bank)
        self._rolling_out = RollingOut(bank.servers, releases or [{}], seed=seed)
        self._rolls_out = False
        self._storms = storms(seed, removals=removals, releases=len(releases) > 1)
        self._chance = random.Random(f"nemesis/{seed}")
        self._down: set[str] = set()  # Ended by a fault that will start them again.
        self._wiped: set[str] = set()  # Their disks were lost, and they were not seen in sync since.

    async def rage(self) -> None:
        """Go on until cancelled; everything is taken back then."""
        await pass_through(self._storms, self._carry_out, self._whole_again)

    async def _whole_again(self) -> None:
        async def is_so() -> bool:
            return is_whole(await self._situation(), self._bank.servers)

        await until(is_so, looks_every_s=_BETWEEN_LOOKS_S, at_most_s=_CALM_AT_MOST_S)

    async def _situation(self) -> Situation:
        situation = await asyncio.to_thread(self._bank.situation)
        self._wiped.difference_update(situation.in_sync if is_whole(situation, self._bank.servers) else ())
        return situation

    async def _carry_out(self, planned: Planned[Aim]) -> None:
        await asyncio.sleep(planned.after_ms / 1000)
        situation = await self._situation()
        match planned.kind:
            case FaultKind.KILL:
                victims = [name for name in self._aimed(planned.aim, situation) if self._is_up(name)]
                await asyncio.gather(*(self._kill(name, planned, situation) for name in victims))
            case FaultKind.PAUSE:
                victims = [name for name in self._aimed(planned.aim, situation) if self._moves(name)]
                await asyncio.gather(*(self._pause(name, planned, situation) for name in victims))
            case FaultKind.STOP:
                for name in filter(self._moves, self._aimed(planned.aim, situation)):
                    await self._stop(name, planned, situation)
            case FaultKind.WIPE:
                for name in filter(self._is_up, self._aimed(planned.aim, situation)):
                    await self._wipe(name, planned)
            case FaultKind.REMOVE:
                for name in filter(self._moves, self._aimed(planned.aim, situation)):
                    await self._remove(name, planned, situation)
            case FaultKind.CUT | FaultKind.SLOW:
                await self._hinder(planned, situation)
            case FaultKind.SWITCHOVER:
                await self._switch_over(situation)
            case FaultKind.STRANGERS:
                await self._crowd(planned, self._crowds.strangers)
            case FaultKind.RUSH:
                await self._crowd(planned, self._crowds.rush)
            case FaultKind.RELEASE:
                await self._roll_out(planned)
            case FaultKind.SLOW_DISK:
                victims = [name for name in self._aimed(planned.aim, situation) if self._moves(name)]
                await asyncio.gather(*(self._slow_disk(name, planned, situation) for name in victims))
            case _:
                assert_never(planned.kind)

    # -- whom it hits ----------------------------------------------------------------------------

    def _aimed(self, aim: Aim, situation: Situation) -> tuple[str, ...]:
        servers, primary = self._bank.servers, situation.primary
        others = tuple(server for server in servers if server != primary)
        match aim:
            case Aim.PRIMARY:
                return (primary,) if primary is not None else ()
            case Aim.STANDBY:
                in_sync = [server for server in others if server in situation.in_sync]
                return (self._chance.choice(in_sync or others),)
            case Aim.SERVERS:
                return servers
            case Aim.WITNESS:
                members = self._bank.members
                return (self._chance.choice(members),) if members else (WITNESS,)
            case Aim.CLIENT:
                return (self._chance.choice(self._clients.names),)
            case Aim.CLIENTS:
                return self._clients.names
            case Aim.PEERS:
                return (*servers, WITNESS, *self._bank.members)
            case Aim.WRITERS:
                return tuple(name for name in self._clients.names if name != self._clients.reader)
            case Aim.OTHERS:
                return (*servers, WITNESS, *self._bank.members, *self._clients.names)

    def _is_up(self, name: str) -> bool:
        return name not in self._down and self._processes.is_alive(name)

    def _moves(self, name: str) -> bool:
        return self._is_up(name) and not self._processes.is_paused(name)

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

    def start(self, name: str) -> None:
        """Start a process of the run, if it does not run, and belongs to it."""
        if name in self._clients.names:
            self._clients.start(name)
        elif self._roster.belongs(name):
            self._bank.start(name)

    async def _kill(self, name: str, planned: Planned[Aim], situation: Situation) -> None:
        with self._faults.fault(FaultKind.KILL, name, was=situation.role(name)):
            async with self._downtime(name):
                self._processes.kill(name)
                await asyncio.sleep(planned.for_ms / 1000)

    async def _pause(self, name: str, planned: Planned[Aim], situation: Situation) -> None:
        with self._faults.fault(FaultKind.PAUSE, name, was=situation.role(name)):
            self._processes.pause(name)
            try:
                for _ in range(max(1, round(planned.for_ms / 1000 / _TICK_S))):
                    await asyncio.sleep(_TICK_S)
                    if not self._processes.is_paused(name):
                        return  # Another fault has killed it.
            finally:
                if self._processes.is_paused(name):
                    self._processes.resume(name)

    async def _stop(self, name: str, planned: Planned[Aim], situation: Situation) -> None:
        with self._faults.fault(FaultKind.STOP, name, was=situation.role(name)):
            async with self._downtime(name):
                await self._end(name)
                await asyncio.sleep(planned.for_ms / 1000)

    async def _end(self, name: str) -> None:
        """Have a process end in good order, if it does so in time."""
        self._processes.ask_to_end(name, signal.SIGTERM)
        try:
            await self._until(lambda: not self._processes.is_alive(name), _LEAVE_AT_MOST_S)
        finally:  # Also when the faults end: who is about to end seems alive, and is not started.
            if self._processes.is_alive(name):
                self._processes.kill(name)

    async def _remove(self, name: str, planned: Planned[Aim], situation: Situation) -> None:
        with self._faults.fault(FaultKind.REMOVE, name, was=situation.role(name)) as noted:
            async with self._downtime(name):
                if not await self._take_out(name):
                    noted["note"] = "it leads by now, and stays"
                    return
                if self._chance.random() < _COMES_BACK_EMPTY and await self._may_be_lost(name, quiet=False):
                    self._bank.delete_data(name)
                    self._wiped.add(name)
                    noted["note"] = "comes back with an empty disk"
                await asyncio.sleep(planned.for_ms / 1000)
                await self._roster.put_back(name)

    async def _roll_out(self, planned: Planned[Aim]) -> None:
        """Have servers started with other code, one after the other; whoever is down gets it as well."""
        if self._rolls_out:
            return
        self._rolls_out = True
        try:
            release, names = self._rolling_out.next()
            for name in names:
                await self._give_code(name, release)
                if self._chance.random() < _WAITS_FOR_IT:
                    await self._whole_again()
                else:
                    await asyncio.sleep(min(planned.for_ms, _BETWEEN_SERVERS_MS) / 1000)
        finally:
            self._rolls_out = False

    async def _give_code(self, name: str, release: int) -> None:
        situation = await self._situation()
        self._bank.install(name, release)
        self._rolling_out.installed[name] = release
        if not self._is_up(name):
            return
        note = self._rolling_out.in_words(release)
        with self._faults.fault(FaultKind.RELEASE, name, was=situation.role(name), note=note):
            async with self._downtime(name):
                if self._chance.random() < _IN_GOOD_ORDER and not self._processes.is_paused(name):
                    await self._end(name)
                else:
                    self._processes.kill(name)

    async def settle(self) -> None:
        """After the rage: have every server belong to the bank, with the last code; the bank has to be well
        for that."""
        last = self._rolling_out.last
        for name in self._bank.servers:
            self._bank.install(name, last)
            if self._processes.is_alive(name) and self._bank.serves(name) != last:
                self._processes.kill(name)
                self.start(name)
        for name in await self._roster.unsettled():
            if await self._take_out(name):
                await self._roster.put_back(name)
            self.start(name)

    async def _take_out(self, name: str) -> bool:
        self._processes.may_leave(name, True)
        if not await self._roster.take_out(name):
            self._processes.may_leave(name, False)
            return False
        if not await self._until(lambda: not self._processes.is_alive(name), _LEAVE_AT_MOST_S):
            self._processes.kill(name)  # Whoever is cut off does not learn of it.
        return True

    async def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        for _ in range(round(seconds / _TICK_S)):
            if condition():
                return True
            await asyncio.sleep(_TICK_S)
        return condition()

    async def _wipe(self, name: str, planned: Planned[Aim]) -> None:
        quiet = self._faults.is_quiet()
        with self._faults.fault(FaultKind.WIPE, name, was="standby") as noted:
            async with self._downtime(name):
                self._processes.kill(name)
                if await self._may_be_lost(name, quiet=quiet):
                    self._bank.delete_data(name)
                    self._wiped.add(name)
                else:
                    noted["note"] = "killed only: its disk might have been needed"
                await asyncio.sleep(planned.for_ms / 1000)

    async def _may_be_lost(self, name: str, *, quiet: bool) -> bool:
        """Rule 2; `quiet` says whether all was, before this process was killed.

        Two readings that agree: a proposal that was on its way to the witness has arrived before the second.
        """
        epoch_before = 0
        for _ in range(round(_TAKEN_OUT_AT_MOST_S / _BETWEEN_READINGS_S)):
            situation = await self._situation()
            primary = situation.primary
            known = situation.from_witness and primary not in (None, name) and primary not in self._wiped
            safe = known and (quiet or name not in situation.in_sync)
            if safe and situation.epoch == epoch_before:
                return True
            epoch_before = situation.epoch if safe else 0
            await asyncio.sleep(_BETWEEN_READINGS_S)
        return False

    # -- load ------------------------------------------------------------------------------------

    async def _crowd(
        self, planned: Planned[Aim], come: Callable[[], AbstractAsyncContextManager[bool]]
    ) -> None:
        """A crowd comes and goes; not if it is here already."""
        async with come() as here:
            if here:
                with self._faults.fault(planned.kind, "all servers"):
                    await asyncio.sleep(max(planned.for_ms, _CROWD_AT_LEAST_MS) / 1000)

    async def _slow_disk(self, name: str, planned: Planned[Aim], situation: Situation) -> None:
        late_ms = min(planned.late_ms, _SLOWEST_DISK_MS)
        with slow_disk(self._processes.pid(name), late_ms) as slowed:
            if slowed:
                note = f"{late_ms} ms an fsync"
                with self._faults.fault(planned.kind, name, was=situation.role(name), note=note):
                    await asyncio.sleep(planned.for_ms / 1000)

    # -- links -----------------------------------------------------------------------------------

    async def _hinder(self, planned: Planned[Aim], situation: Situation) -> None:
        links = self._links(planned, situation)
        ways = [way for one, other in links for way in ways_between(one, other, planned.direction)]
        with ExitStack() as held:
            noted = [held.enter_context(self._noted(one, other, planned, situation)) for one, other in links]
            if planned.kind is FaultKind.CUT:
                self._bank.network.cut(*ways)
                held.callback(self._bank.network.heal, *ways)
            else:
                how = self._bank.network.slow(planned.late_ms, *ways)
                held.callback(self._bank.network.hasten, planned.late_ms, *ways)
                for one_of_them in noted:
                    one_of_them["note"] = how
            await asyncio.sleep(planned.for_ms / 1000)

    def _links(self, planned: Planned[Aim], situation: Situation) -> list[Way]:
        assert planned.second is not None
        members = self._bank.members
        ones, others = self._aimed(planned.aim, situation), self._aimed(planned.second, situation)
        if members and planned.second is Aim.WITNESS:  # From one member, from all; or one from the others.
            others = self._chance.choice((others, members, members))
            if self._bank.network.alike and self._chance.random() < _AMONG_MEMBERS:
                ones, others = (self._chance.choice(members),), members
        return [(one, other) for one in ones for other in others if one != other]

    def _noted(
        self, one: str, other: str, planned: Planned[Aim], situation: Situation
    ) -> AbstractContextManager[dict[str, Any]]:
        ways = ways_between(one, other, planned.direction)
        target, toward = ways[0]
        was = situation.role(target)
        return self._faults.fault(planned.kind, target, toward=toward, both_ways=len(ways) == 2, was=was)

    # -- operators -------------------------------------------------------------------------------

    async def _switch_over(self, situation: Situation) -> None:
        primary = situation.primary
        if primary is not None:
            with self._faults.fault(FaultKind.SWITCHOVER, primary, was="primary") as noted:
                noted["note"] = await asyncio.to_thread(self._bank.switch_over, primary)


def ways_between(one: str, other: str, direction: Direction) -> Sequence[Way]:
    """Return the ways of the link between two that are hit."""
    there, back = (one, other), (other, one)
    return {Direction.BOTH: (there, back), Direction.THERE: (there,), Direction.BACK: (back,)}[direction]
