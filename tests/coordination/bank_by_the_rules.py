"""A small model of acknowledging and of changing the view, to restore views of.

Rule: each step is one that the rules allow; what may be acknowledged, and who may be lost, the test decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from bankrmi.replication.messages import Holdings
from bankrmi.replication.record import Position
from bankrmi.replication.view import View
from tests.coordination.holdings import holding


@dataclass
class Server:
    """A journal of (epoch, number); what lies beyond `durable` goes with a crash.

    `unsettled`: what this process has proposed may win yet, or has won unheard.
    """

    name: str
    journal: list[tuple[int, int]] = field(default_factory=list)
    durable: int = 0
    epoch: int = 0
    led_by: str = ""
    leads: bool = False
    remembers: View | None = None
    let_in: dict[str, str] = field(default_factory=dict)  # Mandatory: servers, and on which disk.
    disks: int = 1
    unsettled: bool = False
    started_since: bool = False

    @property
    def disk(self) -> str:
        return f"disk{self.disks}-{self.name}"

    @property
    def may_have_moved_on(self) -> bool:
        led = self.remembers is not None and self.remembers.primary == self.name
        return self.unsettled or (led and self.started_since)

    def stand_still(self) -> None:
        del self.journal[self.durable :]
        self.leads = False

    def crash(self) -> None:
        self.stand_still()
        self.unsettled, self.started_since = False, True

    def lose_disk(self) -> None:
        self.crash()
        self.journal, self.durable, self.epoch, self.led_by, self.remembers = [], 0, 0, "", None
        self.disks += 1

    def adopt(self, view: View) -> None:
        self.epoch, self.led_by, self.remembers = view.epoch, view.primary, view
        self.leads = view.primary == self.name
        self.let_in = {}
        self.unsettled = self.started_since = False


class Bank:
    """The rules A1 to A5 and V1 to V5, without messages: each step is one that the rules allow."""

    def __init__(self, names: list[str]) -> None:
        self.servers = {name: Server(name) for name in names}
        self.view = View.first(history="h1", server=names[0], start_id="a", incarnation=f"disk1-{names[0]}")
        self.servers[names[0]].adopt(self.view)
        self.late: list[tuple[int, View]] = []  # Proposals on their way, and what epoch they replace.
        self.acknowledged: set[tuple[int, int]] = set()
        self.numbers = 0

    def journal_one(self, server: Server) -> None:
        if server.leads:
            self.numbers += 1
            server.journal.append((server.epoch, self.numbers))

    def commit(self, server: Server) -> None:
        server.durable = len(server.journal)

    def replicate(self, primary: Server, to: Server) -> None:
        """One whole checkpoint: what conflicts is removed, the epoch adopted, all of it durable (A2, A3)."""
        believes = to.epoch > 0 or to.remembers == primary.remembers
        may = believes and to is not primary and to.epoch <= primary.epoch
        if primary.leads and primary.remembers and may:
            if to.epoch < primary.epoch:
                to.adopt(primary.remembers)
            to.journal = list(primary.journal)
            self.commit(to)

    def acknowledge(self, primary: Server) -> None:
        """Everything that is durable on all of `in_sync`, each of which still follows this epoch (A1, A5)."""
        view = primary.remembers
        if primary.leads and view:
            disks = {**view.incarnations, **primary.let_in}
            members = [self.servers[name] for name in disks]
            if all(one.epoch == primary.epoch and one.disk == disks[one.name] for one in members):
                copies = [set(one.journal[: one.durable]) for one in members]
                assert self.acknowledged <= set(primary.journal), f"{primary.name} leads beside another"
                self.acknowledged |= set.intersection(*copies)

    def is_member(self, name: str, view: View) -> bool:
        return view.names(name, self.servers[name].disk)

    def propose(self, server: Server, kind: str, *, late: bool) -> None:
        """Ask for another view; `late`: the proposal is on its way until it arrives or comes too late."""
        wanted = self._wanted(server, kind) if self.is_member(server.name, self.view) else None
        if wanted is None:
            return
        server.unsettled, server.remembers = True, self.view
        if late:
            self.late.append((self.view.epoch, wanted))
        else:
            self.view = wanted

    def arrive(self) -> None:
        """The oldest late proposal arrives."""
        if self.late:
            epoch, wanted = self.late.pop(0)
            if epoch == self.view.epoch:
                self.view = wanted

    def _wanted(self, server: Server, kind: str) -> View | None:
        view = self.view
        if kind == "V1" and server.name != view.primary:
            return view.taken_over_by(server.name, "x")
        if kind == "V4" and server.name == view.primary and server.epoch == view.epoch:
            server.crash()
            return view.started_again("x")
        if not server.leads or server.epoch != view.epoch:
            return None
        if kind == "V2" and len(view.in_sync) > 1:
            return view.without(frozenset({sorted(view.in_sync - {server.name})[0]}))
        return self._letting_in(server) if kind == "V3" else None

    def _letting_in(self, primary: Server) -> View | None:
        outside = [name for name in sorted(self.servers) if not self.is_member(name, self.view)]
        for name in outside[:1]:
            joiner = self.servers[name]
            if primary.unsettled and primary.let_in.get(name, joiner.disk) != joiner.disk:
                return None
            self.learn(joiner)
            self.replicate(primary, joiner)
            if joiner.epoch == primary.epoch and primary.durable == len(primary.journal):
                primary.let_in[name] = joiner.disk  # Mandatory until the proposal is settled.
                return self.view.letting_in(name, joiner.disk)
        return None

    def learn(self, server: Server) -> None:
        if not server.epoch and not self.is_member(server.name, self.view):
            server.remembers = self.view
        elif self.view.epoch > server.epoch and (self.view.primary == server.name or server.leads):
            keeps_its_tail = self.view.primary == server.name
            if keeps_its_tail and not self.is_member(server.name, self.view):
                return
            if not keeps_its_tail:
                server.crash()
            server.adopt(self.view)

    def holdings(self, *, remembering: bool) -> dict[str, Holdings | str]:
        return {
            one.name: replace(
                holding(one.name, epoch=one.epoch, primary=one.led_by or None),
                history="h1" if one.epoch else None,
                tip=Position(one.durable, one.journal[one.durable - 1][0] if one.durable else 0, b""),
                incarnation=one.disk,
                last_view=one.remembers if remembering else None,
                may_have_moved_on=one.may_have_moved_on,
            )
            for one in self.servers.values()
        }


OFTEN = ["journal", "journal", "replicate", "replicate", "learn", "V1", "V2", "V3", "V4", "V4"]
NOW_AND_THEN = ["arrive", "start again", "lose disk"]

STEPS = st.tuples(
    st.sampled_from([*OFTEN, *NOW_AND_THEN]),
    st.integers(0, 2),
    st.integers(0, 2),
    st.booleans(),
)


def take(bank: Bank, kind: str, server: Server, other: Server, *, at_once: bool) -> None:
    """One step; `at_once`: what was journalled is committed, who wins a view learns of it."""
    match kind:
        case "journal":
            bank.journal_one(server)
            if at_once:
                bank.commit(server)
        case "replicate":
            bank.replicate(server, other)
        case "learn":
            bank.learn(server)
        case "start again":
            server.crash()
            server.remembers = bank.view
        case "lose disk":
            server.lose_disk()
        case "arrive":
            bank.arrive()
        case _:
            bank.propose(server, kind, late=not at_once and server is not other)
            if at_once:
                bank.learn(server)


def new_bank(servers: int) -> Bank:
    """A bank whose servers are all in sync."""
    bank = Bank([f"s{number + 1}" for number in range(servers)])
    first, *others = bank.servers.values()
    for other in others:
        take(bank, "V3", first, other, at_once=True)
    return bank
