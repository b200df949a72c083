"""Rules taken out: the first history that goes wrong without one, found by the simulator.

Rule 1: the simulator runs in a process of its own (`bankrmi simulate --break NAME --json`), one at a time,
        with a budget of time and of memory, and gives way to the bank: it is nice.
Rule 2: what it found is kept, for it finds the same every time; a search that nobody waits for can be ended.
Rule 3: nothing of it touches the bank.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from bankrmi.console.feed import Feed
from bankrmi.errors import InvalidRequest, OperationFailed

__all__ = ["RuleSearch"]

SEARCH_S = 240.0
MEMORY_BYTES = 2 << 30
"""Of address space; what it needs of it is a twentieth."""
ANSWER_BYTES = 4 << 20
TOLD_EVERY_S = 0.5
NICE = 10


class RuleSearch:
    """What one console looks for, and has found."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._rules: dict[str, dict[str, Any]] = {}
        self._found: dict[str, dict[str, Any]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._is_over = False

    async def learn(self) -> None:
        """Find out which rules can be taken out, and tell the page."""
        with suppress(OperationFailed):
            lines = [line async for line in self._lines("list", SEARCH_S)]
            for rule in json.loads(lines[-1]) if lines else ():
                self._rules[rule["name"]] = rule
            self._feed.put("rules", rules=self.rules)

    @property
    def rules(self) -> list[dict[str, Any]]:
        """The rules that can be taken out, as far as is known by now."""
        return list(self._rules.values())

    async def ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Find the history for a rule, or end the search; return what was found.

        Raises InvalidRequest, OperationFailed.
        """
        if asked.get("end") is True:
            self._is_over = True
            self._kill()
            return {"said": "the search has ended"}
        name = asked.get("name")
        if not isinstance(name, str) or name not in self._rules:
            raise InvalidRequest("there is no such rule to be taken out")
        if name not in self._found:
            self._found[name] = await self._search(name)
        return self._found[name]

    async def _search(self, name: str) -> dict[str, Any]:
        if self._process is not None:
            raise OperationFailed("a search is under way: wait for it, or end it first")
        began, told, last = time.monotonic(), 0.0, "{}"
        try:
            async for line in self._lines(name, SEARCH_S):
                last = line
                if time.monotonic() - told > TOLD_EVERY_S and line.startswith('{"seed"'):
                    told = time.monotonic()
                    self._tell(name, json.loads(line)["seed"], told - began)
        finally:
            self._tell(name, None, time.monotonic() - began)
        if self._is_over:
            raise OperationFailed("the search was ended")
        if last.startswith('{"found":{'):
            return dict(json.loads(last)["found"])
        took_s = time.monotonic() - began
        if took_s < SEARCH_S and not last.startswith('{"found"'):
            raise OperationFailed(
                f"the simulator ended after {took_s:.0f} s and found nothing: perhaps for want of memory"
            )
        raise OperationFailed(
            f"nothing went wrong in {took_s:.0f} s: `bankrmi simulate --break {name}` looks for longer"
        )

    def _tell(self, name: str, seed: int | None, seconds: float) -> None:
        """Tell how far it is; without a seed it has ended."""
        self._feed.put("search", name=name, seed=seed, seconds=round(seconds, 1))

    async def _lines(self, name: str, seconds: float) -> AsyncIterator[str]:
        """Yield what the simulator says, a line at a time; its end is ours, however that comes about."""
        self._is_over = False
        command = [sys.executable, "-m", "bankrmi", "simulate", "--break", name, "--json"]
        process = await asyncio.create_subprocess_exec(
            *command,
            "--parent-pid",
            str(os.getpid()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            limit=ANSWER_BYTES,
        )
        self._process = process
        assert process.stdout is not None
        try:
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
                resource.prlimit(process.pid, resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            async with asyncio.timeout(seconds):
                while line := await process.stdout.readline():
                    yield line.decode(errors="replace")
        except TimeoutError:
            pass
        except ValueError:
            raise OperationFailed("the simulator says more than can be shown") from None
        finally:
            self._kill()
            await process.wait()
            self._process = None

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    def close(self) -> None:
        """End what is under way."""
        self._is_over = True
        self._kill()
