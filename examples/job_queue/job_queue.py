"""A queue of jobs, each handed out to one worker at a time, and done once.

    enqueue ──> waiting ──take──> taken ──done────> done
                   ^                │
                   │                ├─failed, or its time is over─┐
                   └────────────────┴──while attempts are left────┤
                                                                  └──else──> dead ──revive──> waiting
                                                                                  └─drop────> forgotten

Rule 1: who takes a job gets a ticket, and has it for so many seconds. After that it is somebody else's,
        with another ticket: `done`, `failed` and `extend` with an old one raise `NotYours`, and change
        nothing. So of all who ever had a job, one has it done.
Rule 2: what a worker does out there (a mail, a payment) cannot be in one transaction with this. Let it go
        by the job's id, which is the same at every attempt and never another job's: see worker.py.
Rule 3: jobs are taken in the order in which they became ready; nothing is ever searched for but by an
        index.
Assumption: the clocks of the two servers agree (NTP) to much less than the seconds for which jobs are
            taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import Field

import bankrmi

__all__ = ["Counts", "DeadJob", "Full", "Job", "JobQueue", "NotYours"]

MOST_JOBS = 100_000
"""That wait, are taken, or are dead, of all queues together."""
MOST_QUEUES = 1_000
EXPIRED_AT_ONCE = 100

QueueName = Annotated[str, Field(min_length=1, max_length=100)]
Payload = Annotated[str, Field(max_length=5_000)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Delay = Annotated[float, Field(ge=0, le=86_400)]
Attempts = Annotated[int, Field(ge=1, le=100)]
Few = Annotated[int, Field(ge=1, le=10)]
"""Jobs in one answer: of the longest ones, what a method may return has room for ten."""
Words = Annotated[str, Field(max_length=500)]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NotYours(Exception):
    """Somebody else has this job by now, or nobody, or it is done."""


class Full(Exception):
    """There is no room for more jobs."""


@dataclass(frozen=True)
class Job:
    """A job that was taken."""

    id: str
    payload: str
    attempt: int
    ticket: str


@dataclass(frozen=True)
class DeadJob:
    """A job that nobody will take any more, and why."""

    id: str
    payload: str
    attempts: int
    why: str


@dataclass(frozen=True)
class Counts:
    """How many jobs of a queue there are: those that were enqueued, and what became of them."""

    enqueued: int
    waiting: int
    taken: int
    done: int
    dead: int
    dropped: int


class JobQueue(bankrmi.Service):
    """Queues, by their names; a queue is there once something is in it."""

    def create(self) -> None:
        """Begin with nothing."""
        self.db.execute(
            "CREATE TABLE job (id TEXT PRIMARY KEY NOT NULL, queue TEXT NOT NULL, payload TEXT NOT NULL,"
            " state TEXT NOT NULL CHECK (state IN ('waiting', 'taken', 'dead')),"
            " due_us INTEGER NOT NULL,"  # When it can be taken, or, of one that is taken, taken again.
            " number INTEGER NOT NULL, attempt INTEGER NOT NULL, attempts INTEGER NOT NULL,"
            " ticket TEXT NOT NULL, why TEXT NOT NULL)"
        )
        self.db.execute("CREATE UNIQUE INDEX job_by_due ON job (queue, state, due_us, number)")
        self.db.execute(
            "CREATE TABLE queue (name TEXT PRIMARY KEY NOT NULL,"
            " enqueued INTEGER NOT NULL, done INTEGER NOT NULL, dropped INTEGER NOT NULL)"
        )

    # -- those who have work to be done ------------------------------------------------------------

    @bankrmi.update(raises=[Full])
    def enqueue(self, queue: QueueName, payload: Payload, *, delay: Delay = 0, attempts: Attempts = 5) -> str:
        """Put a job into a queue, to be taken after `delay` seconds at the earliest; return its id."""
        self._check_room()
        number = self.db.execute(
            "INSERT INTO queue VALUES (?, 1, 0, 0) ON CONFLICT (name) DO UPDATE SET enqueued = enqueued + 1"
            " RETURNING enqueued",
            (queue,),
        ).value
        job = self.new_id()
        self.db.execute(
            "INSERT INTO job VALUES (?, ?, ?, 'waiting', ?, ?, 0, ?, '', '')",
            (job, queue, payload, self._in(delay), number, attempts),
        )
        return job

    # -- workers -----------------------------------------------------------------------------------

    @bankrmi.update
    def take(self, queue: QueueName, seconds: Seconds = 30, limit: Few = 1) -> list[Job]:
        """Return up to `limit` jobs, which are yours for so many seconds; none if there is nothing to do."""
        self._expire(queue)
        rows = self.db.execute(
            "SELECT id, payload, attempt FROM job WHERE queue = ? AND state = 'waiting' AND due_us <= ?"
            " ORDER BY due_us, number LIMIT ?",
            (queue, self._in(0), limit),
        )
        jobs = [Job(job, payload, attempt + 1, self.new_id()) for job, payload, attempt in rows.fetchall()]
        self.db.executemany(
            "UPDATE job SET state = 'taken', attempt = ?, ticket = ?, due_us = ? WHERE id = ?",
            [(job.attempt, job.ticket, self._in(seconds), job.id) for job in jobs],
        )
        return jobs

    @bankrmi.update(raises=[NotYours])
    def done(self, job: str, ticket: str) -> None:
        """The job is done: it is gone, and counted, once."""
        queue = self._of(job, ticket)
        self.db.execute("DELETE FROM job WHERE id = ?", (job,))
        self.db.execute("UPDATE queue SET done = done + 1 WHERE name = ?", (queue,))

    @bankrmi.update(raises=[NotYours])
    def failed(self, job: str, ticket: str, why: Words, retry_in: Delay = 0) -> str:
        """The job could not be done; return what it is now: "waiting", or, after its last attempt, "dead"."""
        self._of(job, ticket)
        return self._give_back(job, why, retry_in)

    @bankrmi.update(raises=[NotYours])
    def extend(self, job: str, ticket: str, seconds: Seconds) -> None:
        """It takes longer: the job is yours for so many seconds from now on."""
        self._of(job, ticket)
        self.db.execute("UPDATE job SET due_us = ? WHERE id = ?", (self._in(seconds), job))

    # -- those who look after it -------------------------------------------------------------------

    @bankrmi.query
    def counts(self, queue: QueueName) -> Counts:
        """Return how many jobs there are; what was enqueued is the sum of all others."""
        states: dict[str, int] = dict(
            self.db.execute("SELECT state, count(*) FROM job WHERE queue = ? GROUP BY state", (queue,))
        )
        enqueued, done, dropped = self.db.execute(
            "SELECT enqueued, done, dropped FROM queue WHERE name = ?", (queue,)
        ).fetchone() or (0, 0, 0)
        waiting, taken, dead = (states.get(state, 0) for state in ("waiting", "taken", "dead"))
        return Counts(enqueued, waiting, taken, done, dead, dropped)

    @bankrmi.query
    def dead(self, queue: QueueName, after: str = "", limit: Few = 10) -> list[DeadJob]:
        """Return dead jobs in the order of their ids; to go on, say the last id as `after`."""
        rows = self.db.execute(
            "SELECT id, payload, attempt, why FROM job WHERE queue = ? AND state = 'dead' AND id > ?"
            " ORDER BY id LIMIT ?",
            (queue, after, limit),
        )
        return [DeadJob(*row) for row in rows]

    @bankrmi.update(raises=[NotYours])
    def revive(self, job: str, attempts: Attempts = 5) -> None:
        """Have a dead job tried again."""
        revived = self.db.execute(
            "UPDATE job SET state = 'waiting', attempt = 0, attempts = ?, due_us = ?, why = ''"
            " WHERE id = ? AND state = 'dead' RETURNING id",
            (attempts, self._in(0), job),
        )
        if not len(revived):
            raise NotYours(f"{job} is not dead")

    @bankrmi.update(raises=[NotYours])
    def drop(self, job: str) -> None:
        """Forget a dead job."""
        queue = self.db.execute(
            "DELETE FROM job WHERE id = ? AND state = 'dead' RETURNING queue", (job,)
        ).value
        if queue is None:
            raise NotYours(f"{job} is not dead")
        self.db.execute("UPDATE queue SET dropped = dropped + 1 WHERE name = ?", (queue,))

    # -- within ------------------------------------------------------------------------------------

    def _in(self, seconds: float) -> int:
        return (self.now - _EPOCH) // timedelta(microseconds=1) + round(seconds * 1e6)

    def _check_room(self) -> None:
        queues, jobs = self.db.execute(
            "SELECT count(*), coalesce(sum(enqueued - done - dropped), 0) FROM queue"
        ).fetchone() or (0, 0)
        if jobs >= MOST_JOBS or queues >= MOST_QUEUES:
            raise Full(f"there are {jobs} jobs in {queues} queues: at most {MOST_JOBS} in {MOST_QUEUES}")

    def _of(self, job: str, ticket: str) -> str:
        """Return the queue of a job that is still this ticket's; raise NotYours if it is not."""
        queue = self.db.execute(
            "SELECT queue FROM job WHERE id = ? AND state = 'taken' AND ticket = ? AND due_us > ?",
            (job, ticket, self._in(0)),
        ).value
        if queue is None:
            raise NotYours(f"{job} is not yours, or not any more")
        return str(queue)

    def _expire(self, queue: str) -> None:
        """Give back what was taken, and whose time is over; some at a time, the next call finds the rest."""
        over = self.db.execute(
            "SELECT id FROM job WHERE queue = ? AND state = 'taken' AND due_us <= ?"
            " ORDER BY due_us, number LIMIT ?",
            (queue, self._in(0), EXPIRED_AT_ONCE),
        )
        for (job,) in over.fetchall():
            self._give_back(job, "its worker said nothing in time", 0)

    def _give_back(self, job: str, why: str, seconds: float) -> str:
        state: str = self.db.execute(
            "UPDATE job SET state = CASE WHEN attempt < attempts THEN 'waiting' ELSE 'dead' END,"
            " due_us = ?, ticket = '', why = ? WHERE id = ? RETURNING state",
            (self._in(seconds), why, job),
        ).value
        return state
