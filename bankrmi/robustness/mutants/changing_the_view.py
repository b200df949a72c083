"""Planted bugs in how the view changes: who leads, and who is in sync.  Rules V1 to V8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bankrmi.replication import membership
from bankrmi.replication.effects import Refusal
from bankrmi.replication.joining import Joiner
from bankrmi.replication.journal import Adopted
from bankrmi.replication.leading import Leader
from bankrmi.replication.peer import PeerState, Standing
from bankrmi.replication.proposals import Proposals
from bankrmi.replication.replica import Replica
from bankrmi.replication.step import Step
from bankrmi.replication.switchover import Switchover
from bankrmi.replication.view import View
from bankrmi.robustness.mutants.mutant import Mutant, Patch
from bankrmi.storage.journal import SqliteJournal

__all__ = ["MUTANTS"]


def _propose_and_believe(self: Replica, wanted: View, step: Step) -> None:
    takes_over = self.primary is None and self.view is not None and self.view.primary != wanted.primary
    _propose(self, wanted, step)
    if takes_over:
        self._act_on(self._viewing.learn(wanted, step), step)


def _go_on_at_once(self: Leader, step: Step) -> View | None:
    wanted = _wanted_view(self, step)
    if wanted is not None and wanted.in_sync < self.view.in_sync:
        for peer in self.copies.members:
            if peer.server not in wanted.in_sync:
                peer.standing = Standing.OUTSIDE
        self._advance(step)
    return wanted


def _has_begun(peer: PeerState, enough: int) -> bool:
    return peer.joins and peer.incarnation is not None


def _has_what_we_acknowledged(self: Leader) -> int:
    return self.ever_acknowledged


def _wait_no_longer(_: Joiner, step: Step) -> None:
    pass


def _is_ours(self: Step, view: View) -> bool:
    return view.primary == self.server


def _take_back(_: Switchover, why: str, step: Step) -> Refusal:
    return Refusal(why)


def _nothing_under_way(self: Proposals) -> bool:
    return not self._under_way


def _is_named(self: Step, view: View | None) -> bool:
    return view is not None and self.server in view.in_sync


def _make_own_as_it_is(self: SqliteJournal, incarnation: str, adopted: Adopted) -> None:
    self._begin()
    self._about.set(incarnation=incarnation)
    self._incarnation = incarnation


def _without_leaving(self: View, server: str, servers: Mapping[str, str]) -> View:
    return self.adding(server, servers)


def _forgetting_servers(self: View, start_id: str) -> View:
    return replace(_started_again(self, start_id), servers=None)


_started_again = View.started_again
_propose = Replica._propose
_wanted_view = Leader.wanted_view

MUTANTS = (
    Mutant(
        name="take-over-without-winning",
        rule="V1",
        goes_wrong="a standby leads because it asked to, while the primary won that epoch, and leads it too",
        patches=(Patch(Replica, "_propose", _propose_and_believe),),
    ),
    Mutant(
        name="go-on-alone-before-the-view",
        rule="V2",
        goes_wrong="a primary confirms without its silent standby, which takes over and never heard of it",
        patches=(Patch(Leader, "wanted_view", _go_on_at_once),),
    ),
    Mutant(
        name="let-in-before-caught-up",
        rule="V3",
        goes_wrong="a server may take over that has not got everything yet",
        patches=(Patch(membership, "_has_everything", _has_begun),),
    ),
    Mutant(
        name="let-in-by-own-acknowledgements-only",
        rule="V3",
        goes_wrong="a primary that has just begun lets in who lacks what the one before it acknowledged",
        patches=(Patch(Leader, "_enough", property(_has_what_we_acknowledged)),),
    ),
    Mutant(
        name="ask-to-join-every-heartbeat",
        rule="V3",
        goes_wrong="a server whose answers take longer never hears the one to its newest question in time",
        patches=(Patch(Joiner, "_wait_longer", _wait_no_longer),),
        kind="liveness",
    ),
    Mutant(
        name="lead-again-without-fresh-epoch",
        rule="V4",
        goes_wrong="a role goes by the name alone: who starts again leads on, and an epoch names two entries",
        patches=(Patch(Step, "has_won", _is_ours),),
    ),
    Mutant(
        name="resume-after-switchover-that-may-win",
        rule="V5",
        goes_wrong="a primary takes the lead back while its gift is still on the way, and reads what is old",
        patches=(Patch(Switchover, "_given_up", _take_back),),
    ),
    Mutant(
        name="settle-lost-proposal-by-guessing",
        rule="V6",
        goes_wrong="a proposal without an answer counts as lost, and wins",
        patches=(Patch(Proposals, "settled", property(_nothing_under_way)),),
    ),
    Mutant(
        name="move-and-stay-in-sync",
        rule="V12",
        goes_wrong="a server is to take over where it does not live yet, and nobody would find it",
        patches=(Patch(View, "moving", _without_leaving),),
    ),
    Mutant(
        name="forget-the-servers",
        rule="V12",
        goes_wrong="after a view that lacks them, servers that were added since are known to nobody",
        patches=(Patch(View, "started_again", _forgetting_servers),),
    ),
    Mutant(
        name="trust-wiped-disk",
        rule="V8",
        goes_wrong="a server that lost its disk takes the place of the member it was, and holds nothing",
        patches=(Patch(Step, "is_member", _is_named),),
    ),
    Mutant(
        name="install-copy-without-views-epoch",
        rule="V8",
        goes_wrong="a server with a fetched copy listens again to primaries that were deposed long ago",
        patches=(Patch(SqliteJournal, "make_own", _make_own_as_it_is),),
    ),
)
