from __future__ import annotations

import pytest

from bankrmi.robustness.power_loss.bit_flips import DETECTED, HARMLESS, NEWEST, SHORTER, flip_bits
from bankrmi.storage import database


def test_a_flipped_bit_of_a_stopped_server_is_an_error_or_changes_nothing() -> None:
    """Of its database: none is read as something else, and `verify` finds those that are errors."""
    flips = flip_bits(100, seed="tests")
    assert flips.violations == []
    assert {outcome for _, outcome in flips.outcomes} <= {DETECTED, HARMLESS}
    assert flips.told_by_verify["bank.db", DETECTED] == flips.outcomes["bank.db", DETECTED] > 90


def test_a_flipped_bit_in_the_log_of_a_killed_server_is_told_by_verify() -> None:
    """But for one in the newest commit: that looks as if the power was lost in it."""
    flips = flip_bits(20, seed="tests", stopped=False)
    assert flips.violations == []
    assert {outcome for _, outcome in flips.outcomes} <= {DETECTED, HARMLESS, SHORTER, NEWEST}
    assert flips.outcomes["bank.db-wal", NEWEST] <= 1


def test_without_checksums_of_pages_a_flipped_bit_would_be_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check can fail."""
    monkeypatch.setattr(database, "_CHECKSUM_BYTES", 0)
    assert flip_bits(60, seed="tests").violations != []
