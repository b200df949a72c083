from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from bankrmi.robustness.power_loss.operations import (
    DirectorySynced,
    FileSynced,
    Named,
    Operation,
    Renamed,
    ToldEntry,
    ToldEpoch,
    ToldView,
)
from bankrmi.robustness.power_loss.search import search
from bankrmi.robustness.power_loss.story import DiskStory, Story
from tests.robustness.power_loss_recording import recorded

STATES = 24

Plant = Callable[[str, list[Operation]], list[Operation]]
"""Given a process's name and what it did, what it does with a bug."""


def test_no_state_that_a_power_loss_leaves_has_lost_anything_acknowledged() -> None:
    """No violation in some states of a recorded run, of every disk in it."""
    story, reference, configuration = recorded()
    findings = search(story.disks, reference, configuration, states=STATES, seed="tests")
    assert [str(violation) for violation in findings.violations] == []
    assert findings.states == STATES
    assert findings.answers_covered > STATES // 4


def test_the_recorded_run_has_in_it_all_that_writes_to_a_disk() -> None:
    story, _, _ = recorded()
    assert {disk.name for disk in story.disks} == {"nameserver", "s1", "s2"}
    names = [one.path for disk in story.disks for one in disk.operations if isinstance(one, Named)]
    renamed = [one.to for disk in story.disks for one in disk.operations if isinstance(one, Renamed)]
    assert any("/rolled-back-" in path for path in names), "nothing was rolled back"
    assert any("/replaced-" in path for path in renamed), "no database was replaced"
    assert sum(path.endswith("/bank.db") for path in renamed) >= 2, "nobody joined by a copy"
    assert any(isinstance(one, ToldView) for disk in story.disks for one in disk.operations)
    assert len(story.told) > 100


def without_syncs_of_files(_: str, operations: list[Operation]) -> list[Operation]:
    """As with `PRAGMA synchronous=off`."""
    return [one for one in operations if not isinstance(one, FileSynced)]


def told_before_synced(_: str, operations: list[Operation]) -> list[Operation]:
    """As if each answer left before the sync that it waited for."""
    changed: list[Operation] = []
    for one in operations:
        before = next((place for place in (-1, -2, -3) if _is_sync(changed[place:])), None)
        if isinstance(one, ToldEntry | ToldEpoch | ToldView) and before is not None:
            changed.insert(len(changed) + before, one)
        else:
            changed.append(one)
    return changed


def _is_sync(operations: list[Operation]) -> bool:
    return bool(operations) and isinstance(operations[0], FileSynced)


def without_syncs_of(directory: str) -> Plant:
    def changed(name: str, operations: list[Operation]) -> list[Operation]:
        return [one for one in operations if one != DirectorySynced(directory.format(name=name))]

    return changed


def disk(story: Story, which: str) -> DiskStory:
    """Return the disk of the witness, of a server from its first start, or of the one with a foreign bank."""
    if which == "foreign":
        return next(one for one in story.disks if one.foreign)
    wanted = [one for one in story.disks if one.is_witness == (which == "witness") and not one.foreign]
    return max(wanted, key=lambda one: len(one.operations))


LOST_ENTRIES = "it told of action id|it acted in epoch|cannot be opened"
LOST_VIEWS = "it told of epoch|cannot be opened"

PLANTED = {
    "a server syncs no file": ("server", without_syncs_of_files, LOST_ENTRIES),
    "the witness syncs no file": ("witness", without_syncs_of_files, LOST_VIEWS),
    "a server answers before it syncs": ("server", told_before_synced, LOST_ENTRIES),
    "the witness answers before it syncs": ("witness", told_before_synced, LOST_VIEWS),
    "a server's folder is not synced in the one above": ("server", without_syncs_of("data"), LOST_ENTRIES),
    "the witness's folder is not synced in the one above": ("witness", without_syncs_of("data"), LOST_VIEWS),
    "a server syncs no name": ("server", without_syncs_of("data/{name}"), LOST_ENTRIES),
    "a joiner syncs no name": ("foreign", without_syncs_of("data/{name}"), "not kept|told|acted|opened"),
}


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize("bug", PLANTED)
def test_a_bank_that_leaves_a_sync_out_is_found_to_lose(bug: str) -> None:
    """The check can fail: each of these is a bug that a bank could have."""
    which, plant, found = PLANTED[bug]
    story, reference, configuration = recorded()
    sound = disk(story, which)
    broken = replace(sound, operations=plant(sound.name, sound.operations))
    assert len(broken.operations) < len(sound.operations) or which != "foreign"
    findings = search([broken], reference, configuration, states=60, seed="planted")
    whats = [violation.what for violation in findings.violations]
    assert any(re.search(found, what) for what in whats), whats
