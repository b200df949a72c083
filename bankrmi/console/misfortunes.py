"""What can be done to a bank on this machine, by a click, and the command that does the same in a terminal.

Rule 1: only to processes that somebody looks after here (see `local_processes`): a bank that merely can be
        reached is left alone.
Rule 2: everything is said: a sentence, the command, from when, and until when it was felt (see `felt`).
Rule 3: whatever lasts can be undone, and is undone when the console ends. What `up` does for us lasts no
        longer than our connection to it, so that is undone even if the console is killed.
Rule 4: a disk, or the witness's memory, is lost only while nothing is lost with it: that is a lesson; to lose
        all is none.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bankrmi.client.operating import switchover
from bankrmi.console.bank_here import BankHere
from bankrmi.console.broken_disks import BrokenDisks
from bankrmi.console.broken_links import EVERYBODY, BrokenLinks
from bankrmi.console.broken_processes import BrokenProcesses
from bankrmi.console.feed import Feed
from bankrmi.console.felt import Done, Felt, FeltFaults
from bankrmi.errors import InvalidRequest, OperationFailed

__all__ = ["KINDS", "Misfortunes"]

BANK = "bank"
"""The target of what is done to no process."""
WHILE_S = 3.0
"""For how long a surprise lasts that does not pass by itself: longer than a lease."""
_NOT_HERE = "No process of this bank runs on this machine under `bankrmi up`."
_NO_RELAYS = (
    "Needs relays between the processes: `bankrmi demo` has them, and `bankrmi up --console --relays`."
)
_NO_SMALL_DISK = (
    "Needs a disk that is a small file system of its own: `bankrmi demo` makes such, if root runs it."
)

Doing = Callable[[str, Mapping[str, Any]], Awaitable[Done]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One thing that can be done."""

    id: str
    label: str
    of: str
    """`server`, `witness`, `process` (a server, or the witness), `disk` (a server's, if it is small), `link`
    or `bank`."""
    teaches: str


KINDS = (
    Kind(id="kill", label="kill -9", of="process", teaches="It ends at once; its connections are reset."),
    Kind(
        id="pause", label="Freeze", of="process", teaches="It stands still, and nobody can tell it from slow."
    ),
    Kind(
        id="resume", label="Thaw", of="process", teaches="It goes on, and does not know that time has passed."
    ),
    Kind(id="stop", label="Stop", of="server", teaches="It leaves in good order, and stays away."),
    Kind(id="start", label="Start", of="server", teaches="It comes back, and fetches what it has missed."),
    Kind(id="wipe", label="Delete its disk", of="server", teaches="It comes back empty, and gets a copy."),
    Kind(id="fill", label="Fill its disk", of="disk", teaches="What it cannot write, it does not confirm."),
    Kind(
        id="forget",
        label="Lose its memory",
        of="witness",
        teaches="The bank goes on, and nobody can take over until an operator says which view is safe.",
    ),
    Kind(id="cut", label="Cut", of="link", teaches="Nothing passes; nobody is told that it did not."),
    Kind(id="slow", label="Slow down", of="link", teaches="Everything arrives, and late."),
    Kind(id="switchover", label="Switch over", of=BANK, teaches="The primary hands over; no call fails."),
    Kind(id="surprise", label="Surprise me", of=BANK, teaches="One of all that, and you do not know which."),
)
_BY_ID = {kind.id: kind for kind in KINDS}


class Misfortunes:
    """What one console may do to its bank, and what it has done."""

    def __init__(
        self,
        bank: BankHere,
        feed: Feed,
        *,
        now_ms: Callable[[], int],
        chance: random.Random | None = None,
    ) -> None:
        self._bank = bank
        self._chance = chance or random.Random()
        self._felt = FeltFaults(feed, now_ms)
        self._processes = BrokenProcesses(bank, self._felt)
        self._disks = BrokenDisks(bank, self._felt)
        self._links = BrokenLinks(bank, self._felt)

    # -- what there is to choose from --------------------------------------------------------------

    def offered(self) -> list[Done]:
        """Return what there is to choose from; `needs` says why something cannot be done here."""
        told = []
        for kind in KINDS:
            targets = self._targets(kind)
            if targets or kind.of != "witness":
                needs = self._needs(kind, targets)
                told.append(
                    {"id": kind.id, "label": kind.label, "of": kind.of, "targets": targets}
                    | {"needs": needs, "teaches": kind.teaches}
                )
        return told

    def _needs(self, kind: Kind, targets: Sequence[str]) -> str:
        if not self._bank.is_here:
            return _NOT_HERE
        if kind.of == "link" and not targets:
            return _NO_RELAYS
        return _NO_SMALL_DISK if kind.of == "disk" and not targets else ""

    def _targets(self, kind: Kind) -> list[str]:
        match kind.of:
            case "server":
                return self._bank.servers
            case "witness":
                return self._bank.witness
            case "process":
                return [*self._bank.servers, *self._bank.witness]
            case "disk":
                return list(filter(self._disks.can_be_filled, self._bank.servers))
            case "link":
                return self._bank.relayed
            case _:
                return [BANK]

    # -- doing -------------------------------------------------------------------------------------

    async def do(self, asked: Mapping[str, Any]) -> Done:
        """Do it, or undo it; return what is said of it.  Raises InvalidRequest, OperationFailed."""
        match asked.get("undo"):
            case None | False:
                pass
            case "all":
                return {"said": "; ".join(await self._felt.undo_all()) or "there is nothing to undo"}
            case number:
                return {"said": await self._felt.undo(number)}
        kind, target = asked.get("id"), asked.get("target")
        chosen = _BY_ID.get(kind) if isinstance(kind, str) else None
        if chosen is None:
            raise InvalidRequest(f"there is no such misfortune: there are {', '.join(_BY_ID)}")
        targets = self._targets(chosen)
        if needs := self._needs(chosen, targets):
            raise OperationFailed(needs)
        if not isinstance(target, str) or target not in targets:
            raise InvalidRequest(f"{chosen.label} is done to {', '.join(targets)}")
        return await self._doing(chosen.id)(target, asked)

    def _doing(self, kind: str) -> Doing:
        if kind in ("cut", "slow"):
            return self._links.cut if kind == "cut" else self._links.slow
        to_one: dict[str, Callable[[str], Awaitable[Done]]] = {
            "kill": self._processes.kill,
            "pause": self._processes.pause,
            "resume": self._processes.resume,
            "stop": self._processes.stop,
            "start": self._processes.start,
            "wipe": self._disks.wipe,
            "fill": self._disks.fill,
            "forget": self._disks.forget,
            "switchover": lambda _: self._switch_over(),
            "surprise": lambda _: self._surprise(),
        }
        return lambda target, _: to_one[kind](target)

    async def _switch_over(self) -> Done:
        views = await asyncio.to_thread(switchover, self._bank.configuration, None)
        before, after = views["before"]["primary"], views["after"]["primary"]
        return self._felt.add(
            Felt(
                what="switchover",
                whom=BANK,
                words=f"{before} has handed over to {after}",
                command=self._bank.command("switchover"),
            )
        )

    # -- surprises ---------------------------------------------------------------------------------

    async def _surprise(self) -> Done:
        primary = self._bank.view.get("primary")
        if primary is None:
            raise OperationFailed("nobody leads: that is surprise enough")
        standbys = [name for name in self._bank.view.get("in_sync", ()) if name != primary]
        return await self._chance.choice(self._surprises(primary, standbys))()

    def _surprises(self, primary: str, standbys: Sequence[str]) -> list[Callable[[], Awaitable[Done]]]:
        """Return what it may be: all but the witness's memory, which takes an operator to come back."""
        choices: list[Callable[[], Awaitable[Done]]] = [
            partial(self._processes.kill, primary),
            partial(self._for_a_while, partial(self._processes.pause, primary)),
        ]
        for standby in standbys[:1]:
            choices += [
                partial(self._processes.kill, standby),
                partial(self._disks.wipe, standby),
                self._switch_over,
            ]
            if self._disks.can_be_filled(standby):
                choices.append(partial(self._for_a_while, partial(self._disks.fill, standby)))
            if {primary, standby} <= set(self._bank.relayed):
                choices += [partial(self._for_a_while, one) for one in self._broken_links(primary, standby)]
        return choices

    def _broken_links(self, primary: str, standby: str) -> list[Callable[[], Awaitable[Done]]]:
        to_standby = {"toward": standby, "both_ways": True}
        return [
            partial(self._links.cut, primary, to_standby),
            partial(self._links.cut, primary, {"toward": standby, "both_ways": False}),
            partial(self._links.cut, primary, {"toward": EVERYBODY, "both_ways": True}),
            partial(self._links.slow, primary, to_standby),
        ]

    async def _for_a_while(self, doing: Callable[[], Awaitable[Done]]) -> Done:
        told = await doing()
        self._felt.undo_after(told["id"], WHILE_S)
        return {**told, "said": f"{told['said']}, for {WHILE_S:g} seconds"}

    # -- until when --------------------------------------------------------------------------------

    def see(self, state: Mapping[str, Any], began_ms: float, up: Mapping[str, Any] | None) -> None:
        """Note how the bank is, by a look that began then; and what `up` says of itself."""
        if self._bank.up is not None and up is None:  # It has ended, and with it all that it did for us.
            for what in ("cut", "slow", "stop"):
                self._felt.is_over(what)
        self._bank.state, self._bank.up = state, up
        self._felt.see(state, began_ms)

    async def begin(self) -> None:
        """Undo what a console that was killed has left behind."""
        await self._disks.free_what_is_full()

    async def close(self) -> None:
        """Undo everything that lasts: nobody would, later."""
        await self._felt.close()
        self._bank.control.close()
