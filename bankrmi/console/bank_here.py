"""The bank that one console may do something to: its processes here, the `up` that runs them, and how it was
when it was looked at last.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bankrmi.config import Configuration
from bankrmi.control import Control
from bankrmi.errors import OperationFailed
from bankrmi.local_processes import KEEPER, LocalProcesses

__all__ = ["BankHere"]


class BankHere:
    """One bank, on this machine."""

    def __init__(self, configuration: Configuration, processes: LocalProcesses, control: Control) -> None:
        self.configuration = configuration
        self.processes = processes
        self.control = control
        self.state: Mapping[str, Any] | None = None
        self.up: Mapping[str, Any] | None = None
        """What `up` says of itself; None if none runs this bank here."""

    @property
    def servers(self) -> list[str]:
        """The servers that there are by now."""
        shown = () if self.state is None else self.state["servers"]
        return [server["name"] for server in shown] or list(self.configuration.servers)

    @property
    def witness(self) -> list[str]:
        """The witness, where it keeps the view."""
        return [KEEPER] if self.configuration.etcd is None else []

    @property
    def relayed(self) -> list[str]:
        """The processes whose links can be cut."""
        return [] if self.up is None else list(self.up["relayed"])

    @property
    def starts_again(self) -> bool:
        """Whether `up` starts again what has ended."""
        return self.up is not None and bool(self.up["restarts"])

    @property
    def view(self) -> Mapping[str, Any]:
        """The view, as far as anybody knows it."""
        return (self.state or {}).get("view") or {}

    @property
    def is_here(self) -> bool:
        """Whether any process of it runs on this machine, under somebody's care."""
        everybody = (*self.servers, *self.witness)
        return self.up is not None or any(self.processes.standing(name) != "gone" for name in everybody)

    @property
    def all_at_work(self) -> bool:
        """Whether somebody leads, and every server does what it is there for."""
        shown = () if self.state is None else self.state["servers"]
        return self.view.get("primary") is not None and all(map(_is_at_work, shown))

    def is_well(self, whom: str, state: Mapping[str, Any]) -> bool:
        """Whether this process does what it is there for, by this look at the bank."""
        if self.processes.standing(whom) != "running":
            return False
        if whom == KEEPER:
            return bool(state["keeper"]["reachable"])
        in_sync = (state["view"] or {}).get("in_sync", ())
        return whom in in_sync and any(_is_at_work(one) for one in state["servers"] if one["name"] == whom)

    def signalled(self, target: str, number: signal.Signals) -> int:
        """Send a signal to a process; return its number.  Raises OperationFailed."""
        pid = self.processes.send(target, number)
        if pid is None:
            raise OperationFailed(
                f"{target} does not run on this machine under `bankrmi up`: nothing was done to it"
            )
        return pid

    def command(self, words: str) -> str:
        """Return the command line for whoever stands where this console was started."""
        path = self.configuration.path
        options = "" if path == Path.cwd() / "config.yaml" else f"--config {path} "
        return f"bankrmi {options}{words}"


def _is_at_work(server: Mapping[str, Any]) -> bool:
    return server["role"] in ("primary", "standby")
