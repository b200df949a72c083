"""One step of one server, made by hand: for rules that are functions of what they are handed."""

from __future__ import annotations

from typing import Any

from bankrmi.replication.commits import Commits
from bankrmi.replication.events import LinkChanged
from bankrmi.replication.figures import Figures
from bankrmi.replication.links import LinkTable
from bankrmi.replication.proposals import Proposals
from bankrmi.replication.settings import Settings
from bankrmi.replication.step import Step
from bankrmi.replication.view import View
from bankrmi.storage.journal import SqliteJournal
from tests.storage.journals import opened

SERVERS = ("s1", "s2", "s3")


def a_step(journal: SqliteJournal | None = None, now_ms: float = 0.0, **settings: Any) -> Step:
    """Return a step of s1, which is connected to nobody and has proposed nothing."""
    told = Settings(server="s1", servers=SERVERS, **settings)
    held = journal if journal is not None else opened()
    commits = Commits(held.tip.action_id)
    return Step(told, "s1#1", held, commits, LinkTable(told), Proposals(), Figures(), now_ms, now_ms)


def connect(step: Step, *servers: str) -> None:
    """Connect s1 to the first process of each of these."""
    for server in servers:
        start_id = f"{server}#1"
        step.links.up(LinkChanged(server=server, up=True, start_id=start_id), start_id)


def view_of(*in_sync: str, epoch: int = 3) -> View:
    """Return a view that s1 leads; the disk of a server is named after it."""
    return View(
        history="h",
        epoch=epoch,
        primary="s1",
        start_id="s1#1",
        in_sync=frozenset(in_sync),
        incarnations={name: f"{name}-disk" for name in in_sync},
    )
