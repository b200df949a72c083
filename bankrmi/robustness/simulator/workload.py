"""What simulated clients want done.

Rule 1: the simulator knows nothing of accounts: what can be replicated, and has a model, can be simulated.
Rule 2: what is said here for all holds where each request is a few operations, each of one key. A class of
        somebody else's is otherwise, and says so (`services.simulated`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import Form, form_of
from bankrmi.bank.operations import CloseAccount, Deposit, OpenAccount, Operation, Transfer, Withdraw
from bankrmi.errors import ConfigurationError
from bankrmi.replication.code_versions import VERSION_1, CodeVersions, StateVersion
from bankrmi.replication.events import Event
from bankrmi.replication.record import Position
from bankrmi.replication.replica import Replica
from bankrmi.robustness.checker.history import HistoryCall
from bankrmi.robustness.checker.verdict import Copy, HistoryVerdict, judge
from bankrmi.robustness.simulator.asked import SimulatedCall
from bankrmi.storage.journal import SqliteJournal
from bankrmi.storage.state_machine import StateMachine
from bankrmi.verifying.model import BankModel, Model
from bankrmi.verifying.record_check import RecordCheck

__all__ = ["LEDGER", "BankWorkload", "BrokenWorkload", "MethodCounts", "MigratingHost", "Talk", "Workload"]

_ERRORS_SHOWN = 5

LEDGER = {1: 100, 2: 300, 3: 450}
_NO_SUCH_ACCOUNT = 404
_COMES_AND_GOES = 405
"""Without money, so that it can be closed again and again."""
_ACCOUNTS = [*LEDGER, _NO_SUCH_ACCOUNT]


class BrokenWorkload(ConfigurationError):
    """What clients are to do cannot be done: nothing is said about what is replicated."""


@dataclass(slots=True)
class MethodCounts:
    """What calls of one method came to, in the journal; queries: as clients were answered."""

    returned: int = 0
    raised: Counter[str] = field(default_factory=Counter)

    def add(self, raised: str) -> None:
        """Count one more; `raised` is the class of an exception, or nothing."""
        if raised:
            self.raised[raised] += 1
        else:
            self.returned += 1

    @property
    def calls(self) -> int:
        """How many there were."""
        return self.returned + self.raised.total()

    def include(self, others: MethodCounts) -> None:
        """Add what was counted elsewhere."""
        self.returned += others.returned
        self.raised += others.raised

    def __str__(self) -> str:
        errors = [f"{count} raised {error}" for error, count in self.raised.most_common(_ERRORS_SHOWN)]
        return ", ".join([f"{self.returned} returned", *errors])


class MigratingHost(Protocol):
    """A simulated process, as whatever migrates its state sees it."""

    @property
    def replica(self) -> Replica:
        """Its rules."""

    @property
    def journal(self) -> SqliteJournal:
        """What it writes to now."""

    def take(self, event: Event) -> None:
        """Give an event to the rules."""

    def now_ms(self) -> float:
        """Return what its clock says."""

    def say(self, what: str, details: object) -> None:
        """Note something in the trace."""

    def twice(self, do: Callable[[], None]) -> None:
        """Now and then do something once more, after a while, if the process still lives."""


class Talk(Protocol):
    """What one client wants, call after call, where that depends on what it is told."""

    def wanted(self) -> tuple[Any, bool]:
        """Return an operation, or a query, and whether it is an operation."""

    def told(self, reply: Any, error: Exception | None) -> None:
        """Be told what came of it."""


class Workload(Protocol):
    """A state machine, and what may be asked of it."""

    counts: Mapping[str, MethodCounts] = MappingProxyType({})
    """What calls of each method came to, once all was judged, where it has methods."""

    newest: Collection[str] = ()
    """The newest of what was acknowledged, in words, where that can be told."""

    keeps_whole: bool = False
    """Whether its journal is kept whole, and its state written with every record."""

    haste: float = 1.0
    """So many times as often as else things go wrong, and clients ask something, in a world of this."""

    leaves: bool = False
    """Whether it is moved to a database in every world, and not in some."""

    releases: int = 1
    """How many releases of the code there are: servers begin with the first, and in the end have the last."""

    def code(self, release: int) -> CodeVersions:  # noqa: ARG002
        """Return which versions of what is replicated a release knows."""
        return VERSION_1

    def machine(self, release: int = 0) -> StateMachine:
        """Return a new one, for one copy on a server with this release."""

    def why_not_opened(self, release: int, journal: SqliteJournal) -> str:  # noqa: ARG002
        """Say why a server with this release does not start on such a disk; nothing if it does."""
        return ""

    def migrations(self, release: int, host: MigratingHost) -> Callable[[], None] | None:  # noqa: ARG002
        """Return what a process with this release does at every tick to get the state its next version."""
        return None

    def door(
        self,
        release: int,  # noqa: ARG002
        state_version: Callable[[], StateVersion | None],  # noqa: ARG002
    ) -> Callable[[Any], None]:
        """Return what looks at each call before the rules see it, and raises BankError for a wrong one.

        `state_version` is None while the server does not lead.
        """
        return lambda _event: None

    def is_busy_for_long(self, asked: SimulatedCall, journal: SqliteJournal) -> bool:  # noqa: ARG002
        """Whether a call is told `Busy` as long as not every server is there, though all is well."""
        return False

    def unmigrated(self, journal: SqliteJournal) -> str:  # noqa: ARG002
        """Say which version the state of a bank lacks whose servers all have the last release."""
        return ""

    def model(self) -> Model:
        """Return the opening state."""

    def operation(self, chance: random.Random) -> Any:
        """Draw an operation, as the journal keeps it."""

    def query(self, chance: random.Random) -> Any:
        """Draw what to read; None if there is nothing to be read yet."""

    def talk(self, client: str) -> Talk | None:  # noqa: ARG002
        """Return what this client wants; None if it is drawn, call by call."""
        return None

    def check(self, opening: Position, model: Any, found: Callable[[str], None]) -> RecordCheck:
        """Return what checks the records, one after the other; `model` follows."""
        return RecordCheck(opening, model, found)

    def wrong_state(self, model: Any, server: str, journal: SqliteJournal) -> str:  # noqa: ARG002
        """Say what else a copy holds that is not what the model holds; nothing if all is the same."""
        return ""

    def judge(
        self,
        calls: Sequence[HistoryCall],
        copies: Sequence[Copy],
        _journals: Sequence[SqliteJournal],
        *,
        fresh_reads: bool,
    ) -> HistoryVerdict:
        """Judge all that clients were told."""
        return judge(calls, copies, self.model(), begin_ns=0, fresh_reads=fresh_reads)


class BankWorkload(Workload):
    """The bank itself."""

    def machine(self, release: int = 0) -> StateMachine:  # noqa: ARG002
        """Return empty accounts that open with the ledger."""
        return Accounts(LEDGER)

    def model(self) -> Model:
        """Return the ledger."""
        return BankModel(LEDGER)

    def operation(self, chance: random.Random) -> Form:
        """Draw a withdrawal, a deposit, a transfer (one in six), or the opening or closing of an account."""
        account = chance.choice(_ACCOUNTS)
        amount = chance.choice([0, 1, 10, 50, 1000])
        drawn = 10 * chance.random()
        if drawn >= 9.6:
            account = _COMES_AND_GOES if account == _NO_SUCH_ACCOUNT or int(1000 * drawn) % 2 else account
            return form_of(CloseAccount(account) if drawn >= 9.8 else OpenAccount(account))
        if 4 <= drawn < 5 or drawn >= 9:
            others = [one for one in _ACCOUNTS if one != account]
            return form_of(Transfer(account, others[int(10 * drawn) % len(others)], amount))
        operation: Operation = Withdraw(account, amount) if drawn < 5 else Deposit(account, amount)
        return form_of(operation)

    def query(self, chance: random.Random) -> Any:
        """Draw an account."""
        return chance.choice(list(LEDGER))
