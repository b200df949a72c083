"""Each rule of the model, switched off: the search finds what it is for.  With all of them, nothing."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.model.bounds import Bounds
from tests.model.rules import SECOND_LOCKS, Rule
from tests.model.search import search

LOST_ON_THE_WAY = (
    "0 decides 1",
    "0 crashes 0",
    "0 proposes to start again",
)
"""The standby gets an entry that the primary loses; how the worst histories begin."""


MOVED_AND_LEADS = (
    "0 proposes to move 1 2",
    "0 wins 2 1 0 1 2",
    "1 crashes 1 elsewhere",
    "0 leads 2",
    "0 waits for the joiner 1",
    "0 proposes to let in 1",
    "0 wins 3 1 1",
    "0 leads 3",
    "0 hands over to 1",
    "1 wins 4 1 1",
    "1 leads 4",
)
"""A server is moved, started where it lives now, let in, and given the lead; the other one has not looked."""


MOVES = (
    "1 is the row that a mover begins",
    "0 proposes to be retired",
    "0 wins 2 1 1 retired",
)
"""The servers are retired by somebody who moves the bank."""

TAKEN_BACK_ELSEWHERE = (
    *MOVES,
    "0 leads 2",
    "1 proposes to take over",
    "1 wins 3 0 1 retired",
    "1 is the row that is taken away",
    "1 leads 3",
    "1 proposes to be reinstated",
    "1 wins 4 0 1",
    "1 leads 4",
    "1 decides 1",
    "1 is durable at",
    "1 answers up to 1",
)
"""One server leads the retired epoch, and has not heard that the other one leads, and serves."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A rule, where to look, what goes wrong; `story` is how the history begins, where that is long.

    `shortcut` is how it goes on without the rule, and saves time: with it, all else is looked at.
    """

    without: Rule
    bounds: Bounds
    wrong: str
    story: tuple[str, ...] = ()
    shortcut: tuple[str, ...] = ()


def small(
    *,
    epochs: int = 2,
    requests: int = 1,
    crashes: int = 0,
    switchover: bool = False,
    servers: int = 2,
    members: int | None = None,
    copies_min: int = 1,
    disks: int = 0,
    restores: int = 0,
    forces: int = 0,
    movers: int = 0,
    cancels: int = 0,
    leases: tuple[int, ...] = (),
    changes: int = 0,
    latent: bool = True,
) -> Bounds:
    """Return small bounds: a commit holds everything up, one request, no crash unless said."""
    return Bounds(
        servers=servers,
        epochs=epochs,
        requests=requests,
        crashes=crashes,
        switchover=switchover,
        members=members,
        copies_min=copies_min,
        disks=disks,
        restores=restores,
        forces=forces,
        movers=movers,
        cancels=cancels,
        leases=leases,
        changes=changes,
        latent=latent,
    )


def pipelined(
    *, epochs: int = 2, crashes: int = 1, servers: int = 2, writes: int = 2, latent: bool = False
) -> Bounds:
    """Return small bounds with commits that are events; a loss is one when the server that lacks it leads."""
    return Bounds(
        servers=servers,
        epochs=epochs,
        requests=1,
        crashes=crashes,
        switchover=False,
        pipelined=True,
        writes=writes,
        latent=latent,
    )


CASES = (
    Case(without=Rule.A1_COPIES, bounds=small(latent=False), wrong="loss"),
    Case(without=Rule.A1_OWN_DISK, bounds=small(crashes=1), wrong="loss"),
    Case(without=Rule.A1_RECORDED, bounds=small(), wrong="loss"),
    Case(without=Rule.A2_ADOPTED, bounds=small(crashes=1), wrong="loss"),
    Case(without=Rule.A3_LATE, bounds=small(), wrong="loss"),
    Case(without=Rule.A3_BASE, bounds=small(), wrong="loss"),
    Case(without=Rule.A3_CONFLICT, bounds=small(requests=2), wrong="double"),
    Case(without=Rule.A5_EPOCH, bounds=small(crashes=1), wrong="loss", story=LOST_ON_THE_WAY),
    Case(without=Rule.A5_DISK, bounds=small(disks=1), wrong="loss"),
    Case(without=Rule.V2_FIRST, bounds=small(), wrong="loss"),
    Case(without=Rule.V3_MANDATORY, bounds=small(epochs=3, members=1), wrong="loss"),
    Case(without=Rule.V3_EVERYTHING, bounds=small(epochs=3, members=1), wrong="loss"),
    Case(without=Rule.V3_INHERITED, bounds=small(epochs=3, members=1, crashes=1), wrong="loss"),
    Case(without=Rule.V3_OTHER_DISK, bounds=small(epochs=3, members=1, disks=1), wrong="loss"),
    Case(without=Rule.V4_FRESH, bounds=small(requests=2, crashes=1), wrong="loss"),
    Case(without=Rule.V5_STOPS, bounds=small(epochs=3, switchover=True, leases=(1,)), wrong="stale read"),
    Case(without=Rule.V5_RESUME, bounds=small(epochs=3, switchover=True, leases=(1,)), wrong="stale read"),
    Case(without=Rule.V6_SETTLE, bounds=small(epochs=3, members=1), wrong="loss"),
    Case(without=Rule.V7_MEMBER, bounds=small(members=1), wrong="loss"),
    Case(without=Rule.V7_OFF, bounds=small(members=1, forces=1), wrong="loss"),
    Case(without=Rule.V7_OFF_ALL, bounds=small(epochs=3, servers=3, members=2, forces=1), wrong="loss"),
    Case(without=Rule.V8_NEW_MEMBER, bounds=small(disks=1), wrong="loss"),
    Case(without=Rule.V8_NAMED_DISK, bounds=small(disks=2, copies_min=2), wrong="loss"),
    Case(
        without=Rule.V9_RESTORE,
        bounds=small(epochs=4, requests=2, crashes=1, restores=1),
        wrong="loss",
        story=(*LOST_ON_THE_WAY, "0 wins 2 1 1", "0 leads 2"),
    ),
    Case(without=Rule.O1_ONCE, bounds=small(), wrong="double"),
    Case(without=Rule.R1_UNSETTLED, bounds=small(epochs=3, members=1), wrong="stale read"),
    Case(without=Rule.R2_LEASE, bounds=small(leases=(1,)), wrong="stale read"),
    Case(without=Rule.R3_WAIT, bounds=small(leases=(1,)), wrong="stale read"),
    Case(without=Rule.R3_LEADS, bounds=small(leases=(1,)), wrong="stale read"),
    Case(without=Rule.R3_LENGTH, bounds=small(leases=(1, 2)), wrong="stale read"),
    Case(without=Rule.R3_RESTART, bounds=small(leases=(1,), crashes=1), wrong="stale read"),
    Case(
        without=Rule.R3_NOTED,
        bounds=small(leases=(1, 2), crashes=1),
        wrong="stale read",
        story=("1 proposes to take over", "1 wins 2 0 1"),
    ),
    Case(
        without=Rule.R3_PROOF,
        bounds=small(epochs=3, leases=(1,), crashes=1),
        wrong="stale read",
        story=("0 crashes 1", "0 proposes to start again", "0 wins 2 1 1"),
    ),
    Case(
        without=Rule.V12_HOME,
        bounds=small(epochs=3, leases=(1,), crashes=2, switchover=True, changes=1),
        wrong="stale read",
        story=("1 crashes 1 elsewhere", "0 hands over to 1", "1 wins 2 1 1"),
        shortcut=("1 leads 2", "0 takes 2 0", "0 crashes 1"),
    ),
    Case(
        without=Rule.V12_NOT_ITSELF,
        bounds=small(epochs=3, leases=(1,), crashes=1, changes=1),
        wrong="stale read",
        shortcut=("0 proposes to move 0 2", "0 wins 2 1 1 2 1", "1 proposes to take over", "1 wins 3 0 1"),
    ),
    Case(
        without=Rule.V12_PROOF,
        bounds=small(epochs=5, leases=(1,), crashes=1, switchover=True, changes=1),
        wrong="stale read",
        story=MOVED_AND_LEADS,
    ),
    Case(
        without=Rule.V12_READ,
        bounds=small(epochs=5, leases=(1,), crashes=2, switchover=True, changes=1),
        wrong="stale read",
        story=(*MOVED_AND_LEADS, "0 takes 4 0", "0 crashes 1"),
    ),
    Case(without=Rule.V14_CARRIED, bounds=small(epochs=3, movers=1), wrong="stale read"),
    Case(without=Rule.V14_DECIDES, bounds=small(movers=1), wrong="loss"),
    Case(without=Rule.V14_READS, bounds=small(movers=1, leases=(1,)), wrong="stale read"),
    Case(
        without=Rule.V14_ANSWERS,
        bounds=small(epochs=3, crashes=1, movers=1),
        wrong="loss",
        story=(*MOVES, "2 is the retired epoch that a mover sees", "0 decides 1", "0 crashes 0"),
    ),
    Case(without=Rule.V14_LEADS, bounds=small(movers=1), wrong="loss"),
    Case(
        without=Rule.V14_SEEN,
        bounds=small(epochs=5, movers=2, cancels=1),
        wrong="loss",
        story=TAKEN_BACK_ELSEWHERE,
    ),
    Case(without=Rule.V14_ALL, bounds=small(movers=1), wrong="loss"),
    Case(without=Rule.V14_NOTED, bounds=small(epochs=3, movers=1, restores=1), wrong="stale read"),
    Case(without=Rule.V14_CANCEL, bounds=small(epochs=3, movers=1, cancels=1), wrong="loss", story=MOVES),
    Case(
        without=Rule.V14_SERVED,
        bounds=small(epochs=3, movers=2, cancels=1),
        wrong="loss",
        story=(*MOVES, "1 is the row that is taken away"),
    ),
    Case(
        without=Rule.V14_SAME,
        bounds=small(epochs=3, movers=2, cancels=1),
        wrong="loss",
        story=(
            "1 is the row that a mover begins",
            "1 is the row that is taken away",
            "2 is the row that a mover begins",
            "0 proposes to be retired",
            "0 wins 2 1 1 retired",
        ),
    ),
    Case(without=Rule.R4_SAW, bounds=small(leases=(1,)), wrong="loss"),
    Case(without=Rule.R4_EPOCH, bounds=small(leases=(1,)), wrong="loss"),
)

PIPELINED_CASES = (
    Case(without=Rule.A1_OWN_DISK, bounds=pipelined(), wrong="loss"),
    Case(without=Rule.A1_STANDBY_DISK, bounds=pipelined(), wrong="loss"),
    Case(
        without=Rule.A2_LEADS,
        bounds=pipelined(epochs=3, crashes=2, writes=1, latent=True),
        wrong="loss",
        story=(*LOST_ON_THE_WAY, "0 wins 2 1 1", "0 leads 2", "0 is durable at"),
    ),
    Case(
        without=Rule.A2_ACTS,
        bounds=pipelined(epochs=3, crashes=2, servers=3, writes=1, latent=True),
        wrong="loss",
        story=(
            *LOST_ON_THE_WAY,
            "0 wins 2 1 1 1",
            "0 leads 2",
            "0 is durable at",
            "1 takes 1 1",
            "1 is durable at",
            "2 takes 1 1",
            "2 is durable at",
            "2 proposes to take over",
            "2 wins 3 0 1 1",
            "2 leads 3",
            "2 is durable at",
        ),
    ),
)
"""The four ways in which a commit that is an event can be got wrong (ADR 22)."""


def named(case: Case) -> str:
    return f"{case.without.name}{'-pipelined' if case.bounds.pipelined else ''}"


@pytest.mark.parametrize("case", [*CASES, *PIPELINED_CASES], ids=named)
def test_without_the_rule_something_goes_wrong(case: Case) -> None:
    found = search(case.bounds, without={case.without}, story=(*case.story, *case.shortcut))
    assert found.wrong is not None, f"{found.states} states, and nothing"
    assert found.wrong.startswith(case.wrong), f"{found.wrong}: {'; '.join(found.steps)}"


@pytest.mark.long
@pytest.mark.parametrize("case", [*CASES, *PIPELINED_CASES], ids=named)
def test_with_the_rule_nothing_goes_wrong_in_the_same_bounds(case: Case) -> None:
    found = search(case.bounds, story=case.story)
    assert found.complete, f"{found.wrong}: {'; '.join(found.steps)}"


def test_every_rule_has_its_case() -> None:
    assert {case.without for case in (*CASES, *PIPELINED_CASES)} == set(Rule) - SECOND_LOCKS


@pytest.mark.parametrize(
    "bounds",
    [
        small(requests=2, crashes=1),
        small(epochs=3, crashes=1, members=1),
        small(leases=(1, 2), crashes=0, switchover=True),
        small(crashes=0, disks=2, copies_min=2),
        small(epochs=3, requests=1, members=1, forces=1),
        small(epochs=2, requests=2, members=1, forces=1),
        pytest.param(small(epochs=3, requests=2, members=1, forces=1), marks=pytest.mark.long),
        pytest.param(small(epochs=3, leases=(1,), changes=1), marks=pytest.mark.long),
        small(movers=1, leases=(1,)),
        small(epochs=3, movers=1),
        pytest.param(small(epochs=3, movers=1, cancels=1), marks=pytest.mark.long),
        pytest.param(small(epochs=3, movers=2, cancels=1), marks=pytest.mark.long),
        pytest.param(small(epochs=3, crashes=1, movers=1, cancels=1), marks=pytest.mark.long),
        pipelined(),
    ],
    ids=[
        "two-requests",
        "a-joiner",
        "leases-of-two-lengths",
        "another-disk",
        "forced",
        "forced-two-requests",
        "forced-later-two-requests",
        "a-move",
        "to-a-database",
        "to-a-database-and-on",
        "to-a-database-and-not-after-all",
        "to-a-database-by-two",
        "to-a-database-and-a-crash",
        "pipelined",
    ],
)
def test_with_all_rules_nothing_goes_wrong(bounds: Bounds) -> None:
    found = search(bounds)
    assert found.complete, f"{found.wrong}: {'; '.join(found.steps)}"
    assert found.states > 100, "it looked at something"


@pytest.mark.long
@pytest.mark.parametrize("rule", sorted(SECOND_LOCKS), ids=lambda rule: rule.name)
def test_a_second_lock_is_one(rule: Rule) -> None:
    """When this fails, a history was found that needs the rule: move it to the table above."""
    bounds = {
        Rule.R3_EVERY: small(epochs=3, leases=(1, 2)),
        Rule.V8_WITNESS_ONLY: small(epochs=3, members=1, disks=1),
        Rule.V12_LEAVES: small(epochs=3, leases=(1,), crashes=1, changes=1),
        Rule.V12_JOINS: small(epochs=3, leases=(1,), crashes=1, changes=1),
    }
    found = search(bounds[rule], without={rule})
    assert found.complete, f"{found.wrong}: {'; '.join(found.steps)}"
