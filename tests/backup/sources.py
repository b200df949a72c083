"""A server to take backups of, without its process: what it answers, and what happens in between.

source = Source(tmp_path / "s1")
source.do(deposit(1, 5), withdraw(2, 4))         # one request
source.acknowledged = 1
source.before["backup_records"] = lambda: ...    # done once, before the next such answer
label = source.back_up(tmp_path / "whole")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from bankrmi.backup.fetching import Fetch, FetchPace
from bankrmi.backup.taking import Order, back_up_from
from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import Form
from bankrmi.rmi import Call
from bankrmi.server.backing_up import Backups
from bankrmi.server.exporting import ReplicaHost
from bankrmi.storage.backup_label import Label
from bankrmi.storage.folding import Keeping
from bankrmi.storage.journal import SqliteJournal, WriteBehind
from tests.storage.journals import decide, opened

SERVICE = "account"


class Source:
    """One server's journal, and what it would answer."""

    def __init__(self, folder: Path | None = None, keeping: Keeping | None = None) -> None:
        """`keeping`: of a server that folds its journal when it is told to, by `fold`."""
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self.journal: SqliteJournal = opened(
            None if folder is None else folder / "bank.db",
            keeping=keeping,
            behind=None if keeping is None else WriteBehind(records=0, operations=0),
        )
        self._acknowledged: int | None = None
        self.before: dict[str, Callable[[], object]] = {}
        self.asked: list[str] = []
        self._requests = 0
        self._backups = Backups(cast(ReplicaHost, self), self._accounts, server="s1")

    def do(self, *operations: Form, time_us: int | None = None, epoch: int = 1) -> int:
        """Decide one request; return the action id of its last operation."""
        self._requests += 1
        at_us = self._requests if time_us is None else time_us
        record = decide(self.journal, epoch, ("a", self._requests), list(operations), at_us)
        self.journal.commit()
        return record.action_id

    def fold(self) -> int:
        """Fold all that is old; return the anchor."""
        while self.journal.fold(self.acknowledged, 0):
            pass
        self.journal.commit()
        return self.journal.anchor.action_id

    @property
    def acknowledged(self) -> int:
        """Everything, unless it was said what."""
        return self.journal.tip.action_id if self._acknowledged is None else self._acknowledged

    @acknowledged.setter
    def acknowledged(self, action_id: int) -> None:
        self._acknowledged = action_id

    @property
    def replica(self) -> SimpleNamespace:
        return SimpleNamespace(acknowledged=self.acknowledged, primary=None)

    def _accounts(self) -> Accounts:
        machine = self.journal.machine
        assert isinstance(machine, Accounts)
        return machine

    def ask(self, method: str, args: Sequence[object], *, seconds: float) -> Any:
        """Answer as over the wire."""
        self.asked.append(method)
        self.before.pop(method, lambda: None)()
        answers: list[Any] = []
        call = SimpleNamespace(method=method, args=list(args), kwargs={}, answer=answers.append)
        self._backups.ask(cast(Call, call))
        return answers[0]

    def back_up(self, file: Path, since: int | Label | None = None, *, overwrite: bool = False) -> Label:
        """Take a backup, as fast as can be."""
        fetch = Fetch("s1", self.ask, FetchPace(1e12), lambda _: None)
        order = Order(file=file, since=since, overwrite=overwrite)
        return back_up_from(fetch, SERVICE, order).label
