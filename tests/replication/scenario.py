"""Two or three servers in one hand: the test delivers each message itself, in whatever order it likes.

Rule 1: nothing happens by itself: no clock, no socket, no chance.  What a server sends lies in `mail`
        until it is delivered, dropped, or delivered twice.
Rule 2: every effect is a sentence of the trace, in the order of duty; `told()` returns the new ones.
Rule 3: a commit is durable at once, but for servers in `slow_disks`: theirs lie in `mail`, too. A crash
        forgets what is not durable.

The sentences are in `words`; `hand` carries out what a server wants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import form_of
from bankrmi.bank.operations import Operation, Withdraw
from bankrmi.coordination.succession import decided
from bankrmi.protocol_versions import NEWEST
from bankrmi.replication import effects as do
from bankrmi.replication import messages as say
from bankrmi.replication.cause import CauseKind
from bankrmi.replication.events import (
    CallersGone,
    CoordinatorSilent,
    CopyEnded,
    Event,
    LinkChanged,
    MessageArrived,
    OutcomeAsked,
    Overdue,
    PauseAsked,
    Probed,
    ReadArrived,
    RequestArrived,
    RetireAsked,
    ServersAsked,
    StopAsked,
    SwitchoverAsked,
    TakeoverAsked,
    Tick,
)
from bankrmi.replication.journal import Adopted
from bankrmi.replication.pause import Pause
from bankrmi.replication.replica import Replica
from bankrmi.replication.settings import Settings
from bankrmi.replication.view import View
from bankrmi.robustness.simulator.images import Images
from bankrmi.storage.database import open_in_memory
from bankrmi.storage.folding import Keeping
from bankrmi.storage.journal import SqliteJournal, WriteBehind
from bankrmi.storage.state_machine import StateMachine
from tests.replication.hand import Hand
from tests.replication.words import view_in_words

LEDGER = {1: 100, 2: 300}


def home(server: str) -> str:
    """Return where a server lives, until it is moved."""
    return f"{server}:9101"


@dataclass(frozen=True, slots=True)
class Letter:
    """Something on its way; `arrive` is what happens when it does."""

    text: str
    arrive: Callable[[], None]


class Bank:
    """The servers, their disks, the witness's record, and the mail between them."""

    def __init__(
        self,
        *servers: str,
        own: Mapping[str, Any] | None = None,
        keeping: Keeping | None = None,
        behind: WriteBehind | None = None,
        machine: Callable[[], StateMachine] = lambda: Accounts(LEDGER),
        **settings: Any,
    ) -> None:
        """Of these servers, with these settings; `own` has what one of them was told alone."""
        self._keeping, self._behind, self._machine = keeping, behind, machine
        self.now_ms = 0.0
        self.mail: list[Letter] = []
        self.trace: list[str] = []
        self.view: View | None = None
        self.starts = dict.fromkeys(servers, 0)
        self.settings = {
            name: Settings(
                server=name,
                servers=servers,
                address=home(name),
                addresses={other: home(other) for other in servers},
                **{**settings, **(own or {}).get(name, {})},
            )
            for name in servers
        }
        self.slow_disks: set[str] = set()
        self.journals = {name: self._disk(name) for name in servers}
        self._images: dict[str, Images] = {}  # Of those that have commits under way.
        self.replicas: dict[str, Replica] = {}
        self._hands: dict[str, Hand] = {}
        self.contradictions: list[tuple[str, str]] = []  # (server, what it said that cannot be)
        self.reports: list[str] = []  # What was told to people, and of which server.
        self.old: set[str] = set()  # Servers whose processes are of bankrmi 1.0.
        self._copies: dict[str, SqliteJournal] = {}
        self._disks = 0

    def _disk(self, name: str) -> SqliteJournal:
        self._disks = getattr(self, "_disks", 0) + 1
        number = self._disks
        return self._journal(open_in_memory(), f"{name}-disk{number}")

    def _journal(self, database: Any, incarnation: str) -> SqliteJournal:
        return SqliteJournal(
            database,
            self._machine(),
            new_incarnation=lambda: incarnation,
            keeping=self._keeping,
            behind=self._behind,
        )

    # -- what happens to servers -----------------------------------------------------------------

    def start(self, name: str) -> None:
        """Start a process; it has no links yet."""
        self.starts[name] += 1
        if name in self.slow_disks:
            self._images[name] = Images(self.journals[name])
        replica = self.replicas[name] = Replica(
            self.settings[name],
            self.journals[name],
            start_id=f"{name}#{self.starts[name]}",
            now_ms=self.now_ms,
            new_id=lambda: "history" if self.view is None else f"after-{self.view.epoch}",
        )
        self._hands[name] = Hand(self, name, replica)

    def new_server(self, name: str, *, address: str = "") -> None:
        """A machine with an empty disk, whose file has this server and all others; it is not started yet."""
        first = next(iter(self.settings.values()))
        servers = (*self.settings, name) if name not in self.settings else tuple(self.settings)
        lives_at = address or home(name)
        addresses = {other: home(other) for other in servers} | {name: lives_at}
        self.settings[name] = replace(
            first, server=name, servers=servers, address=lives_at, addresses=addresses
        )
        self.starts.setdefault(name, 0)
        self.journals[name] = self._disk(name)

    def change(self, name: str, kind: CauseKind, server: str, address: str | None = None) -> None:
        """An operator wants a server added, removed or moved (V12)."""
        self.take(name, ServersAsked("operator", kind, server, address))

    def crash(self, name: str, *, wipe: bool = False) -> None:
        """End a process; nobody is told."""
        del self.replicas[name]
        self._hands.pop(name).carrier.end()
        self.drop(f"disk of {name}")
        if wipe:
            self._images.pop(name, None)
            self.journals[name] = self._disk(name)
        elif name in self._images:
            kept = self._images.pop(name).after_crash(0).database()
            self.journals[name] = self._journal(kept, self.journals[name].incarnation)
        else:
            self.journals[name].discard()

    def commit(self, name: str, done: Callable[[], None]) -> None:
        """Make durable what a server has written; now, or when its letter is delivered."""
        journal = self.journals[name]
        if name not in self.slow_disks and name not in self._images:
            journal.commit()
            done()
            return
        images = self._images[name]
        journal.write()
        images.written(journal)
        self.post(f"disk of {name}: durable", lambda: self._durable(name, images, done))

    def _durable(self, name: str, images: Images, done: Callable[[], None]) -> None:
        images.ended()
        if not images.under_way and name not in self.slow_disks:
            del self._images[name]
        done()
        if name in self._hands:
            self._hands[name].go_on()

    def slow_down(self, *names: str) -> None:
        """From now on the commits of these servers lie in the mail until they are delivered."""
        for name in names:
            self.slow_disks.add(name)
            self._images[name] = Images(self.journals[name])

    def finish_commits(self, name: str) -> None:
        """Deliver all commits of a server that are under way."""
        while any(letter.text.startswith(f"disk of {name}") for letter in self.mail):
            self.deliver(f"disk of {name}")

    def take(self, name: str, event: Event) -> None:
        """Let a server take an event, and carry out what it wants."""
        if name in self._hands:
            self._hands[name].take(event)

    def tick(self, *names: str, late_ms: float = 0.0) -> None:
        """Let servers notice the time; late, if they were busy for `late_ms`, and could read nothing."""
        for name in names or list(self.replicas):
            self.take(name, Tick(late_ms))

    def forget(self, name: str, *tokens: str) -> None:
        """Nobody waits for these answers any more."""
        self.take(name, CallersGone(frozenset(tokens)))

    def turn_away(self, name: str, *tokens: str) -> None:
        """Who waits for these has not much time left."""
        self.take(name, Overdue(frozenset(tokens)))

    def wait(self, ms: float) -> None:
        """Let time pass; nobody notices before the next event."""
        self.now_ms += ms

    def link(self, one: str, other: str) -> None:
        """Connect two servers, both ways."""
        for caller, called in ((one, other), (other, one)):
            start_id = self.replicas[called].start_id
            up = LinkChanged(
                server=called,
                up=True,
                start_id=start_id,
                begun_ms=self.now_ms,
                protocol=self.protocol(one, other),
                code=self.settings[called].code,
                state_version=self.journals[called].version,
            )
            self.take(caller, up)

    def protocol(self, *servers: str) -> int:
        """Return the version of the protocol that these servers speak with each other."""
        return 1 if self.old & {*servers} else NEWEST

    def cut(self, one: str, other: str) -> None:
        """Let both servers notice that their connection is lost, and lose what was on its way."""
        for caller, called in ((one, other), (other, one)):
            self.take(caller, LinkChanged(server=called, up=False))
            self.drop(f"{caller} -> {called}")

    def cut_off(self, one: str, gone: str) -> None:
        """Let a server notice that its connection to one that is gone is lost."""
        self.take(one, LinkChanged(server=gone, up=False))

    # -- mail ------------------------------------------------------------------------------------

    def find(self, start: str) -> Letter:
        """Return the oldest letter that begins so.

        Whoever leaves others behind makes sure that he hears the witness: that is done before his proposal.
        """
        name, _, what = start.partition(" ")
        if what.startswith("proposes") and not any(letter.text.startswith(start) for letter in self.mail):
            self.hear(name)
        found = [letter for letter in self.mail if letter.text.startswith(start)]
        assert found, f"no letter begins {start!r}: {[letter.text for letter in self.mail]}"
        return found[0]

    def hear(self, name: str) -> None:
        """Let a server hear the witness, if it wants to."""
        reads = f"{name} reads the view"
        if any(letter.text == reads for letter in self.mail):
            self.deliver(reads, f"witness -> {name}")

    def deliver(self, *starts: str, keep: bool = False) -> None:
        """Deliver the oldest letter that begins so; `keep` leaves another one of it on its way."""
        for start in starts:
            letter = self.find(start)
            if not keep:
                self.mail.remove(letter)
            letter.arrive()

    def drop(self, start: str = "") -> None:
        """Lose every letter that begins so."""
        self.mail = [letter for letter in self.mail if not letter.text.startswith(start)]

    def deliver_all(self) -> None:
        """Deliver whatever is on its way, and what comes of it, in order."""
        for _ in range(1000):
            if not self.mail:
                return
            self.mail.pop(0).arrive()
        raise AssertionError(f"the mail never ends: {[letter.text for letter in self.mail]}")

    def deliver_all_but_disks(self) -> None:
        """Deliver whatever is on its way between servers, and what comes of it; disks do nothing."""
        for _ in range(1000):
            letter = next((one for one in self.mail if not one.text.startswith("disk of")), None)
            if letter is None:
                return
            self.mail.remove(letter)
            letter.arrive()
        raise AssertionError(f"the mail never ends: {[letter.text for letter in self.mail]}")

    def settle_but_for_disks(self, done: Callable[[], bool]) -> None:
        """Let time pass and everything arrive but what slow disks do, until it is so."""
        self._settle(done, self.deliver_all_but_disks)

    def settle(self, done: Callable[[], bool]) -> None:
        """Let time pass and everything arrive, until it is so."""
        self._settle(done, self.deliver_all)

    def _settle(self, done: Callable[[], bool], deliver: Callable[[], None]) -> None:
        for _ in range(400):
            deliver()
            if done():
                return
            self.wait(25)
            self.tick()
        raise AssertionError("it never came to that: " + "; ".join(self.trace[-12:]))

    def told(self) -> list[str]:
        """Return what has been done since this was asked last."""
        told, self.trace = self.trace, []
        return told

    # -- clients and operators -------------------------------------------------------------------

    def withdraw(self, name: str, request: str, amount: int, account: int = 1) -> None:
        self.request(name, request, Withdraw(account, amount))

    def request(self, name: str, request: str, *operations: Operation) -> None:
        """A client asks a server; `request` is SESSION:SEQ, and names the caller in the trace."""
        session, number = request.split(":")
        forms = [form_of(operation) for operation in operations]
        self.take(name, RequestArrived.of(request, (session, int(number)), forms))

    def outcome(self, name: str, request: str) -> None:
        session, number = request.split(":")
        self.take(name, OutcomeAsked(f"outcome of {request}", (session, int(number))))

    def read(self, name: str, account: int = 1, seen: tuple[str, int] | None = None) -> None:
        self.take(name, ReadArrived("reader", account, seen))

    def switch_over(self, name: str, target: str | None = None) -> None:
        self.take(name, SwitchoverAsked("operator", target))

    def take_over(self, name: str, *, forced: bool = False, resumes: bool = False) -> None:
        """An operator wants a server to lead, after he was shown the view as it is now."""
        assert self.view is not None
        shown = self.view.history, self.view.epoch
        wish = TakeoverAsked(
            token="operator", expected=shown, operator="anna", forced=forced, resumes=resumes
        )
        self.take(name, wish)

    def pause(self, name: str, reason: str | None = "new cables") -> None:
        pause = Pause(by="anna", since_us=1, reason=reason)
        self.take(name, PauseAsked(token="operator", pause=pause, operator="anna"))

    def resume(self, name: str) -> None:
        self.take(name, PauseAsked(token="operator", pause=None, operator="anna"))

    def retire(self, name: str, retired_for: str | None, seen: tuple[str, int] | None = None) -> None:
        self.take(name, RetireAsked(token="operator", retired_for=retired_for, operator="anna", seen=seen))

    def stop(self, name: str) -> None:
        self.take(name, StopAsked())

    def balances(self) -> dict[str, int]:
        """Return account 1 of every disk."""
        return {name: journal.read(1) for name, journal in self.journals.items()}

    def tips(self) -> dict[str, tuple[int, int]]:
        """Return (action id, epoch) of the newest entry of every disk."""
        return {name: journal.tip[:2] for name, journal in self.journals.items()}

    def holdings(self, name: str) -> say.Holdings:
        """Ask a server what it holds."""
        asked = MessageArrived("census", say.Census(server="somebody"))
        for effect in self.replicas[name].step(asked, now_ms=self.now_ms):
            if isinstance(effect, do.Answer) and isinstance(effect.reply, say.Holdings):
                return effect.reply
        raise AssertionError(f"{name} does not say what it holds")

    # -- the mail and the witness ----------------------------------------------------------------

    def post(self, text: str, arrive: Callable[[], None]) -> None:
        self.mail.append(Letter(text, arrive))

    def take_for(self, name: str, start: int, event: Event) -> None:
        if self.starts[name] == start:
            self.take(name, event)

    def ask_witness(
        self, name: str, text: str, decide: Callable[[], Any], answer: Callable[[Any], None]
    ) -> None:
        """Two letters: the question, and when that has arrived, the answer."""

        def arrive() -> None:
            decided = decide()
            self.post(f"witness -> {name}", lambda: answer(decided))

        self.post(text, arrive)

    def witness_silent(self, name: str, *, proposal: bool, sent: bool = True) -> None:
        """The server gives up waiting for the witness; its question, if sent, may still be on its way."""
        self.take(name, CoordinatorSilent(proposal=proposal, sent=sent))

    def decide(self, view: View, expected: tuple[str, int] | None) -> View | None:
        """Let a proposal win, or not; return the view as it is then."""
        verdict = decided(self.view, expected, view)
        assert verdict.objection is None, verdict.objection
        if verdict.follows:
            self.view = view
            self.trace.append(f"witness: {view_in_words(view)}")
        return self.view

    def probed(self, server: str, epoch: int) -> Probed:
        """Return what a look at a server finds now."""
        other = self.replicas.get(server)
        return Probed(
            server=server,
            begun_ms=self.now_ms,
            epoch=epoch,
            refused=other is None,
            start_id=other.start_id if other else None,
            address=home(server),
        )

    def put_in_place(self, name: str, adopted: Adopted) -> SqliteJournal:
        """Let the copy that a server has fetched be its disk."""
        copy = self.journals[name] = self._copies.pop(name)
        self._disks += 1
        copy.make_own(f"{name}-disk{self._disks}", adopted)
        copy.commit()
        if name in self._images:
            self._images[name] = Images(copy)
        return copy

    def fetch(self, name: str, primary: str) -> None:
        """Give a server a copy of what the primary holds now."""
        self._copies[name] = self._journal(self.journals[primary].copied_to(open_in_memory()), "")
        self.take(name, CopyEnded(fetched=True))


def running(*servers: str, **settings: Any) -> Bank:
    """Return a bank whose servers are all in sync, the first one leading; nothing is on its way."""
    bank = Bank(*servers, **settings)
    for name in servers:
        bank.start(name)
    for place, name in enumerate(servers):
        for other in servers[place + 1 :]:
            bank.link(name, other)
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == set(servers) and follows(bank))
    bank.told()
    return bank


def follows(bank: Bank) -> bool:
    """Whether the primary of the view leads it, and everyone knows."""
    assert bank.view is not None
    primary = bank.replicas[bank.view.primary].primary
    everyone_knows = all(replica.view == bank.view for replica in bank.replicas.values())
    return primary is not None and primary.view == bank.view and everyone_knows
