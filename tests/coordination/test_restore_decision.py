"""Which view is safe after the loss of the witness: by example, and against a small model of the rules."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankrmi.coordination.restore import EPOCHS_UNHEARD, Holding, NoSafeView, SafeView, decide
from bankrmi.replication.entry import Position
from bankrmi.replication.view import View


def holding(
    server: str, *, epoch: int = 3, primary: str | None = "s1", tip: tuple[int, int] = (7, 3)
) -> Holding:
    return Holding(
        server=server,
        incarnation=f"disk-{server}",
        start_id=f"start-{server}",
        history="h1",
        epoch=epoch,
        primary=primary,
        tip=Position(*tip, b""),
        still=True,
    )


def empty(server: str) -> Holding:
    return replace(holding(server, epoch=0, primary=None, tip=(0, 0)), history=None)


def decided(*holdings: Holding | tuple[str, str], given_up: tuple[str, ...] = ()) -> SafeView | NoSafeView:
    answers: dict[str, Holding | str] = {}
    for one in holdings:
        if isinstance(one, Holding):
            answers[one.server] = one
        else:
            answers[one[0]] = one[1]
    return decide(list(answers), answers, new_history="h2", given_up=given_up)


def test_the_primary_of_the_newest_epoch_alone_begins_a_new_history() -> None:
    safe = decided(holding("s1"), holding("s2"))
    assert isinstance(safe, SafeView)
    assert safe.view == View(
        history="h2",
        epoch=3 + EPOCHS_UNHEARD,
        primary="s1",
        start_id="start-s1",
        in_sync=frozenset({"s1"}),
        incarnations={"s1": "disk-s1"},
        forced=True,
    )
    assert "led epoch 3" in safe.why


def test_a_longer_journal_of_an_older_epoch_does_not_count() -> None:
    safe = decided(holding("s1", epoch=2, tip=(90, 2)), holding("s2", primary="s2", tip=(80, 3)))
    assert isinstance(safe, SafeView)
    assert safe.view.primary == "s2"


def test_neither_does_the_newest_entry() -> None:
    """The history told in the module: y of epoch 2 was never acknowledged, the inherited x of epoch 1 was."""
    kept_y = holding("s1", epoch=2, primary="s1", tip=(5, 2))
    acknowledged_x = holding("s2", epoch=3, primary="s2", tip=(5, 1))
    safe = decided(kept_y, acknowledged_x)
    assert isinstance(safe, SafeView)
    assert safe.view.primary == "s2"


def test_a_member_that_is_remembered_serves_where_the_primary_is_lost() -> None:
    view = View(
        history="h1",
        epoch=3,
        primary="s1",
        start_id="a",
        in_sync=frozenset({"s1", "s2"}),
        incarnations={"s1": "disk-s1", "s2": "disk-s2"},
    )
    remembering = replace(holding("s2"), last_view=view)
    safe = decided(("s1", "gone"), remembering, given_up=("s1",))
    assert isinstance(safe, SafeView)
    assert safe.view.primary == "s2"
    other_disk = replace(remembering, incarnation="another disk")
    assert isinstance(decided(("s1", "gone"), other_disk, given_up=("s1",)), NoSafeView)


@pytest.mark.parametrize(
    ("holdings", "words"),
    [
        ((holding("s1"), ("s2", "connection refused")), "s2 cannot be asked (connection refused), and"),
        ((holding("s1"), replace(holding("s2"), still=False)), "s2 has not seen yet"),
        ((holding("s1"), empty("s2")), "s2 holds nothing; if it lost its disk"),
        ((empty("s1"), empty("s2")), "makes its first view"),
        ((holding("s1"), replace(holding("s2"), history="h0")), "different histories (h0, h1)"),
        ((holding("s1", primary="s1"), holding("s2", primary="s2")), "disagree on who led epoch 3"),
        ((holding("s1", epoch=2), holding("s2", epoch=3, primary="s1")), "nobody else is known to hold"),
    ],
)
def test_where_no_view_is_safe_a_sentence_says_why(holdings: tuple[Holding, ...], words: str) -> None:
    verdict = decided(*holdings)
    assert isinstance(verdict, NoSafeView)
    assert words in verdict.why


def test_a_server_that_never_was_a_member_may_be_empty() -> None:
    alone = View.first(history="h1", server="s1", start_id="a", incarnation="disk-s1")
    assert isinstance(decided(replace(holding("s1", epoch=1), last_view=alone), empty("s2")), SafeView)


# -- a model of acknowledging and of changing the view ----------------------------------------------


@dataclass
class Server:
    """A journal of (epoch, number); what lies beyond `durable` goes with a crash."""

    name: str
    journal: list[tuple[int, int]] = field(default_factory=list)
    durable: int = 0
    epoch: int = 0
    led_by: str = ""
    leads: bool = False
    remembers: View | None = None
    let_in: frozenset[str] = frozenset()

    def crash(self) -> None:
        del self.journal[self.durable :]
        self.leads = False

    def adopt(self, view: View) -> None:
        self.epoch, self.led_by, self.remembers = view.epoch, view.primary, view
        self.leads = view.primary == self.name
        self.let_in = frozenset()


class Bank:
    """The rules A1 to A5 and V1 to V5, without messages: each step is one that the rules allow."""

    def __init__(self, names: list[str]) -> None:
        self.servers = {name: Server(name) for name in names}
        self.view = View.first(history="h1", server=names[0], start_id="a", incarnation=f"disk-{names[0]}")
        self.servers[names[0]].adopt(self.view)
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
        if primary.leads and primary.remembers and to is not primary and to.epoch <= primary.epoch:
            if to.epoch < primary.epoch:
                to.adopt(primary.remembers)
            to.journal = list(primary.journal)
            self.commit(to)

    def acknowledge(self, primary: Server) -> None:
        """Everything that is durable on all of `in_sync`, each of which still follows this epoch (A1, A5)."""
        view = primary.remembers
        if primary.leads and view:
            members = [self.servers[name] for name in view.in_sync | primary.let_in]
            if all(one.epoch == primary.epoch for one in members):
                copies = [set(one.journal[: one.durable]) for one in members]
                self.acknowledged |= set.intersection(*copies)

    def propose(self, server: Server, kind: str) -> None:
        view = self.view
        if kind == "V1" and server.name in view.in_sync and server.name != view.primary:
            self.view = view.taken_over_by(server.name, "x")
        elif server.name == view.primary and server.epoch == view.epoch and kind == "V4":
            server.crash()
            self.view = view.started_again("x")
        elif server.leads and server.epoch == view.epoch and kind == "V2" and len(view.in_sync) > 1:
            self.view = view.without(frozenset({sorted(view.in_sync - {server.name})[0]}))
        elif server.leads and server.epoch == view.epoch and kind == "V3":
            self._let_in(server)

    def _let_in(self, primary: Server) -> None:
        outside = sorted(self.servers.keys() - self.view.in_sync)
        caught_up = [name for name in outside if self.servers[name].journal == primary.journal]
        for name in caught_up[:1]:
            self.replicate(primary, self.servers[name])
            if self.servers[name].epoch == primary.epoch and primary.durable == len(primary.journal):
                primary.let_in |= {name}  # Mandatory until the proposal is settled.
                self.view = self.view.letting_in(name, f"disk-{name}")

    def learn(self, server: Server) -> None:
        if self.view.epoch > server.epoch and (self.view.primary == server.name or server.leads):
            keeps_its_tail = self.view.primary == server.name
            if not keeps_its_tail:
                server.crash()
            server.adopt(self.view)

    def holdings(self, *, remembering: bool) -> dict[str, Holding | str]:
        return {
            one.name: replace(
                holding(one.name, epoch=one.epoch, primary=one.led_by or None),
                history="h1" if one.epoch else None,
                tip=Position(one.durable, one.journal[one.durable - 1][0] if one.durable else 0, b""),
                last_view=one.remembers if remembering else None,
            )
            for one in self.servers.values()
        }


STEPS = st.tuples(
    st.sampled_from(["journal", "replicate", "learn", "V1", "V2", "V3", "V4"]),
    st.integers(0, 2),
    st.integers(0, 2),
    st.booleans(),
)


OFTEN = ["journal", "journal", "replicate", "replicate", "learn", "V1", "V2", "V3", "V4", "V4"]


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
        case _:
            bank.propose(server, kind)
            if at_once:
                bank.learn(server)


def new_bank(servers: int) -> Bank:
    """A bank whose servers are all in sync."""
    bank = Bank([f"s{number + 1}" for number in range(servers)])
    first, *others = bank.servers.values()
    for other in others:
        take(bank, "V3", first, other, at_once=True)
    return bank


def check(bank: Bank, *, remembering: bool) -> None:
    """The witness is lost and everybody stops: the copy that is chosen holds all that was acknowledged."""
    for server in bank.servers.values():
        server.crash()
    verdict = decide(list(bank.servers), bank.holdings(remembering=remembering), new_history="h2")
    if isinstance(verdict, SafeView):
        chosen = bank.servers[verdict.view.primary]
        assert bank.acknowledged <= set(chosen.journal)
        assert verdict.view.epoch > max(server.epoch for server in bank.servers.values())


@settings(max_examples=300)
@given(
    steps=st.lists(STEPS, min_size=5, max_size=30), servers=st.sampled_from([2, 3]), remembering=st.booleans()
)
def test_the_chosen_copy_holds_everything_that_was_ever_acknowledged(
    steps: list[tuple[str, int, int, bool]], servers: int, remembering: bool
) -> None:
    """Everything that may be acknowledged is, at once: the worst case for whoever has to keep it."""
    bank = new_bank(servers)
    everyone = list(bank.servers.values())
    for kind, first, second, at_once in steps:
        take(bank, kind, everyone[first % servers], everyone[second % servers], at_once=at_once)
        for server in everyone:
            bank.acknowledge(server)
    check(bank, remembering=remembering)


def test_nor_do_ten_thousand_careers_of_banks_find_a_loss() -> None:
    """Longer and wilder than what Hypothesis draws. Raft's comparison loses something in 10 of them."""
    for seed in range(10_000):
        fate = random.Random(seed)
        bank = new_bank(fate.choice([2, 2, 3]))
        everyone = list(bank.servers.values())
        for _ in range(fate.randint(5, 40)):
            kind = fate.choice(OFTEN)
            take(bank, kind, fate.choice(everyone), fate.choice(everyone), at_once=fate.random() < 0.6)
            for server in everyone:
                bank.acknowledge(server)
        try:
            check(bank, remembering=fate.random() < 0.5)
        except AssertionError:
            pytest.fail(f"seed {seed} loses what was acknowledged")
