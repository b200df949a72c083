"""The classes of examples/, each on two copies: what one decides, the other follows; one call a second."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bankrmi.service import Service
from bankrmi.service.calls import Raised
from counter import Counter
from job_queue import JobQueue
from key_value import KeyValue
from replicated_names import Names
from shop import Shop
from tests.service.pairs import Pair

Make = Callable[[type[Service]], Pair]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as opened:

        def make(kind: type[Service]) -> Pair:
            made = Pair(tmp_path, kind)
            opened.callback(made.close)
            return made

        yield make


def test_the_counter_counts(pair: Make) -> None:
    counter = pair(Counter)
    assert [counter("add", 2), counter("add", 3)] == [2, 5]


# -- the key-value store -------------------------------------------------------------------------------


def test_a_key_is_set_if_it_is_at_the_revision_that_is_said(pair: Make) -> None:
    store = pair(KeyValue)
    assert store("compare_and_set", "a", "1", 0) == 1
    assert store.declines("Conflict", "compare_and_set", "a", "2", 0) == ("a", 1)
    assert store.declines("Conflict", "compare_and_set", "a", "2", 2) == ("a", 1)
    assert store("compare_and_set", "a", "2", 1) == 2
    assert store("put", "a", "3") == 3
    assert store.declines("Conflict", "delete", "a", 2) == ("a", 3)
    assert store("delete", "a", 3) is True
    assert store("delete", "a") is False
    assert store("compare_and_set", "a", "4", 0) == 4, "a revision is never used twice"


def test_a_key_ends_with_its_lease_unless_that_is_kept_alive(pair: Make) -> None:
    store = pair(KeyValue)
    lease = store("grant", 3.5)["id"]
    store("put", "a", "mine", lease)
    for _ in range(5):  # Each is one second later.
        store("keep_alive", lease)
    assert store.declines("Conflict", "compare_and_set", "a", "theirs", 0) == ("a", 1)
    store("put", "b", "")
    assert store.declines("Conflict", "compare_and_set", "a", "theirs", 0) == ("a", 1)
    assert store("compare_and_set", "a", "theirs", 0) == 3, "3.5 seconds are over"
    store.declines("LeaseEnded", "keep_alive", lease)
    store.declines("LeaseEnded", "put", "c", "", lease)


def test_what_ended_leases_leave_behind_goes_a_few_at_a_time_and_is_not_there_before(
    pair: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows() -> int:
        return sum(row[0] == "entry" for row in store.first.state())

    monkeypatch.setattr("key_value.ENDED_AT_ONCE", 0)
    store = pair(KeyValue)
    for number in range(5):
        store("put", f"key {number}", "x", store("grant", 10.5)["id"])
    store("put", "other", "")
    for _ in range(10):
        store("put", "other", "")
    assert store("compare_and_set", "key 4", "new", 0) > 0, "its row is there, and it is not"
    ended = next(row[4] for row in store.first.state() if row[1] == "key 3")
    assert store("revoke", ended) == 0
    store.declines("LeaseEnded", "keep_alive", ended)
    assert rows() == 5
    monkeypatch.setattr("key_value.ENDED_AT_ONCE", 3)
    store("put", "other", "")
    assert rows() == 2
    store("put", "other", "")
    assert rows() == 2, "what has another lease, or none, stays"


def test_a_lease_that_is_revoked_takes_its_keys_along(pair: Make) -> None:
    store = pair(KeyValue)
    lease = store("grant", 1000.0)["id"]
    for number in range(3):
        store("put", f"key {number}", "x", lease)
    store("put", "key 1", "of nobody")
    assert store("revoke", lease) == 2
    assert store("delete", "key 0") is False
    assert store("delete", "key 1") is True


def test_there_is_room_for_so_many_keys_and_leases_that_live(
    pair: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, few in (
        ("MOST_KEYS_OF_A_LEASE", 2),
        ("MOST_KEYS", 3),
        ("MOST_LEASES", 2),
        ("ENDED_AT_ONCE", 0),
    ):
        monkeypatch.setattr(
            f"key_value.{name}", few
        )  # None is taken away: what has ended is only not counted.
    store = pair(KeyValue)
    lease, other = store("grant", 10.5)["id"], store("grant", 9.5)["id"]
    store.declines("Full", "grant", 5.0)
    store("put", "a", "", lease)
    store("put", "b", "", lease)
    store.declines("Full", "put", "c", "", lease)
    store("put", "b", "again", lease)
    store("put", "c", "", other)
    store.declines("Full", "put", "d", "")
    store("put", "c", "another")
    assert store("delete", "nobody") is False
    store("put", "d", "", store("grant", 1000.0)["id"])
    store("put", "e", "")
    store.declines("Full", "put", "f", "")


# -- the job queue -------------------------------------------------------------------------------------


def test_a_job_is_handed_out_to_one_and_done_once(pair: Make) -> None:
    queue = pair(JobQueue)
    first, second = queue("enqueue", "mail", "a"), queue("enqueue", "mail", "b")
    [job] = queue("take", "mail", 60.0)
    assert (job["id"], job["payload"], job["attempt"]) == (first, "a", 1)
    [other] = queue("take", "mail", 60.0, limit=10)
    assert other["id"] == second
    assert queue("take", "mail", 60.0) == []
    queue.declines("NotYours", "done", first, other["ticket"])
    queue("done", first, job["ticket"])
    queue.declines("NotYours", "done", first, job["ticket"])
    assert queue("take", "print", 60.0) == []


def test_a_job_whose_worker_is_silent_is_handed_out_again_with_another_ticket(pair: Make) -> None:
    queue = pair(JobQueue)
    job_id = queue("enqueue", "mail", "a", attempts=2)
    [lost] = queue("take", "mail", 1.5)
    assert queue("take", "mail", 1.5) == []
    [again] = queue("take", "mail", 2.5)
    assert (again["id"], again["attempt"]) == (job_id, 2)
    queue.declines("NotYours", "done", job_id, lost["ticket"])
    queue("extend", job_id, again["ticket"], 1.5)
    assert queue("take", "mail", 1.5) == []
    queue.declines("NotYours", "done", job_id, again["ticket"])
    assert queue("take", "mail", 1.5) == [], "that was its last attempt"
    assert [row[4] for row in queue.first.state() if row[0] == "job"] == ["dead"]


def test_a_job_that_fails_waits_and_is_dead_after_its_last_attempt(pair: Make) -> None:
    queue = pair(JobQueue)
    job_id = queue("enqueue", "mail", "a", attempts=2, delay=1.5)
    assert queue("take", "mail") == []
    [job] = queue("take", "mail")
    assert queue("failed", job_id, job["ticket"], "no network", 2.5) == "waiting"
    assert queue("take", "mail") == []
    assert queue("take", "mail") == []
    [job] = queue("take", "mail")
    assert queue("failed", job_id, job["ticket"], "no such address") == "dead"
    assert queue("take", "mail") == []
    queue("revive", job_id, attempts=1)
    queue.declines("NotYours", "revive", job_id)
    [job] = queue("take", "mail")
    assert (job["id"], job["attempt"]) == (job_id, 1)
    queue.declines("NotYours", "drop", job_id)
    assert queue("failed", job_id, job["ticket"], "never") == "dead"
    queue("drop", job_id)
    queue.declines("NotYours", "drop", job_id)


def test_there_is_room_for_so_many_jobs_in_so_many_queues(
    pair: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("job_queue.MOST_JOBS", 3)
    monkeypatch.setattr("job_queue.MOST_QUEUES", 4)
    queue = pair(JobQueue)
    for name in "aab":
        queue("enqueue", name, "")
    queue.declines("Full", "enqueue", "a", "")
    [job] = queue("take", "a")
    queue("done", job["id"], job["ticket"])
    queue("enqueue", "c", "")


@pytest.mark.parametrize("seed", range(2))
def test_whatever_workers_do_each_job_is_counted_once(pair: Make, seed: int) -> None:
    """Against what a clerk with pencil and paper would note: who has which job until when."""
    queue, draw = pair(JobQueue), random.Random(seed)
    tickets: list[tuple[str, str]] = []
    enqueued: set[str] = set()
    done: set[str] = set()
    for _ in range(120):
        match draw.choice(["enqueue", "enqueue", "take", "take", "done", "done", "failed", "drop"]):
            case "enqueue":
                enqueued.add(queue("enqueue", "q", "x", attempts=draw.randint(1, 3)))
            case "take":
                tickets += [
                    (job["id"], job["ticket"]) for job in queue("take", "q", draw.choice([1.5, 30.0]), 2)
                ]
            case "drop" if enqueued:
                try:
                    queue("drop", draw.choice(sorted(enqueued)))
                except Raised as raised:
                    assert raised.name == "NotYours"  # Both may be.
            case way if tickets and way != "drop":
                job, ticket = draw.choice(tickets[-4:])
                try:
                    queue(way, job, ticket, *(["why"] if way == "failed" else []))
                except Raised as raised:
                    assert raised.name == "NotYours"  # Both may be.
                else:
                    assert job not in done, "done twice, or failed after it was done"
                    if way == "done":
                        done.add(job)
    rows = {row[1]: row[4] for row in queue.first.state() if row[0] == "job"}
    [(_, _, all_enqueued, all_done, dropped)] = [row for row in queue.first.state() if row[0] == "queue"]
    assert (all_enqueued, all_done) == (len(enqueued), len(done))
    assert not done & rows.keys()
    assert all_enqueued == all_done + dropped + len(rows)
    assert len(done) > 5


# -- names -----------------------------------------------------------------------------------------------


def test_names_come_in_pages_none_is_left_out_and_none_is_too_long(pair: Make) -> None:
    names = pair(Names)
    tags = [f"{number:02}".ljust(100, "é") for number in range(30)]
    for number in range(12):
        names("register", f"name {number:02}", "PYRO:x@y:1", False, tags[: number * 2])
    found: list[Any] = []
    while page := names.first.ask("page", "", None, True, found[-1]["name"] if found else ""):
        found += page
    assert [one["name"] for one in found] == [f"name {number:02}" for number in range(12)]
    assert [len(one["tags"]) for one in found] == [2 * number for number in range(12)]
    assert len(names.first.ask("page", "", [tags[3], tags[20]], True, "")) == 1
    assert len(names.first.ask("page", "", [tags[3], tags[20]], False, "")) > 5


# -- the shop --------------------------------------------------------------------------------------------


def test_an_order_is_all_or_nothing(pair: Make) -> None:
    shop = pair(Shop)
    shop("stock", "mug", 900, 3)
    shop("stock", "pen", 150, 1)
    lines = [{"product": "mug", "count": 2}, {"product": "pen", "count": 2}]
    assert shop.declines("SoldOut", "order", "Ann", lines) == ("pen", 1)
    assert shop("order", "Ann", lines[:1])["cents"] == 1800
    assert shop.declines("SoldOut", "order", "Bob", lines[:1]) == ("mug", 1)
    assert shop.declines("Unknown", "order", "Bob", [{"product": "hat", "count": 1}]) is not None
    twice = [{"product": "mug", "count": 1}, {"product": "mug", "count": 1}]
    assert shop.declines("SoldOut", "order", "Bob", twice) == ("mug", 0), "no line of two is forgotten"
