"""The promises that hold in every state of a bank, whatever happened.

Rule 1: every member of the view holds, on its disk, everything that was ever acknowledged.
Rule 2: whoever leads an epoch has won it, as the process that it is.
What holds of a disk alone is looked at in `disks`, what holds of an answer in `client`.
"""

from __future__ import annotations

from typing import Any

from bankrmi.replication.view import View
from bankrmi.robustness.exhaustive.server import NAMES, Servers
from bankrmi.robustness.exhaustive.state import ACKNOWLEDGED, SERVER, VIEW, State

__all__ = ["PromiseCheck"]


class PromiseCheck:
    """Looks at states; what a promise is about is looked at once."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._checked: dict[tuple[Any, ...], str] = {}

    def broken(self, state: State) -> str:
        """Return which promise does not hold in this state; or nothing."""
        glances = self._servers.glances
        one, two = glances[state[0]], glances[state[1]]
        key = (
            one.disk,
            two.disk,
            one.leads,
            two.leads,
            one.sound and two.sound,
            state[VIEW],
            state[ACKNOWLEDGED],
        )
        known = self._checked.get(key)
        if known is None:
            known = self._checked[key] = self._look(state)
        return known

    def _look(self, state: State) -> str:
        view: View = self._servers.kept[state[VIEW]]
        for field in SERVER:
            server, glance = self._servers[state[field]], self._servers.glances[state[field]]
            name = NAMES[server.place]
            content = self._servers.disks[server.disk]
            if view.names(name, content.incarnation):
                for record in self._servers.kept[state[ACKNOWLEDGED]]:
                    if record not in content.records:
                        return (
                            f"{name} is in sync in epoch {view.epoch}, and the acknowledged record at action "
                            f"id {record.action_id} is missing from its disk"
                        )
            if glance.leads >= 0:
                led: View = self._servers.kept[glance.leads]
                if not glance.sound:
                    return f"{name} leads epoch {led.epoch}, which another process won"
                if led.epoch > view.epoch or (led.epoch == view.epoch and led != view):
                    return f"{name} leads epoch {led.epoch}, which it has not won"
        return ""
