"""The promises, watched all the time: what must never be seen, whatever goes wrong.

After every step and every commit of a server, and whenever an answer leaves one:

- two servers can never acknowledge at the same moment; one process leads an epoch;
- what was acknowledged is in the journal of every server that the view names, and is never anything else;
- no request is decided twice, or after a newer one of its session;
- every operation comes to what a plain model comes to, and so are the accounts; money comes and goes only by
  deposits and withdrawals, and the total that is kept is the sum of all accounts;
- what leaves a journal was acknowledged, and what is kept of it adds up to the same;
- what somebody was told is forgotten is never done afterwards;
- an epoch that was adopted durably is never forgotten by the disk that adopted it, and nobody speaks in an
  epoch before that;
- while automatic takeover is paused, nobody takes over but by an operator's word (V11);
- once whoever moves the bank was told that the servers are retired, and what they hold, nobody is answered
  with anything that is not in that, and the database opens with all that anybody was told, unless it is taken
  back; who asks after it has opened is answered by no server (V14).

Rule 1: what an answer rests on counts as acknowledged when the answer leaves, be it a decline, a read, or the
        refusal of a stale request (A1).
Rule 2: nothing here asks the code under test whether it is right; journals are read, and reckoned anew.
Rule 3: what is acknowledged has to be durable, and stay in memory; what is only in memory counts for nothing.
Rule 4: a forced takeover (V7) waives what its server does not hold durably at that moment, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.statements import TOTAL
from bankrmi.replication.cause import CauseKind
from bankrmi.replication.effects import Decided, IsForgotten, IsStale, Read, Reply
from bankrmi.replication.messages import Acknowledged, Checkpoint
from bankrmi.replication.record import Position, Record
from bankrmi.replication.view import View
from bankrmi.robustness.simulator.asked import SimulatedCall
from bankrmi.robustness.simulator.failure import SimulationFailure
from bankrmi.robustness.simulator.server import SimulatedServer
from bankrmi.robustness.simulator.whole_cluster import WholeCluster
from bankrmi.storage.folding import share_of
from bankrmi.storage.journal import SqliteJournal
from bankrmi.storage.state_machine import SUM_MODULUS
from bankrmi.verifying.record_check import RecordCheck

__all__ = ["PromiseMonitor"]


_NOTHING = Position(0, 0, b"")


class PromiseMonitor:
    """What one simulation has seen, and may not see."""

    def __init__(self, cluster: WholeCluster) -> None:
        self._cluster = cluster
        self._leaders: dict[tuple[str, int], str] = {}  # By history and epoch.
        self._model = cluster.workload.model()
        self._records: RecordCheck | None = None
        self._keys = set(self._model.values)  # All that there ever was, be it gone or not.
        self.acknowledged: list[bytes] = []  # Digests of records, by operation; action id 1 comes first.
        self.records: list[Record] = []  # All that are acknowledged.
        self.newest = _NOTHING
        self._histories: set[str] = set()
        self.kept: dict[str, int] = {}
        """Of each history before one that began by force: up to where it is kept."""
        self.fold_count = 0
        """How many records were folded, on all disks."""
        self._forgotten: set[tuple[str, int]] = set()  # Requests that somebody was told are.
        self._told = _NOTHING  # The newest record that anybody's answer rested on.
        self._left: dict[int, bytes] | None = None  # What a database has: digests, by action id.
        self._open_since_ms: float | None = None

    # -- what happened ---------------------------------------------------------------------------

    def stepped(self, server: SimulatedServer) -> None:
        """A server has taken an event; its effects are not carried out yet."""
        self._check_holds_all(server)
        primary = server.replica.primary if server.replica is not None else None
        if primary is not None:
            epoch = (primary.view.history, primary.view.epoch)
            if self._leaders.setdefault(epoch, server.start_id) != server.start_id:
                raise SimulationFailure(
                    "safety", f"{self._leaders[epoch]} and {server.start_id} lead epoch {epoch[1]}"
                )
            self._check_one_can_acknowledge(server)

    def committed(self, server: SimulatedServer) -> None:
        """What a server has written is durable, or a copy is in place."""
        epoch = server.images.durable.epoch
        if epoch < server.acted_in:
            raise SimulationFailure(
                "safety", f"{server.name} adopted epoch {server.acted_in}, and its disk says {epoch} now"
            )
        server.acted_in = epoch
        self._check_holds_all(server)
        self._check_one_can_acknowledge(server)

    def said(self, server: SimulatedServer, what: object) -> None:
        """A server has said this: in an epoch only if its disk knows that it acts there (A2)."""
        if isinstance(what, Checkpoint | Acknowledged) and what.epoch > server.acted_in:
            raise SimulationFailure(
                "safety", f"{server.name} speaks in epoch {what.epoch}, and its disk knows {server.acted_in}"
            )

    def view_changed(self) -> None:
        """The witness holds another view."""
        witness = self._cluster.witness
        if witness.view is not None:
            self._histories.add(witness.view.history)
        if witness.view is not None and witness.before is not None:
            self._check_pause(witness.before, witness.view)
        for server in self._cluster.servers.values():
            self._check_holds_all(server)

    def answered(self, server: SimulatedServer, asked: SimulatedCall, reply: Reply) -> None:
        """An answer leaves a server: from here on, what it rests on is acknowledged."""
        request = asked.request
        if isinstance(reply, Decided | Read | IsStale | IsForgotten):
            self._check_has_not_left(server, asked)
        match reply:
            case Decided(record=record):
                self._check_is_acknowledged(record)
                self._acknowledge(server, record.position)
                self._rests_on(record.position)
            case Read(action_id=action_id):
                self.shown(server, action_id)
            case IsForgotten() if request is not None:
                self._forgotten.add(request)
            case IsStale(newest_sequence=newest) if request is not None:
                recorded = server.journal.recorded(request[0], newest)
                self._acknowledge(server, recorded.position if recorded is not None else None)

    def shown(self, server: SimulatedServer, action_id: int) -> None:
        """A server shows the state at this action id."""
        if action_id > self.newest.action_id:
            self._acknowledge(server, server.journal.position(action_id))

    def forced(self, before: View, server: SimulatedServer) -> int:
        """A server has won by force: return up to where what was acknowledged is on its disk.

        The rest is waived; everything before must still be there, at the end as well.
        """
        durable, held = server.images.durable.tip.action_id, server.journal
        place = held.before(min(durable, self.newest.action_id) + 1)
        while place is not None and place.action_id > 0:
            if self.acknowledged[place.action_id - 1] == place.digest:
                break
            place = held.before(place.action_id)
        kept = place.action_id if place is not None else 0
        del self.acknowledged[kept:]
        self.newest = place if place is not None and kept else _NOTHING
        for history in {before.history, *self._histories}:
            self.kept[history] = min(kept, self.kept.get(history, kept))
        self._forgotten.clear()  # What they were forgotten by may be lost, too.
        if self._told.action_id > kept:
            self._told = self.newest
        self._model, self._records = self._cluster.workload.model(), None
        self.records = [record for record in self.records if record.action_id <= kept]
        for record in self.records:
            self._check_record(held, record)
        return kept

    # -- a bank that leaves ----------------------------------------------------------------------

    def left(self, records: Sequence[Record], *, opens: bool) -> None:
        """A database has these records, which is all that there ever is; or it `opens` with them."""
        self._left = {record.action_id: record.digest for record in records}
        if opens:
            self._open_since_ms = self._cluster.world.now_ms
        if self._told.action_id and self._left.get(self._told.action_id) != self._told.digest:
            raise SimulationFailure(
                "safety",
                f"the bank leaves with all up to action id {max(self._left, default=0)}, and somebody was "
                f"told what came of {self._told.action_id}, which is not in that",
            )

    def stays(self) -> None:
        """What a database has was taken away there: the servers may keep the bank."""
        self._left = self._open_since_ms = None

    def _rests_on(self, position: Position) -> None:
        if position.action_id > self._told.action_id:
            self._told = position
        if self._left is not None and self._left.get(position.action_id) != position.digest:
            raise SimulationFailure(
                "safety",
                f"somebody is told what came of action id {position.action_id}, and the bank has left "
                f"without it, with all up to {max(self._left, default=0)}",
            )

    def _check_has_not_left(self, server: SimulatedServer, asked: SimulatedCall) -> None:
        if self._open_since_ms is not None and asked.invoked_ms > self._open_since_ms:
            raise SimulationFailure(
                "safety",
                f"{server.name} answers what was asked when the bank was open in a database already",
            )

    # -- what must hold --------------------------------------------------------------------------

    def _check_pause(self, before: View, view: View) -> None:
        """V11: who leads in its place was asked to, or was given the lead, or restored."""
        kind = None if view.cause is None else view.cause.kind
        asked = kind in (CauseKind.TAKEOVER, CauseKind.RESUMED, CauseKind.FORCED)
        if before.paused is None or view.primary == before.primary or view.handed_over_by or asked:
            return
        raise SimulationFailure(
            "safety", f"{view.primary} takes over in epoch {view.epoch}, though that was paused"
        )

    def _check_is_acknowledged(self, record: Record) -> None:
        known = self.acknowledged[record.first_id - 1 : record.action_id]
        if any(digest != record.digest for digest in known):
            raise SimulationFailure(
                "safety", f"two different records were acknowledged at action id {record.action_id}"
            )

    def _acknowledge(self, server: SimulatedServer, position: Position | None) -> None:
        if position is None:
            raise SimulationFailure("safety", f"{server.name} answered from what is not in its own journal")
        if position.action_id <= self.newest.action_id:
            return
        self._take(
            server.journal, server.journal.records(self.newest.action_id, position.action_id), position
        )

    def _take(self, journal: SqliteJournal, records: Iterable[Record], position: Position) -> None:
        for record in records:
            if self.newest.action_id < record.action_id <= position.action_id:
                self.acknowledged += [record.digest] * record.operation_count
                self.records.append(record)
                self._check_record(journal, record)
        self.newest = position
        self.view_changed()
        for other in self._cluster.servers.values():
            self._check_state(other)

    def _check_record(self, journal: SqliteJournal, record: Record) -> None:
        """The record has to follow from all that was acknowledged before, and say what a plain model says."""
        if self._records is None:
            assert journal.opening is not None, "it was acknowledged by a server that was never opened"
            opening = Position(0, 0, journal.opening)
            self._records = self._cluster.workload.check(opening, self._model, _broken)
        if record.request in self._forgotten:
            session, sequence = record.request
            raise SimulationFailure(
                "safety", f"request {session}:{sequence} is done, and somebody was told that it is forgotten"
            )
        self._records.take(record)
        self._keys |= self._model.values.keys()

    def folded(self, server: SimulatedServer, journal: SqliteJournal, records: Sequence[Record]) -> None:
        """These records left a journal: from here on they count as acknowledged."""
        for record in records:
            self._check_is_acknowledged(record)
        self.fold_count += len(records)
        position = records[-1].position
        if journal.anchor != position:
            raise SimulationFailure("safety", f"{server.name} has folded another record than its oldest")
        if position.action_id > self.newest.action_id:
            self._take(journal, records, position)
        self.check_anchor(server.name, journal)

    def check_anchor(self, name: str, journal: SqliteJournal) -> None:
        """What is noted of the state at the anchor has to be what the state now leads back to."""
        anchored, machine = journal.anchored, journal.machine
        if anchored is None:
            return
        records = journal.records(anchored.position.action_id, 1 << 62)
        if (machine.sum() - share_of(machine, records) - anchored.state) % SUM_MODULUS:
            raise SimulationFailure(
                "safety",
                f"{name}'s accounts do not lead back to its anchor, at {anchored.position.action_id}",
            )

    def _check_state(self, server: SimulatedServer) -> None:
        """Compare the accounts of a copy that holds just what is acknowledged."""
        if server.journal.tip != self.newest:
            return
        journal, values = server.journal, {}
        for key in self._keys:
            value, held = self._model.values.get(key), journal.read(key)
            if held != value:
                raise SimulationFailure(
                    "safety", f"{key} holds {held} on {server.name}, and the journal adds up to {value}"
                )
            if held is not None:
                values[key] = held
        for sentence in self._model.audit(values):
            raise SimulationFailure("safety", f"on {server.name}, {sentence}")
        if isinstance(journal.machine, Accounts) and journal.read(TOTAL) != sum(values.values()):
            raise SimulationFailure(
                "safety", f"{server.name} says that all accounts hold {journal.read(TOTAL)}: {values}"
            )
        if wrong := self._cluster.workload.wrong_state(self._model, server.name, server.journal):
            raise SimulationFailure("safety", wrong)

    def _check_holds_all(self, server: SimulatedServer) -> None:
        view = self._cluster.witness.view
        newest = self.newest.action_id
        if view is None or not newest or not view.names(server.name, server.journal.incarnation):
            return
        missing = ""
        if server.journal.position(newest) != self.newest:
            missing = "journal"
        elif server.images.durable.tip.action_id < newest:
            missing = "disk"
        if missing:
            raise SimulationFailure(
                "safety",
                f"{server.name} is in sync in epoch {view.epoch}, and what was acknowledged at action id "
                f"{newest} is missing from its {missing}",
            )

    def _check_one_can_acknowledge(self, server: SimulatedServer) -> None:
        servers = self._cluster.servers.values()
        leading = [one for one in servers if one.replica is not None and one.replica.primary is not None]
        if len(leading) < 2 or not self._can_acknowledge(server):
            return
        able = [one for one in leading if self._can_acknowledge(one)]
        if len(able) > 1:
            epochs = [one.replica.primary.view.epoch for one in able if one.replica and one.replica.primary]
            names = " and ".join(one.name for one in able)
            raise SimulationFailure("safety", f"{names} can acknowledge at the same moment (epochs {epochs})")

    def _can_acknowledge(self, server: SimulatedServer) -> bool:
        """Whether this server acts in an epoch, and nobody whom it would need has moved on to a newer one."""
        replica, servers = server.replica, self._cluster.servers
        primary = replica.primary if replica is not None else None
        if primary is None or server.acted_in != primary.view.epoch or primary.copies.somebody_lost_a_disk:
            return False
        if len(primary.view.in_sync) < server.settings.copies_min:
            return False
        return all(
            servers[peer.server].acted_in <= server.acted_in
            and servers[peer.server].journal.incarnation == peer.incarnation
            for peer in primary.copies.required
        )


def _broken(sentence: str) -> None:
    raise SimulationFailure("safety", sentence)
