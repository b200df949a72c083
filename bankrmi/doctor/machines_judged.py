"""Disks, clocks, and the ways between machines: are they as the rules need them?  Pure.

Rule: what is measured has an error, and a finding is made only where the error does not explain it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from bankrmi.doctor.configuration_judged import is_refused
from bankrmi.doctor.facts import Facts
from bankrmi.doctor.findings import DoctorFinding, note, to_do
from bankrmi.foreign_text import foreign

__all__ = ["judge_machines"]

_FULL_BYTES, _FILLING_BYTES = 256 << 20, 2 << 30
_SLOW_SHARE = 0.1
"""Of `checkpoint_timeout_ms`: a disk or a way that usually takes longer leaves little for anything else."""
_MOST, _NEARLY_ALL = 0.5, 0.999
_FEW_SYNCS = 20
_WALL_S = 1.0


def judge_machines(facts: Facts) -> Iterator[DoctorFinding]:
    """Yield what is too full, too slow, or out of step."""
    yield from _room(facts)
    yield from _syncs(facts)
    yield from _rates(facts)
    yield from _walls(facts)
    yield from _ways(facts)


def _room(facts: Facts) -> Iterator[DoctorFinding]:
    own = facts.own_machine
    places = [(name, told.folder, told.free_bytes) for name, told in facts.told.items()]
    places += [("this machine", own.folder, own.free_bytes)] if own.is_idle else []
    for about, folder, free in places:
        if free is None or free >= _FILLING_BYTES:
            continue
        say, end = (to_do, "a full disk stops a server") if free < _FULL_BYTES else (note, "it is filling up")
        yield say(
            "disk-space",
            about,
            f"{free / 1e6:.0f} MB are left where {foreign(folder, 200)} is: {end}",
            "free some space, or move data_dir to a larger disk; a server that has stopped goes on from "
            "there",
        )


def _syncs(facts: Facts) -> Iterator[DoctorFinding]:
    patience_s = facts.configuration.checkpoint_timeout_ms / 1000
    measured = []
    for name, told in facts.servers.items():
        if told.syncs is not None and sum(told.syncs.counts) >= _FEW_SYNCS:
            usual, slowest = told.syncs.at_share(_MOST), told.syncs.at_share(_NEARLY_ALL)
            measured.append((name, usual or 0.0, slowest or 0.0))
    if own := sorted(facts.own_machine.sync_s):
        measured.append(("this machine", own[len(own) // 2], own[-1]))
    for about, usual, slowest in measured:
        if usual > _SLOW_SHARE * patience_s:
            yield to_do(
                "slow-disk",
                about,
                f"half of its syncs take over {1000 * usual / 2:.3g} ms, up to {_ms(usual)}; every update "
                "waits "
                "for one",
                "use a disk with a write cache that survives a power loss, or one that nobody else writes to",
            )
        elif slowest > patience_s:
            yield to_do(
                "slow-disk",
                about,
                f"a sync took over checkpoint_timeout_ms ({1000 * patience_s:.0f} ms), though most are "
                "quick: "
                "a server whose disk hangs for so long is left behind, or replaced",
                "find out who else uses the disk, or raise checkpoint_timeout_ms on all machines",
            )


def _ms(seconds: float) -> str:
    return "longer than is counted" if seconds == float("inf") else f"{1000 * seconds:.3g} ms"


def _rates(facts: Facts) -> Iterator[DoctorFinding]:
    """R3: two clocks drift apart by less than `drift_ms` within a lease."""
    lease_ms, drift_ms = facts.configuration.lease_ms, facts.configuration.drift_ms
    clocks = {
        name: one.clock
        for name, one in facts.looked.items()
        if one.clock is not None and name in facts.addresses
    }
    for (one, first), (other, second) in combinations(clocks.items(), 2):
        apart_ms = abs(first.rate - second.rate) * lease_ms
        error_ms = (first.rate_within + second.rate_within) * lease_ms
        if apart_ms - error_ms > drift_ms:
            yield to_do(
                "clock-rate",
                f"{one}, {other}",
                f"their clocks drift apart by {apart_ms:.3g} ms in a lease (give or take {error_ms:.2g}), "
                "and "
                f"drift_ms is {drift_ms}: an old primary might still answer reads when another one leads",
                "mend the clock (a virtual machine that is short of time? a broken oscillator?); until then "
                "set "
                "lease_ms: 0, or drift_ms higher, on all machines",
            )
        elif drift_ms and error_ms > drift_ms:
            yield note(
                "clock-rate",
                f"{one}, {other}",
                f"how fast their clocks go could be measured to {error_ms:.3g} ms in a lease only, which "
                "says "
                f"nothing about drift_ms ({drift_ms})",
                "look again from a machine that is nearer to them, or less busy",
            )


def _walls(facts: Facts) -> Iterator[DoctorFinding]:
    clocks = {name: one.clock for name, one in facts.looked.items() if one.clock is not None}
    clocks = {name: clock for name, clock in clocks.items() if name != "witness"}
    for (one, first), (other, second) in combinations(clocks.items(), 2):
        apart_s = abs(first.wall_ahead_s - second.wall_ahead_s)
        if apart_s - first.wall_within_s - second.wall_within_s > _WALL_S:
            ahead = one if first.wall_ahead_s > second.wall_ahead_s else other
            yield note(
                "wall-clock",
                f"{one}, {other}",
                f"the time of day is {apart_s:.3g} s ahead on {ahead}: no rule goes by it, but logs, "
                "`history` and "
                "the ends of certificates do",
                "have both keep time (chrony, systemd-timesyncd)",
            )


def _ways(facts: Facts) -> Iterator[DoctorFinding]:
    patience_ms = facts.configuration.checkpoint_timeout_ms
    strangers = {name for name in facts.servers if is_refused(facts, name)}
    for name, told in facts.servers.items():
        ways = {f"to {other}": took for other, took in told.round_trips_ms.items() if took is not None}
        if told.keeper_ms is not None:
            ways["to the keeper of the view"] = told.keeper_ms
        for there, took in ways.items():
            if took > _SLOW_SHARE * patience_ms:
                say = to_do if took > patience_ms / 2 else note
                yield say(
                    "round-trip",
                    name,
                    f"the way from {name} {foreign(there, 80)} and back takes {took:.3g} ms, and "
                    f"checkpoint_timeout_ms is {patience_ms}; every update waits for a standby",
                    "look for what is slow in between (or a process that is busy), or raise "
                    "checkpoint_timeout_ms "
                    "and lease_ms on all machines",
                )
        for other, lasted in told.round_trips_ms.items():
            if lasted is None and other in facts.servers and not {name, other} & strangers:
                yield to_do(
                    "round-trip",
                    name,
                    f"{name} does not hear {foreign(other, 80)}, which answers from here",
                    "look for a firewall, or a lost route, between the two machines",
                )
