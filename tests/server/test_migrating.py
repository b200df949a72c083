"""When a server proposes the next version of its class, and when it does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bankrmi.replication.code_versions import CodeVersions, SeveralVersions, migration_of
from bankrmi.replication.effects import IsBusy, NotLeading, NotYet, Reply
from bankrmi.replication.events import Event, RequestArrived
from bankrmi.replication.record import unpacked
from bankrmi.server.migrating import PAUSED_LIMIT_MS, Migrations
from bankrmi.server.status import migration_shown
from bankrmi.service import ServedServices, described
from bankrmi.service.calls import called
from bankrmi.service.versions import FailedMigration
from bankrmi.storage.journal import SqliteJournal
from tests.service.changed_classes import Broken, Hasty, Stock, Stock1, Stock2
from tests.service.copies import Copy


@dataclass
class Host:
    """A server that does at once what is proposed, or forgets it."""

    copy: Copy
    why: str | None = ""
    others: tuple[tuple[str, str], ...] = ()
    view: Any = field(default_factory=lambda: SimpleNamespace(epoch=1, paused=None))
    loses: bool = False
    refuses: Reply | None = None
    has_ms: float = 60_000
    taken: list[str] = field(default_factory=list)
    limits_ms: list[float] = field(default_factory=list)

    @property
    def replica(self) -> Any:
        return SimpleNamespace(view=self.view, next_migrations=lambda: self.next_migrations())

    def next_migrations(self) -> tuple[tuple[str, str], ...]:
        first = () if self.why is None else (("", self.why),)
        return tuple(sorted((*first, *self.others), key=lambda one: bool(one[1])))

    @property
    def journal(self) -> SqliteJournal:
        return self.copy.journal

    def take(self, event: Event) -> None:
        assert isinstance(event, RequestArrived)
        self.taken.append(called(unpacked(event.operations)[0]).method)
        self.limits_ms.append(self.copy.machine.migration_limit_ms)
        if self.refuses is not None:
            event.token.reply(self.refuses)
        elif not self.loses:
            migration = migration_of(event.request[0])
            assert migration is not None
            service, target = migration
            self.copy.migrate(target, service, limit_ms=self.has_ms)


class Log:
    """What was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, event: str, **details: Any) -> None:
        self.lines.append(f"{event} {details}")

    error = info


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    copy = Copy(tmp_path / "s1" / "bank.db", Stock1, limit_ms=100)
    yield copy
    copy.journal.close(writes=False)


def serving(copy: Copy, kind: Any, **how: Any) -> tuple[Host, Migrations, Log]:
    copy.change(kind)
    host, log = Host(copy, **how), Log()
    return host, Migrations(host, described(kind), log), log


def test_it_goes_from_version_to_version_and_then_rests(copy: Copy) -> None:
    host, migrations, log = serving(copy, Stock)
    for _ in range(10):
        migrations.tick()
    assert host.taken == ["migrate_1_to_2", "migrate_2_to_3"]
    assert host.limits_ms == [100, 100], "the time of a call"
    assert log.lines[-1] == "the state is of another version {'version': 3, 'was': 2}"


@pytest.mark.parametrize("why", [None, "s2 has version 1"])
def test_it_waits_while_it_may_not_and_says_so_once(copy: Copy, why: str | None) -> None:
    host, migrations, log = serving(copy, Stock, why=why)
    for _ in range(5):
        migrations.tick()
    assert host.taken == []
    assert len(log.lines) == (why is not None)
    host.why = ""
    migrations.tick()
    assert host.taken == ["migrate_1_to_2"]


def test_what_failed_is_tried_again_with_more_time_or_in_another_process(copy: Copy) -> None:
    copy.call("put", "pear", 1)
    host, migrations, log = serving(copy, Broken)
    for _ in range(5):
        migrations.tick()
    assert len(host.taken) == 1
    assert "a migration failed" in log.lines[-1]
    assert "KeyError: 'pear'" in log.lines[-1]
    host.view = SimpleNamespace(epoch=2, paused=None)
    migrations.tick()
    assert len(host.taken) == 1, "another view is no reason"
    host.view = SimpleNamespace(epoch=3, paused=object())
    for _ in range(5):
        migrations.tick()
    assert host.limits_ms == [100, PAUSED_LIMIT_MS]
    copy.call("drop", "pear")
    again = Migrations(host, described(Broken), log)
    again.tick()
    assert copy.journal.version == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # In Hypothesis' callback.
def test_one_that_takes_too_long_says_that_it_gets_more_time_while_takeover_is_paused(copy: Copy) -> None:
    copy.call("put", "fig", 1)
    _, migrations, _ = serving(copy, Hasty, has_ms=50)
    migrations.tick()
    words = copy.machine.failures[""].words
    assert "took more than 50 ms" in words
    assert "bankrmi pause" in words


def test_what_was_lost_with_the_lead_is_proposed_again(copy: Copy) -> None:
    host, migrations, _ = serving(copy, Stock, loses=True)
    for _ in range(3):
        migrations.tick()
    assert len(host.taken) == 1, "it may still be decided"
    host.why = None  # It leads no more.
    migrations.tick()
    host.why, host.view = "", SimpleNamespace(epoch=5, paused=None)
    migrations.tick()
    assert len(host.taken) == 2


@pytest.mark.parametrize("reply", [IsBusy(), NotYet("s2 has version 1"), NotLeading(None, True)])
def test_what_the_rules_do_not_decide_is_proposed_again(copy: Copy, reply: Reply) -> None:
    """There was no room for it, or a server could not follow when it was its turn: in the same view."""
    host, migrations, _ = serving(copy, Stock2, refuses=reply)
    for tries in range(1, 4):
        migrations.tick()
        assert len(host.taken) == tries
    host.refuses = None
    for _ in range(3):
        migrations.tick()
    assert copy.journal.version == 2
    assert len(host.taken) == 4


# -- several services --------------------------------------------------------------------------------------


class Shelves1(Stock1):
    """Another service of the same tables."""


class Shelves(Stock2):
    previous = Shelves1


def test_one_whose_migration_failed_does_not_have_another_proposed_that_a_server_cannot_follow(
    tmp_path: Path,
) -> None:
    """What waits for a server's code waits; once it need not any more it is done, and what failed is told
    still."""
    old = ServedServices(described(Stock1), {"shelves": described(Shelves1)})
    new = ServedServices(described(Broken), {"shelves": described(Shelves)})
    both = Copy(tmp_path / "s2" / "bank.db", old)
    both.call("put", "pear", 1)
    both.change(new)
    log = Log()
    host = Host(both, others=(("shelves", "s2 has version 1: replace the module there"),))
    migrations = Migrations(host, new, log)
    for _ in range(5):
        migrations.tick()
    assert host.taken == ["migrate_1_to_2"]
    assert "replace the module there" in log.lines[-1]
    host.others = (("shelves", ""),)
    migrations.tick()
    host.others = ()
    migrations.tick()
    assert host.taken == ["migrate_1_to_2", "shelves.migrate_1_to_2"]
    assert both.machine.version_of("shelves") == 2
    assert {name: one.words for name, one in both.machine.failures.items()} == {"": "KeyError: 'pear'"}
    both.journal.close()


@pytest.mark.parametrize(
    ("failures", "left", "said", "is_to_come"),
    [
        ([], (), None, False),
        ([], (("", ""),), "Stock1 (stock) is at version 1; version 2: it is about to be made", True),
        (
            [FailedMigration(7, "KeyError: 'pear'")],
            (("", ""), ("shelves", "s2 has version 1")),
            "; ".join(
                (
                    "Stock1 (stock) stays at version 1, since migrate_1_to_2 failed: KeyError: 'pear'",
                    "Shelves1 (shelves) is at version 1; version 2: s2 has version 1",
                )
            ),
            True,
        ),
        (
            [FailedMigration(7, "KeyError: 1"), FailedMigration(8, "KeyError: 2", "shelves")],
            (("", ""), ("shelves", "")),
            "; ".join(
                (
                    "Stock1 (stock) stays at version 1, since migrate_1_to_2 failed: KeyError: 1",
                    "Shelves1 (shelves) stays at version 1, since migrate_1_to_2 failed: KeyError: 2",
                )
            ),
            False,
        ),
        (
            [FailedMigration(7, "ValueError: no", "more")],
            (("more", ""),),
            "more (more) is not there, since `create` failed: ValueError: no",
            False,
        ),
    ],
)
def test_status_says_what_failed_and_what_the_next_one_waits_for(
    failures: list[FailedMigration], left: tuple[tuple[str, str], ...], said: str | None, is_to_come: bool
) -> None:
    services = ServedServices(described(Stock1), {"shelves": described(Shelves1)}, "stock")
    newer = CodeVersions(1, 2, 1)
    code = newer._replace(beside=(("more", CodeVersions()), ("shelves", newer)))
    held = SeveralVersions(1, (("shelves", 1),))
    shown: Any = SimpleNamespace(migrations=left, state_version=held, code=code)
    assert migration_shown(services, shown, {one.service: one for one in failures}) == (said, is_to_come)


def test_a_migration_that_nobody_wants_any_more_keeps_the_state_from_nothing(tmp_path: Path) -> None:
    """After one that failed, people have gone back to the code before: that has all that it can have."""
    old = ServedServices(described(Stock1), {"shelves": described(Shelves1)}, "stock")
    failures = {
        "": FailedMigration(7, "KeyError: 'pear'"),
        "gone": FailedMigration(8, "ValueError: no", "gone"),  # It was taken out of the files, too.
    }
    shown: Any = SimpleNamespace(
        migrations=(), state_version=SeveralVersions(1, (("shelves", 1),)), code=old.code
    )
    assert migration_shown(old, shown, failures) == (None, False)
