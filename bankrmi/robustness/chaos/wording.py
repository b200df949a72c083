"""Figures and faults in words.  Pure."""

from __future__ import annotations

from bankrmi.robustness.chaos.recorded import Fault, FaultKind, Recorded

__all__ = ["counted", "duration", "fault_sentence", "verdict_words"]

_VERBS = {
    FaultKind.KILL: "killed",
    FaultKind.STOP: "stopped",
    FaultKind.PAUSE: "paused",
    FaultKind.WIPE: "killed and wiped",
    FaultKind.CUT: "cut",
    FaultKind.SLOW: "slow",
    FaultKind.REMOVE: "removed",
    FaultKind.SWITCHOVER: "switchover",
    FaultKind.STRANGERS: "beset by strangers",
    FaultKind.RUSH: "rushed by own clients",
    FaultKind.SLOW_DISK: "slow disk",
    FaultKind.RELEASE: "given other code",
}


def counted(value: int, noun: str) -> str:
    """Return "1 fault", "2 faults", "2,000 faults"."""
    return f"{value:,} {noun if value == 1 else f'{noun}s'}"


def duration(nanoseconds: int) -> str:
    """Return a length of time with about three digits."""
    if nanoseconds < 1_000:
        return f"{nanoseconds} ns"
    for unit, size, next_size in (("µs", 1_000, 1_000), ("ms", 1_000_000, 1_000), ("s", 1_000_000_000, 120)):
        value = nanoseconds / size
        if value < next_size - 0.5:
            digits = 2 if value < 10 else 1 if value < 100 else 0
            return f"{value:.{0 if unit == 'µs' else digits}f} {unit}"
    minutes, seconds = divmod(round(nanoseconds / 1_000_000_000), 60)
    return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"


def fault_sentence(fault: Fault) -> str:
    """Return what was done to whom: "s1 (primary) killed", "s1 → s2 cut", "s1 ↔ s2 slow, 80 ms late"."""
    whom = (
        f"{fault.target} {'↔' if fault.both_ways else '→'} {fault.toward}" if fault.toward else fault.target
    )
    role = f" ({fault.was})" if fault.was else ""
    note = f", {fault.note}" if fault.note else ""
    return f"{whom}{role} {_VERBS[fault.kind]}{note}"


def verdict_words(recorded: Recorded, answered: int) -> str:
    """Return the verdict on `answered` operations; what was not looked at is not called good."""
    operations = counted(answered, "operation")
    if recorded.violations:
        return f"{counted(recorded.violation_count, 'violation')} in {operations}"
    if not answered:
        return "nothing was judged: no operation was answered"
    return f"{'no violation' if recorded.checked else 'nothing was judged'} in {operations}"
