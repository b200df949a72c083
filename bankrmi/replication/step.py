"""What one step of the rules is handed: the time, what this server is told and holds; and its effects so far.

Rule 1: whoever is handed a step reads what it says, writes to the journal, and adds effects; nobody keeps it.
Rule 2: what is written is followed by a `Commit` before the step ends (see `effects`).
Rule 3: what is said and rests on what was written leaves by `answer_when_durable` (see `commits`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bankrmi.replication.commits import Commits
from bankrmi.replication.effects import Answer, Commit, Effect, NotLeading, Reply, Report, SendMessage
from bankrmi.replication.figures import Figures
from bankrmi.replication.journal import Adopted, Journal
from bankrmi.replication.links import LinkTable
from bankrmi.replication.messages import Message
from bankrmi.replication.proposals import Proposals
from bankrmi.replication.settings import Settings
from bankrmi.replication.view import View

__all__ = ["Step"]


@dataclass(slots=True)
class Step:
    """One event's way through the rules.

    All that had arrived by `listened_ms` was read: nobody is silent beyond it. `proposals` are what this
    server has proposed; who is handed a step only asks whether one may still win (V6).
    """

    settings: Settings
    start_id: str
    journal: Journal
    commits: Commits
    links: LinkTable
    proposals: Proposals
    figures: Figures
    now_ms: float
    listened_ms: float
    effects: list[Effect] = field(default_factory=list)
    changed: bool = False  # Something was written since the last `Commit`.

    @property
    def server(self) -> str:
        """This server."""
        return self.settings.server

    @property
    def tip(self) -> int:
        """The action id of the newest entry here."""
        return self.journal.tip.action_id

    @property
    def durable_tip(self) -> int:
        """The action id up to which this disk holds the journal."""
        return self.commits.durable_tip

    @property
    def commit_is_overdue(self) -> bool:
        """Whether this server's disk has owed a commit for so long that others had better lead (V2)."""
        return self.commits.are_overdue(self.listened_ms, self.settings.checkpoint_timeout_ms)

    @property
    def adopted_epoch(self) -> int:
        """The newest epoch adopted, 0 while this copy is empty."""
        adopted = self.journal.adopted
        return adopted.epoch if adopted is not None else 0

    @property
    def may_lead(self) -> bool:
        """Whether this server's code knows the version of its state, or how to go on from it (S5)."""
        return self.settings.code.may_lead(self.journal.version)

    @property
    def runs_its_state(self) -> bool:
        """Whether this server's code can do what is asked of its state; else it is to migrate first (S5)."""
        return self.settings.code.runs(self.journal.version)

    def is_member(self, view: View | None) -> bool:
        """Whether the view names this server, with the disk that it has."""
        return view is not None and view.names(self.settings.server, self.journal.incarnation)

    def has_won(self, view: View) -> bool:
        """Whether it was this process that won, not one before it (V4)."""
        return (view.primary, view.start_id) == (self.settings.server, self.start_id)

    def has_led(self, view: View) -> bool:
        """Whether this process led that epoch, and was fenced since: it has to win another one (V4).

        Else a late answer to what it said then would confirm a read that arrived now.
        """
        adopted = self.journal.adopted
        return adopted is not None and (adopted.history, adopted.epoch, adopted.start_id) == (
            view.history,
            view.epoch,
            self.start_id,
        )

    # -- effects ---------------------------------------------------------------------------------

    def do(self, effect: Effect) -> None:
        """Want this done, after all that was wanted before."""
        self.effects.append(effect)

    def send(self, to: str, message: Message) -> None:
        """Say something to another server."""
        self.effects.append(SendMessage(to, message))

    def answer(self, token: Any, reply: Reply) -> None:
        """Answer what arrived with this token."""
        self.effects.append(Answer(token, reply))

    def answer_when_durable(self, token: Any, reply: Reply) -> None:
        """Answer when all is durable that was written by now."""
        if self.commits.are_under_way:
            self.commits.owe(token, reply)
        else:
            self.effects.append(Answer(token, reply))

    def send_on(self, token: Any, view: View | None, *, undecided: bool) -> None:
        """Send a client on to whoever leads in this view."""
        known = view.primary if view is not None and view.primary != self.settings.server else None
        retired_for = None if view is None else view.retired_for
        self.effects.append(Answer(token, NotLeading(known, undecided, retired_for)))

    def report(self, event: str, **details: Any) -> None:
        """Say a sentence to people."""
        self.effects.append(Report(event, details))

    def adopt(self, adopted: Adopted) -> None:
        """Write a newer epoch."""
        self.journal.adopt(adopted)
        self.changed = True

    def open(self, adopted: Adopted) -> None:
        """Write the opening state, and its first epoch (V9)."""
        self.journal.open(adopted)
        self.changed = True

    def commit(self, purpose: str) -> int:
        """Ask for a commit of all that was written; return its number."""
        self.changed = False
        number = self.commits.ask(self.tip, self.now_ms)
        self.effects.append(Commit(purpose, number))
        return number

    def commit_if_changed(self, purpose: str) -> None:
        """Ask for a commit if anything was written since the last one."""
        if self.changed:
            self.commit(purpose)
