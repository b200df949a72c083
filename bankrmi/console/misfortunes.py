"""What can be done to a bank on this machine, by a click, and the command that does the same in a terminal.

Rule 1: only to processes that somebody looks after here (see `local_processes`): a bank that merely can be
        reached is left alone.
Rule 2: everything is said: a sentence, the command, from when, and until when it was felt. What is done to a
        process is over when that server is in sync again; a pause, when it is ended.
Rule 3: a disk is deleted only while another server in sync runs: that is a lesson; to lose all is none.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bankrmi.client.operating import switchover
from bankrmi.config import Configuration
from bankrmi.console.feed import Feed
from bankrmi.local_processes import KEEPER, LocalProcesses
from bankrmi.errors import InvalidRequest, OperationFailed
from bankrmi.storage.database import LOCK, own_directory

__all__ = ["KINDS", "Misfortunes"]

BANK = "bank"
"""The target of what is done to no process."""
GONE_AFTER_S = 5.0
FROZEN_S = 3.0
"""For how long a surprise freezes a server: longer than a lease."""
LONGEST_S = 600.0
"""What is still felt then is shown as over: nobody waits for it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One thing that can be done."""

    id: str
    label: str
    of: str
    """`server`, `process` (a server, or the witness) or `bank`."""
    teaches: str


KINDS = (
    Kind(id="kill", label="kill -9", of="process", teaches="It ends at once; its connections are reset."),
    Kind(
        id="pause", label="Freeze", of="process", teaches="It stands still, and nobody can tell it from slow."
    ),
    Kind(
        id="resume", label="Thaw", of="process", teaches="It goes on, and does not know that time has passed."
    ),
    Kind(id="stop", label="Stop", of="server", teaches="It leaves in good order: the view changes first."),
    Kind(id="wipe", label="Delete its disk", of="server", teaches="It comes back empty, and gets a copy."),
    Kind(id="switchover", label="Switch over", of=BANK, teaches="The primary hands over; no call fails."),
    Kind(id="surprise", label="Surprise me", of=BANK, teaches="One of all that, and you do not know which."),
)
_BY_ID = {kind.id: kind for kind in KINDS}


class Misfortunes:
    """What one console may do to its bank, and what it has done."""

    def __init__(
        self,
        configuration: Configuration,
        processes: LocalProcesses,
        feed: Feed,
        *,
        now_ms: Callable[[], int],
        chance: random.Random | None = None,
    ) -> None:
        self._configuration = configuration
        self._processes = processes
        self._feed = feed
        self._now_ms = now_ms
        self._chance = chance or random.Random()
        self._state: Mapping[str, Any] | None = None
        self._number = 0
        self._felt: dict[int, dict[str, Any]] = {}
        self._frozen: set[str] = set()  # For a while only.

    def offered(self) -> list[dict[str, Any]]:
        """Return what there is to choose from."""
        return [
            {"id": kind.id, "label": kind.label, "targets": self._targets(kind), "teaches": kind.teaches}
            for kind in KINDS
        ]

    def _targets(self, kind: Kind) -> list[str]:
        shown = () if self._state is None else self._state["servers"]
        servers = [server["name"] for server in shown] or list(self._configuration.servers)
        match kind.of:
            case "server":
                return servers
            case "process":
                return [*servers, KEEPER] if self._configuration.etcd is None else servers
            case _:
                return [BANK]

    # -- doing -------------------------------------------------------------------------------------

    async def do(self, kind: object, target: object) -> dict[str, Any]:
        """Do it; return what is said of it.  Raises InvalidRequest, OperationFailed."""
        chosen = _BY_ID.get(kind) if isinstance(kind, str) else None
        if chosen is None:
            raise InvalidRequest(f"there is no such misfortune: there are {', '.join(_BY_ID)}")
        if not isinstance(target, str) or target not in self._targets(chosen):
            raise InvalidRequest(f"{chosen.label} is done to {', '.join(self._targets(chosen))}")
        return await self._of(chosen)(target)

    def _of(self, kind: Kind) -> Callable[[str], Awaitable[dict[str, Any]]]:
        match kind.id:
            case "kill":
                return self._kill
            case "pause":
                return self._pause
            case "resume":
                return self._resume
            case "stop":
                return self._stop
            case "wipe":
                return self._wipe
            case "switchover":
                return self._switch_over
            case _:
                return self._surprise

    async def _kill(self, target: str) -> dict[str, Any]:
        pid = self._signalled(target, signal.SIGKILL)
        return self._told("kill", target, f"{target} was killed", f"kill -9 {pid}")

    async def _pause(self, target: str) -> dict[str, Any]:
        pid = self._signalled(target, signal.SIGSTOP)
        return self._told("pause", target, f"{target} stands still", f"kill -STOP {pid}")

    async def _resume(self, target: str) -> dict[str, Any]:
        pid = self._signalled(target, signal.SIGCONT)
        self._pause_is_over(target)
        return {"said": f"{target} goes on", "command": f"kill -CONT {pid}"}

    async def _stop(self, target: str) -> dict[str, Any]:
        pid = self._signalled(target, signal.SIGTERM)
        return self._told("stop", target, f"{target} is asked to leave in good order", f"kill {pid}")

    async def _wipe(self, target: str) -> dict[str, Any]:
        view = (self._state or {}).get("view") or {}
        others = [name for name in view.get("in_sync", ()) if name != target]
        if not any(self._processes.standing(name) == "running" for name in others):
            raise OperationFailed(
                f"no other server in sync runs: with the disk of {target} everything would be lost"
            )
        pid = self._signalled(target, signal.SIGKILL)
        directory = self._processes.directory(target)
        command = f"kill -9 {pid}; rm -r {directory}"
        told = self._told("wipe", target, f"{target} was killed, and its disk deleted", command)
        await asyncio.to_thread(_delete, directory, GONE_AFTER_S)
        return told

    async def _switch_over(self, _bank: str) -> dict[str, Any]:
        views = await asyncio.to_thread(switchover, self._configuration, None)
        before, after = views["before"]["primary"], views["after"]["primary"]
        return self._told(
            "switchover", BANK, f"{before} has handed over to {after}", "bankrmi switchover", is_over=True
        )

    async def _surprise(self, _bank: str) -> dict[str, Any]:
        view = (self._state or {}).get("view") or {}
        primary = view.get("primary")
        if primary is None:
            raise OperationFailed("nobody leads: that is surprise enough")
        standbys = [name for name in view.get("in_sync", ()) if name != primary]
        choices: list[Callable[[], Awaitable[dict[str, Any]]]] = [lambda: self._kill(primary)]
        choices.append(lambda: self._freeze_for_a_while(primary))
        if standbys:
            choices += [lambda: self._kill(standbys[0]), lambda: self._switch_over(BANK)]
        return await self._chance.choice(choices)()

    async def _freeze_for_a_while(self, target: str) -> dict[str, Any]:
        told = await self._pause(target)
        self._frozen.add(target)
        asyncio.get_running_loop().call_later(FROZEN_S, self._thaw, target)
        return {**told, "said": f"{told['said']}, for {FROZEN_S:g} seconds"}

    def _thaw(self, target: str) -> None:
        self._frozen.discard(target)
        self._processes.send(target, signal.SIGCONT)
        self._pause_is_over(target)

    def close(self) -> None:
        """Thaw what was frozen for a while: nobody would, later."""
        for target in list(self._frozen):
            self._thaw(target)

    def _signalled(self, target: str, number: signal.Signals) -> int:
        pid = self._processes.send(target, number)
        if pid is None:
            raise OperationFailed(
                f"{target} does not run on this machine under `bankrmi up`: nothing was done to it"
            )
        return pid

    # -- until when --------------------------------------------------------------------------------

    def _told(
        self, what: str, whom: str, said: str, command: str, *, is_over: bool = False
    ) -> dict[str, Any]:
        self._number += 1
        now = self._now_ms()
        felt = {
            "id": self._number,
            "what": what,
            "whom": whom,
            "words": said,
            "command": command,
            "since_ms": now,
            "until_ms": now if is_over else None,
        }
        if not is_over:
            self._felt[self._number] = felt
        self._feed.put("fault", **felt)
        return {"said": said, "command": command, "id": self._number}

    def see(self, state: Mapping[str, Any]) -> None:
        """Note how the bank is: whatever was done to a server is over when it is in sync again."""
        self._state = state
        now = self._now_ms()
        in_sync = (state["view"] or {}).get("in_sync", ())
        for felt in list(self._felt.values()):
            age_ms = now - felt["since_ms"]
            if age_ms > 1000 * LONGEST_S or (age_ms > 500 and self._is_well(felt, state, in_sync)):
                self._is_over(felt)

    def _is_well(self, felt: Mapping[str, Any], state: Mapping[str, Any], in_sync: Any) -> bool:
        whom = felt["whom"]
        if self._processes.standing(whom) != "running":
            return False
        if whom == KEEPER:
            return bool(state["keeper"]["reachable"])
        at_work = {one["name"] for one in state["servers"] if one["role"] in ("primary", "standby")}
        return whom in in_sync and whom in at_work

    def _pause_is_over(self, target: str) -> None:
        for felt in [one for one in self._felt.values() if (one["what"], one["whom"]) == ("pause", target)]:
            self._is_over(felt)

    def _is_over(self, felt: dict[str, Any]) -> None:
        self._felt.pop(felt["id"], None)
        felt["until_ms"] = self._now_ms()
        self._feed.put("fault", **felt)


def _delete(directory: Path, seconds: float) -> None:
    """Take the directory for ourselves, as soon as its process is gone, and make it empty."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with own_directory(directory):
                for path in directory.iterdir():
                    if path.name == LOCK:
                        continue
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                return
        except OperationFailed:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.005)
