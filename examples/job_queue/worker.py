"""A worker: takes jobs, does them, and says so, until it is told to stop. Run as many as you like.

    python worker.py QUEUE OUTBOX [config.yaml] [SECONDS]

What it does is to put the payload into OUTBOX (an SQLite file): in place of a mail, a payment, a call of a
web service. Whoever is killed between doing it and saying so leaves a job that is handed out again. So the
effect goes by the job's id: done twice, it is there once. (A payment service calls that an idempotency
key.)
"""

from __future__ import annotations

import signal
import sqlite3
import sys
import time

import bankrmi
from bankrmi.errors import BankError
from job_queue import Job, JobQueue, NotYours

IDLE_SECONDS = 0.2


def perform(outbox: sqlite3.Connection, job: Job) -> None:
    """Do it, if nobody has done it yet."""
    if job.payload == "impossible":
        raise ValueError("nobody can do that")
    with outbox:
        outbox.execute("INSERT OR IGNORE INTO sent VALUES (?, ?)", (job.id, job.payload))


def attend(queue: JobQueue, outbox: sqlite3.Connection, job: Job) -> str:
    """Do a job and say so; return what came of it."""
    try:
        perform(outbox, job)
    except Exception as error:
        state = queue.failed(job.id, job.ticket, str(error)[:500], retry_in=min(60.0, 0.1 * 2**job.attempt))
        return f"failed at attempt {job.attempt} and is {state}: {error}"
    queue.done(job.id, job.ticket)
    return "is done"


def work(queue: JobQueue, name: str, outbox: sqlite3.Connection, seconds: float) -> int:
    """Take what there is, and attend to it; return how much that was."""
    jobs = queue.take(name, seconds, limit=5)
    for job in jobs:
        try:
            came_of_it = attend(queue, outbox, job)
        except NotYours:
            came_of_it = "is somebody else's by now, who finds the effect there"
        print(f"{job.id} {came_of_it}", flush=True)
    return len(jobs)


def main(name: str, place: str, configuration: str = "config.yaml", seconds: str = "30") -> None:
    """Work until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    outbox = sqlite3.connect(place, timeout=30)
    outbox.execute("CREATE TABLE IF NOT EXISTS sent (job TEXT PRIMARY KEY, payload TEXT)")
    with bankrmi.connect(JobQueue, configuration, timeout=10) as queue:
        while True:
            try:
                if not work(queue, name, outbox, float(seconds)):
                    time.sleep(IDLE_SECONDS)
            except BankError as error:
                # Nobody could answer in time. What was taken is handed out again when its time is over.
                print(f"{error}; going on", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
