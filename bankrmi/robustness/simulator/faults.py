"""What goes wrong in one seed, and how often: each fault on or off, with a rate of its own (swarm testing).

A world in which everything goes wrong all the time hides what needs a quiet moment; so most seeds lack most
faults, and what they have ranges over two orders of magnitude.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, fields, replace
from math import exp, log

__all__ = ["NEVER", "Faults"]

NEVER = float("inf")

RARELY_OFF = 0.2
"""How often what is only dangerous together with something else is off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How often what goes wrong: probabilities, and mean times between two faults of a kind in ms."""

    # Messages.
    loss: float
    doubling: float
    late_doubles: float  # Of the duplicates, how many come seconds late.
    late_answer: float  # Of what servers answer each other: comes once more when the view has changed.
    slow: float
    witness_loss: float  # Of the witness's answers.
    late_proposal: float  # Of the proposals: decided long after, whatever the proposer has come to think.
    late_probe: float  # Of the looks whether a process lives: what was seen is told long after.
    reset_every_ms: float  # A connection between two servers that live breaks.
    cut_every_ms: float
    cut_at_change: float  # Of the changes of view, at how many the leader is cut off just then.
    deafen_every_ms: float

    # Processes.
    crash_between_effects: float
    pause_between_effects: float
    crash_every_ms: float
    silent_death: float  # Of the crashes: the machine's, which ends no connection.
    pause_every_ms: float
    stop_every_ms: float
    witness_down_every_ms: float
    witness_forgets_every_ms: float
    switchover_every_ms: float

    # Disks.
    wipe: float  # Of the crashes, how many lose the disk.
    found_disk_every_ms: float  # One that was lost turns up again.
    stall: float
    slow_disk_every_ms: float
    io_error: float
    disk_full_every_ms: float

    @classmethod
    def none(cls) -> Faults:
        """Return a world in which nothing goes wrong."""
        return cls(**{one.name: NEVER if one.name.endswith("_every_ms") else 0.0 for one in fields(cls)})

    def hurried(self, times: float) -> Faults:
        """Return the same faults, where what comes now and then comes so many times as often."""
        every = {one.name: getattr(self, one.name) for one in fields(self) if one.name.endswith("_every_ms")}
        return replace(self, **{name: every_ms / times for name, every_ms in every.items()})

    @classmethod
    def drawn(cls, chance: random.Random) -> Faults:
        """Draw each fault on or off."""

        def share(low: float, high: float, off: float = 0.45) -> float:
            """Off in a share `off` of the seeds; else anything between, small ones as often as large ones."""
            return 0.0 if chance.random() < off else exp(chance.uniform(log(low), log(high)))

        def every(low_ms: float, high_ms: float, off: float = 0.45) -> float:
            return share(low_ms, high_ms, off) or NEVER

        return cls(
            loss=share(0.001, 0.1),
            doubling=share(0.005, 0.2),
            late_doubles=share(0.02, 0.8) or 0.1,
            late_answer=share(0.003, 0.1, RARELY_OFF),
            slow=share(0.001, 0.05),
            witness_loss=share(0.02, 0.5),
            late_proposal=share(0.05, 0.8, RARELY_OFF),
            late_probe=share(0.1, 0.8, RARELY_OFF),
            reset_every_ms=every(300, 8000),
            cut_every_ms=every(700, 12000),
            cut_at_change=share(0.1, 0.9, RARELY_OFF),
            deafen_every_ms=every(500, 8000, RARELY_OFF),
            crash_between_effects=share(0.0001, 0.003),
            pause_between_effects=share(0.0001, 0.003),
            silent_death=share(0.05, 0.8),
            crash_every_ms=every(700, 12000),
            pause_every_ms=every(700, 12000),
            stop_every_ms=every(3000, 20000),
            witness_down_every_ms=every(1000, 12000),
            witness_forgets_every_ms=every(8000, 100000),
            switchover_every_ms=every(400, 6000, RARELY_OFF),
            wipe=share(0.05, 0.4),
            found_disk_every_ms=every(500, 5000),
            stall=share(0.0005, 0.01),
            slow_disk_every_ms=every(2000, 15000),
            io_error=share(0.0003, 0.005),
            disk_full_every_ms=every(4000, 20000),
        )
