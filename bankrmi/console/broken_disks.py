"""What is done to the disks of the bank: a server's is deleted or full, the witness's is lost.

Rule: nothing is deleted that anybody would miss: a server's disk only while another copy in sync runs, the
      witness's only while a restore would find a safe view.
"""

from __future__ import annotations

import asyncio
import signal
import time

from bankrmi.client.operating import plan_witness_restore, restore_witness
from bankrmi.console import disks
from bankrmi.console.bank_here import BankHere
from bankrmi.console.felt import Done, Felt, FeltFaults
from bankrmi.errors import OperationFailed
from bankrmi.local_processes import KEEPER

__all__ = ["BrokenDisks"]

GONE_AFTER_S = 5.0
SAFE_WITHIN_S = 6.0
AGAIN_S = 0.3


class BrokenDisks:
    """Of one bank."""

    def __init__(self, bank: BankHere, felt: FeltFaults) -> None:
        self._bank = bank
        self._felt = felt

    def can_be_filled(self, server: str) -> bool:
        """Whether its disk is a small file system of its own."""
        return disks.is_small(self._bank.processes.directory(server))

    async def wipe(self, target: str) -> Done:
        """Kill a server, and delete what it holds."""
        others = [name for name in self._bank.view.get("in_sync", ()) if name != target]
        if not any(self._bank.processes.standing(name) == "running" for name in others):
            raise OperationFailed(
                f"no other server in sync runs: with the disk of {target} everything would be lost"
            )
        told = self._felt.add(
            Felt(
                what="wipe",
                whom=target,
                words=f"{target} was killed, and its disk deleted",
                command=self._killed_with_its_disk(target),
                is_well=lambda state: self._bank.is_well(target, state),
            )
        )
        await self._empty(target)
        return told

    async def fill(self, target: str) -> Done:
        """Take all the space that is left."""
        directory = self._bank.processes.directory(target)
        await asyncio.to_thread(disks.fill, directory)

        async def free() -> str:
            await asyncio.to_thread(disks.free, directory)
            return f"the disk of {target} has room again"

        return self._felt.add(
            Felt(
                what="fill",
                whom=target,
                words=f"the disk of {target} is full",
                command=f"dd if=/dev/zero of={directory / disks.FILLER} bs=64k",
                undo=free,
                undo_label="Free it",
                is_well=lambda state: self._bank.is_well(target, state),
            )
        )

    async def free_what_is_full(self) -> None:
        """Free the disks that a console before this one has left full."""
        for server in self._bank.servers:
            directory = self._bank.processes.directory(server)
            if disks.is_filled(directory):
                await asyncio.to_thread(disks.free, directory)

    async def forget(self, target: str) -> Done:
        """Kill the witness, and delete what it knows."""
        if not self._bank.all_at_work:
            raise OperationFailed(
                "the witness loses its memory only while all servers are at work: else nobody could say "
                "which view is safe, and the bank might stand still for good"
            )
        command = self._killed_with_its_disk(target)
        await self._empty(target)
        return self._felt.add(
            Felt(
                what="forget",
                whom=target,
                words="the witness was killed, and has lost its memory: nobody can take over",
                command=command,
                undo=self._remind,
                undo_label="Restore its memory",
                is_well=lambda state: state["view_from"] == KEEPER,
            )
        )

    async def _remind(self) -> str:
        """Restore the view; a server that is just coming back has to be asked, too."""
        deadline = time.monotonic() + SAFE_WITHIN_S
        while True:
            try:
                plan = await asyncio.to_thread(plan_witness_restore, self._bank.configuration)
                view = await asyncio.to_thread(restore_witness, self._bank.configuration, plan["view"])
                break
            except OperationFailed:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(AGAIN_S)
        return f"the witness was told which view is safe: epoch {view['epoch']}, led by {view['primary']}"

    def _killed_with_its_disk(self, target: str) -> str:
        """Kill a process; return the command that does all of it."""
        pid = self._bank.signalled(target, signal.SIGKILL)
        return f"kill -9 {pid}; rm -r {self._bank.processes.directory(target)}"

    async def _empty(self, target: str) -> None:
        await asyncio.to_thread(disks.empty, self._bank.processes.directory(target), GONE_AFTER_S)
