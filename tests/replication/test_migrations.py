"""Servers whose code knows other versions of what is replicated; the next version of the state.  Rules S5 and
S6."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import form_of
from bankrmi.bank.operations import LARGEST, Deposit, Withdraw
from bankrmi.bank.outcomes import is_done
from bankrmi.replication.cause import CauseKind
from bankrmi.replication.code_versions import (
    VERSION_1,
    CodeVersions,
    DoneMigration,
    StateVersion,
    migration_of,
    migration_session,
    state_version_of,
    stated_state,
    with_version,
)
from bankrmi.replication.events import MessageArrived, RequestArrived
from bankrmi.replication.messages import Checkpoint
from bankrmi.replication.view import View
from bankrmi.server.status import why_not_in_sync
from tests.replication.histories import comes_back, dies
from tests.replication.scenario import LEDGER, Bank, running

OLD, BOTH, NEW = CodeVersions(1, 1, 1), CodeVersions(1, 2, 1), CodeVersions(2, 2, 1)
"""What code knows: version 1; versions 1 and 2; version 2, and how to come there."""


class Changing(Accounts):
    """Accounts that have versions; a migration is a deposit, with another session; or what fails."""

    def __init__(self) -> None:
        super().__init__(LEDGER)
        self._done: list[DoneMigration] = []

    def version_at(self, action_id: int) -> StateVersion:
        version: StateVersion = 1
        for at, service, target in self._done:
            version = with_version(version, service, target) if at <= action_id else version
        return version

    def migrations_since(self, action_id: int) -> tuple[DoneMigration, ...]:
        return tuple(one for one in self._done if one.action_id > action_id)

    def apply(
        self, operations: Sequence[Any], action_id: int, moment: Any = None, told: bytes | None = None
    ) -> list[Any]:
        migration, outcomes = migration_of(moment[1][0]), super().apply(operations, action_id, moment, told)
        if migration is not None and is_done(outcomes[0]):
            self._done.append(DoneMigration(action_id, *migration))
            self.version = self.version_at(action_id)
        return outcomes

    def undo(self, operations: Sequence[Any], outcomes: Sequence[Any], action_id: int) -> None:
        super().undo(operations, outcomes, action_id)
        self._done = [one for one in self._done if one.action_id <= action_id]
        self.version = self.version_at(action_id)

    def forget(self) -> None:
        super().forget()
        self._done, self.version = [], 1


def pair(s1: CodeVersions, s2: CodeVersions) -> Bank:
    bank = running("s1", "s2", own={"s1": {"code": s1}, "s2": {"code": s2}}, machine=Changing)
    bank.withdraw("s1", "a:1", 1)
    bank.deliver_all()
    bank.told()
    return bank


def migrate(bank: Bank, name: str = "s1", *, fails: bool = False, target: int = 2, service: str = "") -> None:
    request = migration_session(target, service), bank.journals[name].tip.action_id + 1
    operation = Withdraw(1, LARGEST) if fails else Deposit(1, 1)
    bank.take(name, RequestArrived.of("migration", request, [form_of(operation)]))


def migrate_unseen(bank: Bank, *, fails: bool = False) -> None:
    """It is decided while every server can follow, and s2 crashes before it has that."""
    migrate(bank, fails=fails)
    bank.drop("s1 -> s2")
    dies(bank, "s2")
    bank.settle(lambda: view_of(bank).in_sync == {"s1"})


def give(bank: Bank, name: str, code: CodeVersions) -> None:
    """Let the next process of a server have this code."""
    bank.settings[name] = replace(bank.settings[name], code=code)


def left_with_the_next_version_only() -> Bank:
    """s2 comes back with code that cannot run the version of the state, of which it lacks an entry."""
    bank = pair(BOTH, BOTH)
    dies(bank, "s2")
    bank.settle(lambda: view_of(bank).in_sync == {"s1"})
    bank.withdraw("s1", "a:2", 1)
    give(bank, "s2", NEW)
    comes_back(bank, "s2")
    goes_by(bank, 20)
    return bank


def versions(bank: Bank) -> list[StateVersion]:
    return [bank.journals[name].version for name in ("s1", "s2")]


def view_of(bank: Bank) -> View:
    assert bank.view is not None
    return bank.view


def goes_by(bank: Bank, rounds: int = 100) -> None:
    for _ in range(rounds):
        bank.deliver_all()
        bank.wait(50)
        bank.tick()


# -- when a migration is decided -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("s1", "s2", "why"),
    [
        (BOTH, BOTH, ""),
        (BOTH, NEW, ""),
        (BOTH, OLD, "s2 has version 1: replace the module there, and start it again"),
        (OLD, OLD, None),
        (OLD, BOTH, None),
        (BOTH, CodeVersions(1, 2, 2), "s2 has version 2, and cannot migrate from 1"),
        (
            CodeVersions(1, 2, 1, "here"),
            CodeVersions(1, 2, 1, "there"),
            "s2 has another version 2: the module has to be the same on all servers",
        ),
        (CodeVersions(1, 2, 1, "here"), CodeVersions(1, 3, 1, "there"), ""),
    ],
)
def test_it_is_decided_when_every_server_can_follow(
    s1: CodeVersions, s2: CodeVersions, why: str | None
) -> None:
    if s2 is NEW:
        bank = pair(BOTH, BOTH)
        dies(bank, "s2")
        give(bank, "s2", NEW)
        comes_back(bank, "s2")
    else:
        bank = pair(s1, s2)
    assert bank.replicas["s1"].next_migrations() == (() if why is None else (("", why),))
    assert bank.replicas["s2"].next_migrations() == (), "it does not lead"
    assert bank.replicas["s1"].condition().migrations == bank.replicas["s1"].next_migrations()


def test_it_waits_for_who_is_away() -> None:
    bank = pair(BOTH, BOTH)
    bank.cut("s1", "s2")
    why = "s2 is not connected, and it is not known which version it has: start it"
    assert bank.replicas["s1"].next_migrations() == (("", why),)


def test_nothing_is_decided_after_it_before_it_is_acknowledged() -> None:
    bank = pair(BOTH, BOTH)
    bank.withdraw("s1", "a:2", 1)  # On its way: what comes meanwhile is the next group.
    migrate(bank)
    bank.withdraw("s1", "b:1", 1)
    bank.deliver("s1 -> s2", "s2 -> s1")
    assert bank.journals["s1"].tip.action_id == 3
    assert bank.journals["s2"].tip.action_id == 2
    bank.deliver_all()
    assert bank.journals["s1"].tip.action_id == bank.journals["s2"].tip.action_id == 4
    assert versions(bank) == [2, 2]


def test_one_that_waits_is_not_decided_when_a_server_cannot_follow_by_then() -> None:
    """It was proposed while all had the class. What was on its way then is acknowledged by a process that has
    the code before: that stays in sync, and whoever proposed it is told why."""
    bank = pair(BOTH, BOTH)
    bank.withdraw("s1", "a:2", 1)  # On its way.
    migrate(bank)
    bank.drop("s1 -> s2")
    bank.cut("s1", "s2")
    bank.drop("s1 looks")
    bank.crash("s2")
    give(bank, "s2", OLD)
    bank.start("s2")
    bank.link("s1", "s2")
    bank.told()
    goes_by(bank)
    assert view_of(bank).in_sync == {"s1", "s2"}
    assert versions(bank) == [1, 1]
    assert bank.tips()["s1"] == bank.tips()["s2"] == (2, view_of(bank).epoch)
    said = "s2 has version 1: replace the module there, and start it again"
    assert any(f"s1 answers migration: not yet, {said}" in line for line in bank.told())


def test_a_retry_across_it_is_told_what_came_of_it_whatever_it_looks_like_now() -> None:
    """What was asked of the class before may be put otherwise to the one that there is now."""
    bank = pair(BOTH, BOTH)
    bank.withdraw("s1", "a:1", 2)
    bank.deliver_all()
    assert any("this request id was used before, for another operation" in line for line in bank.told())
    migrate(bank)
    bank.deliver_all()
    bank.told()
    before = bank.journals["s1"].tip
    bank.withdraw("s1", "a:1", 2)
    bank.deliver_all()
    assert [line for line in bank.told() if "used before" in line] == []
    assert bank.journals["s1"].tip == before, "it is not done again"


def test_who_has_to_migrate_first_decides_and_answers_nothing_else() -> None:
    """Its code knows the version before no more: whatever is called waits, and is not said to be unknown."""
    bank = pair(BOTH, BOTH)
    dies(bank, "s1")
    dies(bank, "s2")
    for name in ("s1", "s2"):
        give(bank, name, NEW)
        comes_back(bank, name)
    bank.settle(
        lambda: (
            view_of(bank).in_sync == {"s1", "s2"} and bank.replicas[view_of(bank).primary].primary is not None
        )
    )
    name = view_of(bank).primary
    assert why_not_in_sync(bank.replicas[name].condition(), None) == (
        "the class here is of version 2, and its state is of version 1: nothing is answered before that is "
        "migrated"
    )
    bank.told()
    before = bank.journals[name].tip
    bank.withdraw(name, "b:1", 1)
    bank.read(name)
    bank.deliver_all()
    assert [line.partition(" answers ")[2] for line in bank.told()] == ["b:1: busy", "reader: busy"]
    assert bank.journals[name].tip == before
    migrate(bank, name)
    bank.deliver_all()
    bank.withdraw(name, "b:1", 1)
    bank.read(name)
    bank.deliver_all()
    assert not any("busy" in line for line in bank.told())
    assert versions(bank) == [2, 2]
    assert why_not_in_sync(bank.replicas[name].condition(), None) is None


# -- who does not know the version -----------------------------------------------------------------------


def test_who_comes_back_with_older_code_waits_outside_and_never_leads() -> None:
    bank = pair(BOTH, BOTH)
    migrate(bank)
    bank.deliver_all()
    dies(bank, "s2")
    give(bank, "s2", OLD)
    comes_back(bank, "s2")
    bank.settle(lambda: view_of(bank).in_sync == {"s1"})
    goes_by(bank)
    assert view_of(bank).in_sync == {"s1"}
    shown = bank.replicas["s2"].condition()
    assert (shown.state_versions["s1"], shown.codes["s1"]) == (2, BOTH)
    dies(bank, "s1")
    bank.told()
    goes_by(bank)
    assert [line for line in bank.told() if "s2 proposes" in line] == []

    dies(bank, "s2")
    comes_back(bank, "s1")
    give(bank, "s2", NEW)
    comes_back(bank, "s2")
    bank.settle(lambda: view_of(bank).in_sync == {"s1", "s2"})


def test_a_member_with_older_code_is_left_behind_at_once_and_takes_nothing() -> None:
    bank = pair(BOTH, BOTH)
    migrate(bank)
    bank.deliver_all()
    bank.crash("s2")
    give(bank, "s2", OLD)
    bank.cut_off("s1", "s2")
    bank.start("s2")
    bank.link("s1", "s2")
    bank.settle(lambda: view_of(bank).in_sync == {"s1"})
    cause = view_of(bank).cause
    assert cause is not None
    assert cause.kind is CauseKind.OTHER_VERSION
    assert cause.in_words == "s2 left behind: its code does not know the version of the state"


def test_a_primary_that_stops_before_it_has_migrated_is_left_for_its_code() -> None:
    """It handed the lead to a server that goes on with the version of before; which took it for silent, and
    stopped ("a bug") where it was not even that."""
    bank = pair(CodeVersions(3, 3, 1), BOTH)
    assert view_of(bank).primary == "s1"
    bank.stop("s1")
    bank.settle(lambda: view_of(bank).primary == "s2" and view_of(bank).in_sync == {"s2"})
    cause = view_of(bank).cause
    assert cause is not None
    assert cause.kind is CauseKind.OTHER_VERSION


def test_a_member_with_older_code_does_not_lead_when_the_primary_dies() -> None:
    bank = pair(BOTH, BOTH)
    migrate(bank)
    bank.deliver_all()
    dies(bank, "s2")
    bank.drop("s1 proposes")
    dies(bank, "s1")
    give(bank, "s2", OLD)
    bank.start("s2")
    assert view_of(bank).in_sync == {"s1", "s2"}
    goes_by(bank)
    assert view_of(bank).primary == "s1"
    assert bank.replicas["s2"].condition().code == OLD
    bank.crash("s2")
    give(bank, "s2", BOTH)
    bank.start("s2")
    bank.settle(lambda: view_of(bank).primary == "s2" and bank.replicas["s2"].primary is not None)


def test_the_lead_is_given_to_nobody_with_older_code() -> None:
    bank = pair(BOTH, BOTH)
    bank.journals["s1"].machine.version = 5  # type: ignore[misc]  # As no code here knows.
    bank.switch_over("s1", "s2")
    assert any(
        "s2 has version 2 of what is served, and the state is of version 5" in line for line in bank.told()
    )


@pytest.mark.parametrize("comes_back_with", [BOTH, OLD])
def test_one_that_was_not_acknowledged_is_taken_back_if_another_leads(comes_back_with: CodeVersions) -> None:
    """A member came back with older code in the moment in which it was decided: it does not take it."""
    bank = pair(BOTH, BOTH)
    migrate(bank)
    bank.drop("s1 -> s2")
    bank.crash("s2")
    bank.cut_off("s1", "s2")
    give(bank, "s2", OLD)
    bank.start("s2")
    bank.link("s1", "s2")
    assert versions(bank) == [2, 1]
    while any(letter.text.startswith("s1 -> s2") for letter in bank.mail):
        bank.deliver("s1 -> s2")
    assert versions(bank) == [2, 1], "it takes nothing that it does not know"
    bank.drop()
    dies(bank, "s1")
    bank.told()
    bank.settle(lambda: view_of(bank).primary == "s2" and bank.replicas["s2"].primary is not None)
    give(bank, "s1", comes_back_with)
    comes_back(bank, "s1")
    bank.withdraw("s2", "a:2", 1)
    bank.settle(lambda: view_of(bank).in_sync == {"s1", "s2"})
    assert versions(bank) == [1, 1]
    assert bank.journals["s1"].tip == bank.journals["s2"].tip


def test_who_cannot_run_the_version_before_waits_for_the_next_one() -> None:
    bank = left_with_the_next_version_only()
    assert view_of(bank).in_sync == {"s1"}
    migrate(bank)
    bank.deliver_all()
    bank.told()
    goes_by(bank, 40)
    assert any("copy" in line for line in bank.told()), "what was decided before it cannot do again"


def test_who_knows_the_next_version_only_says_that_it_waits_for_that_and_then_what_it_does() -> None:
    """What the primary's version was when they met is no reason to replace a module, when it is another one
    by now."""
    bank = left_with_the_next_version_only()
    assert why_not_in_sync(bank.replicas["s2"].condition(), None) == (
        "the class here is of version 2, and s1 leads with a state of version 1: this server is let in once "
        "that is migrated, and s1 says what it waits for"
    )
    shown = replace(bank.replicas["s2"].condition(), codes={"s1": OLD})
    assert why_not_in_sync(shown, None) == (
        "the class here is of version 2, and s1 leads with a state of version 1: replace the module there, "
        "too, or name the class before as `previous` here (on s2)"
    )
    migrate(bank)
    while not any(letter.text.startswith("s2 fetches") for letter in bank.mail):
        bank.wait(25)
        bank.tick()
        bank.mail.pop(0).arrive()
    assert why_not_in_sync(bank.replicas["s2"].condition(), None) == "waiting for s1 to make a copy"


@pytest.mark.parametrize(
    "code",
    [
        CodeVersions(1, 2, 2),  # It names the class before, and has lost the migration.
        CodeVersions(1, 3, 2),
    ],
)
def test_who_runs_both_versions_and_cannot_migrate_gets_a_copy(code: CodeVersions) -> None:
    """It was there when the migration was decided, crashed before it had that, and came back with a module
    from which somebody has removed what was done: of what it is sent it could take nothing, for ever."""
    bank = pair(BOTH, BOTH)
    migrate_unseen(bank)
    give(bank, "s2", code)
    comes_back(bank, "s2")
    bank.settle(lambda: view_of(bank).in_sync == {"s1", "s2"})
    assert versions(bank) == [2, 2]
    assert any("copy" in line for line in bank.told())


def test_who_knows_a_service_in_a_later_version_than_it_was_created_in_gets_a_copy() -> None:
    """What precedes is a call of what was there before, which it knows."""
    first, both, later = (
        VERSION_1._replace(beside=(("orders", CodeVersions(*known)),))
        for known in ((1, 1, 1), (1, 2, 1), (2, 2, 1))
    )
    bank = pair(first, first)
    bank.withdraw("s1", "a:2", 1)  # On its way: what comes meanwhile is the next group.
    bank.withdraw("s1", "b:1", 1)
    migrate(bank, target=1, service="orders")
    bank.deliver("s1 -> s2", "s2 -> s1")
    bank.drop("s1 -> s2")
    dies(bank, "s2")
    bank.settle(lambda: view_of(bank).in_sync == {"s1"})
    dies(bank, "s1")
    give(bank, "s1", both)
    give(bank, "s2", later)
    comes_back(bank, "s1")
    bank.settle(lambda: bank.replicas["s1"].primary is not None)
    comes_back(bank, "s2")
    migrate(bank, target=2, service="orders")
    bank.settle(lambda: view_of(bank).in_sync == {"s1", "s2"})
    assert versions(bank) == [of(1, orders=2)] * 2
    assert any("copy" in line for line in bank.told())


def test_who_can_do_again_what_was_decided_meanwhile_gets_that_and_no_copy() -> None:
    bank = pair(BOTH, BOTH)
    migrate_unseen(bank)
    bank.withdraw("s1", "a:2", 1)
    bank.deliver_all()
    give(bank, "s2", NEW)  # It knows version 1 no more, and nothing was called of that.
    comes_back(bank, "s2")
    bank.settle(lambda: view_of(bank).in_sync == {"s1", "s2"})
    assert versions(bank) == [2, 2]
    assert not any("copy" in line for line in bank.told())


def test_who_can_only_migrate_leads_and_does_that_first() -> None:
    """Both servers were stopped, and both got a class that does not name the one before."""
    bank = pair(BOTH, BOTH)
    dies(bank, "s2")
    bank.drop("s1 proposes")
    dies(bank, "s1")
    for name in ("s1", "s2"):
        give(bank, name, NEW)
        bank.start(name)
    bank.link("s1", "s2")
    bank.settle(lambda: bank.replicas["s1"].primary is not None and view_of(bank).in_sync == {"s1", "s2"})
    assert bank.replicas["s1"].next_migrations() == (("", ""),)
    migrate(bank)
    bank.deliver_all()
    assert versions(bank) == [2, 2]
    assert view_of(bank).in_sync == {"s1", "s2"}


@pytest.mark.parametrize(
    "form",
    [
        None,
        3,
        {},
        {"oldest": 0, "newest": 1, "migrates_from": 1},
        {"oldest": 1, "newest": True, "migrates_from": 1},
    ],
)
def test_what_cannot_be_read_is_version_1_of_everything(form: object) -> None:
    assert CodeVersions.of_stated(form) == CodeVersions()


def test_what_is_stated_can_be_read() -> None:
    code = CodeVersions(2, 5, 1, "abc")
    assert CodeVersions.of_stated(code.stated()) == code
    assert CodeVersions.of_stated({**code.stated(), "digest": "x" * 1000}).digest == ""


# --- several services (S8) --------------------------------------------------------------------------------

ORDERS = CodeVersions(1, 2, 1, beside=(("orders", CodeVersions(1, 2, 1)),))
ALONE = CodeVersions(1, 2, 1)


def of(home: int, **beside: int) -> StateVersion:
    version: StateVersion = home
    for service, one in beside.items():
        version = with_version(version, service, one)
    return version


@pytest.mark.parametrize(
    ("code", "version", "runs", "steps"),
    [
        (ORDERS, of(2), True, ["orders"]),
        (ORDERS, of(1), True, ["", "orders"]),
        (ORDERS, of(2, orders=1), True, ["orders"]),
        (ORDERS, of(2, orders=2), True, []),
        (ORDERS, of(2, orders=3), False, []),
        (ORDERS, of(2, other=1), False, ["orders"]),
        (ALONE, of(1), True, [""]),
        (ALONE, of(1, orders=1), False, [""]),
        (ALONE, of(3), False, []),
    ],
)
def test_a_service_that_is_not_there_is_one_to_be_made_and_one_that_is_has_to_be_known(
    code: CodeVersions, version: StateVersion, runs: bool, steps: list[str]
) -> None:
    assert code.runs(version) is runs
    assert list(code.steps(version)) == steps
    assert code.may_lead(version) is runs
    assert code.migrates(version) is (runs and bool(steps))


def test_whoever_follows_knows_what_is_made() -> None:
    assert ORDERS.makes("orders", 1, of(1)), "created as it was before"
    assert ORDERS.makes("orders", 2, of(1))
    assert ORDERS.makes("orders", 2, of(1, orders=1))
    assert not ORDERS.makes("orders", 3, of(1))
    assert not ALONE.makes("orders", 1, of(1))
    assert ALONE.makes("", 2, of(1))


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (CodeVersions(1, 2, 1), ""),
        (CodeVersions(1, 3, 1), ""),
        (CodeVersions(1, 1, 1), "s2 has version 1, and version 2 would be created: the module has to be"),
        (CodeVersions(3, 3, 2), "s2 has version 3, and version 2 would be created: the module has to be"),
    ],
)
def test_a_service_is_created_in_a_version_that_every_server_knows(there: CodeVersions, why: str) -> None:
    """Else whoever cannot follow would be left behind at once."""
    ours = ALONE._replace(newest=1, beside=(("orders", CodeVersions(1, 2, 1)),))
    bank = pair(ours, ours._replace(beside=(("orders", there),)))
    [(service, said)] = bank.replicas["s1"].next_migrations()
    assert service == "orders"
    assert said.startswith(why)
    assert bool(said) is bool(why)


def test_what_is_proposed_twice_does_nothing_the_second_time_and_keeps_nobody_out() -> None:
    """A service that is created again, or a migration: whoever has code of whichever version follows."""
    only_new = CodeVersions(2, 2, 2)
    assert ORDERS.makes("orders", 1, of(1, orders=1))
    assert ORDERS.makes("orders", 1, of(1, orders=2))
    assert only_new.makes("", 2, of(2))
    assert not only_new.makes("", 2, of(1))


def test_what_is_stated_of_several_is_understood() -> None:
    assert CodeVersions.of_stated(ORDERS.stated()) == ORDERS
    for version in (of(1), of(2, orders=1, other=3)):
        assert state_version_of(stated_state(version)) == version
    for session in ("orders", "a-1", "1", ""):
        assert migration_of(migration_session(12, session)) == (session, 12)


@pytest.mark.parametrize(
    "beside",
    [7, [], {"orders": 1}, {"a b": ORDERS.stated()}, {1: ORDERS.stated()}, {f"s{n}": {} for n in range(99)}],
)
def test_what_is_no_service_is_not_believed(beside: object) -> None:
    assert CodeVersions.of_stated({**ALONE.stated(), "beside": beside}) == ALONE
    assert state_version_of({"state": 2, "states_beside": beside}) in (2, of(2, orders=1))


def test_who_goes_back_to_the_code_before_after_one_that_failed_follows() -> None:
    bank = pair(BOTH, BOTH)
    migrate_unseen(bank, fails=True)
    bank.withdraw("s1", "a:2", 1)
    bank.deliver_all()
    give(bank, "s2", OLD)
    comes_back(bank, "s2")
    bank.settle(lambda: view_of(bank).in_sync == {"s1", "s2"})
    assert versions(bank) == [1, 1]
    assert bank.tips()["s1"] == bank.tips()["s2"]


def test_a_migration_that_failed_has_made_nothing_that_newer_code_could_go_on_from() -> None:
    """In one message with what came after it: a primary that knows both may send that before its view
    changes, and code that knows version 2 alone cannot do it."""
    bank = pair(BOTH, BOTH)
    migrate_unseen(bank, fails=True)
    bank.withdraw("s1", "a:2", 1)
    bank.deliver_all()
    give(bank, "s2", NEW)
    comes_back(bank, "s2")
    bank.deliver_all()
    ours, view = bank.journals["s1"], view_of(bank)
    previous = ours.position(1)
    assert previous is not None
    message = Checkpoint(
        history=view.history,
        epoch=view.epoch,
        primary="s1",
        start_id=view.start_id,
        number=100,
        previous=previous,
        base=previous,
        acknowledged=1,
        lease_ms=0,
        drift_ms=0,
        records=ours.records(1, 10),
    )
    bank.take("s2", MessageArrived("a server", message, None))
    bank.deliver_all()
    assert (bank.tips()["s1"][0], bank.tips()["s2"][0]) == (3, 2)
    assert versions(bank) == [1, 1]
