"""What is done to a process of the bank: killed, frozen, stopped; and the way back."""

from __future__ import annotations

import signal

from bankrmi.console.bank_here import BankHere
from bankrmi.console.felt import Done, Felt, FeltFaults
from bankrmi.errors import OperationFailed

__all__ = ["BrokenProcesses"]


class BrokenProcesses:
    """Of one bank."""

    def __init__(self, bank: BankHere, felt: FeltFaults) -> None:
        self._bank = bank
        self._felt = felt

    async def kill(self, target: str) -> Done:
        """`kill -9`: `up` starts it again."""
        pid = self._bank.signalled(target, signal.SIGKILL)
        return self._felt.add(
            Felt(
                what="kill",
                whom=target,
                words=f"{target} was killed",
                command=f"kill -9 {pid}",
                is_well=lambda state: self._bank.is_well(target, state),
            )
        )

    async def pause(self, target: str) -> Done:
        """SIGSTOP, until it is thawed."""
        pid = self._bank.signalled(target, signal.SIGSTOP)

        async def thaw() -> str:
            self._bank.processes.send(target, signal.SIGCONT)
            return f"{target} goes on"

        return self._felt.add(
            Felt(
                what="pause",
                whom=target,
                words=f"{target} stands still",
                command=f"kill -STOP {pid}",
                undo=thaw,
                undo_label="Thaw",
            )
        )

    async def resume(self, target: str) -> Done:
        """SIGCONT, whoever has stopped it."""
        pid = self._bank.signalled(target, signal.SIGCONT)
        for felt in self._felt.lasting("pause", target):
            await self._felt.undo(felt.number)
        return {"said": f"{target} goes on", "command": f"kill -CONT {pid}"}

    async def stop(self, target: str) -> Done:
        """SIGTERM. It stays away, if `up` runs it, and would start it again."""
        if not self._bank.starts_again:
            pid = self._bank.signalled(target, signal.SIGTERM)
            return self._stopped(target, "", f"kill {pid}", None)
        control = self._bank.control
        number = await control.hold("down", name=target)
        try:
            self._bank.signalled(target, signal.SIGTERM)
        except OperationFailed:
            await control.release(number)
            raise
        command = self._bank.command(f"misfortune down {target}")
        return self._stopped(target, ", and is not started again", command, number)

    def _stopped(self, target: str, more: str, command: str, held: int | None) -> Done:
        felt = Felt(
            what="stop",
            whom=target,
            words=f"{target} is asked to leave in good order{more}",
            command=command,
            is_well=lambda state: self._bank.is_well(target, state),
        )
        if held is not None:

            async def let_go() -> str:
                await self._bank.control.release(held)
                return f"{target} is started"

            felt.undo, felt.undo_label = let_go, "Start"
        return self._felt.add(felt)

    async def start(self, target: str) -> Done:
        """Let `up` start it again."""
        held = self._felt.lasting("stop", target)
        if not held:
            raise OperationFailed(f"{target} is not held down from here: `bankrmi up` starts it by itself")
        for felt in held:
            await self._felt.undo(felt.number)
        return {"said": f"{target} is started"}
