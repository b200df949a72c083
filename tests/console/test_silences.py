"""How long callers heard nothing, from what they were told and when."""

from __future__ import annotations

from bankrmi.console.silences import SILENCE_MS, Silences


def test_a_silence_goes_from_the_last_success_to_the_next() -> None:
    silences = Silences()
    for now in (0, 5, 10, 15):
        silences.done(now - 4, now)
    silences.done(12, 95)
    silences.done(95, 99)
    assert silences.around(40) == (15, 95)
    assert silences.around(8) == (6, 10), "short ones are known, too: its call began at 6"
    assert silences.around(99 + 60) is None


def test_nobody_is_silent_while_nobody_asks() -> None:
    silences = Silences()
    silences.done(0, 3)
    silences.done(5_000, 5_004)
    assert silences.around(2_500) is None


def test_a_silence_that_goes_on_has_no_length_yet() -> None:
    silences = Silences()
    silences.done(0, 3)
    assert silences.around(100) is None
    silences.done(4, 250)
    assert silences.around(100) == (4, 250)


def test_what_ends_a_long_silence_says_since_when_somebody_waited() -> None:
    silences = Silences()
    assert silences.done(0, 3) is None
    assert silences.done(3, 3 + SILENCE_MS) == 3
    assert silences.done(3, 3 + SILENCE_MS + 1) is None
    assert silences.done(5_000, 5_010) is None, "nobody asked for long, and nobody waited"
