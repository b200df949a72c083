"""Figures and faults in words, as the report says them.  Pure."""

from __future__ import annotations

from bankrmi.robustness.chaos.recorded import Fault, FaultKind, Recorded

__all__ = [
    "clock_time",
    "counted",
    "duration",
    "fault_noun",
    "fault_sentence",
    "fault_verb",
    "number",
    "plural",
    "rate",
    "verdict_words",
]

_NARROW = "\u202f"  # A narrow space that does not break: 1 204 331.
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
}


def number(value: int, separator: str = _NARROW) -> str:
    return f"{value:,}".replace(",", separator)


def counted(value: int, noun: str, several: str = "", *, separator: str = _NARROW) -> str:
    """Return "1 fault", "2 faults"."""
    return f"{number(value, separator)} {plural(value, noun, several)}"


def plural(value: int, noun: str, several: str = "") -> str:
    return noun if value == 1 else several or f"{noun}s"


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


def clock_time(nanoseconds: int, decimals: int = 0) -> str:
    """Return an instant, counted from the start, as minutes and seconds: "12:31.4"."""
    scale = 10**decimals
    ticks = round(nanoseconds * scale / 1_000_000_000)
    minutes, rest = divmod(ticks, 60 * scale)
    whole, part = divmod(rest, scale)
    return f"{minutes}:{whole:02}" + (f".{part:0{decimals}}" if decimals else "")


def rate(operations: int, nanoseconds: int) -> int:
    """Return operations per second."""
    return round(operations * 1_000_000_000 / nanoseconds) if nanoseconds > 0 else 0


def fault_verb(kind: FaultKind) -> str:
    return _VERBS[kind]


def fault_noun(kind: FaultKind, count: int) -> str:
    nouns = {FaultKind.SLOW: "slow link", FaultKind.STRANGERS: "crowd of strangers"}
    several = {FaultKind.RUSH: "rushes", FaultKind.STRANGERS: "crowds of strangers"}
    return plural(count, nouns.get(kind, kind.value), several.get(kind, ""))


def fault_sentence(fault: Fault) -> str:
    """Return what was done to whom: "s1 (primary) killed", "s1 → s2 cut", "s1 ↔ s2 slow, 80 ms late"."""
    whom = (
        f"{fault.target} {'↔' if fault.both_ways else '→'} {fault.toward}" if fault.toward else fault.target
    )
    role = f" ({fault.was})" if fault.was else ""
    note = f", {fault.note}" if fault.note else ""
    return f"{whom}{role} {fault_verb(fault.kind)}{note}"


def verdict_words(recorded: Recorded, answered: int, *, separator: str = _NARROW) -> str:
    """Return the verdict on `answered` operations; what was not looked at is not called good."""
    operations = counted(answered, "operation", separator=separator)
    if recorded.violations:
        return f"{counted(recorded.violation_count, 'violation', separator=separator)} in {operations}"
    if not answered:
        return "nothing was judged: no operation was answered"
    return f"{'no violation' if recorded.checked else 'nothing was judged'} in {operations}"
