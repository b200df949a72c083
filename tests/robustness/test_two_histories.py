"""One seed, with a rule and without: what is told of both is bounded, and says where they part."""

from __future__ import annotations

import re

import pytest

from bankrmi.errors import InvalidRequest
from bankrmi.robustness.mutants import TwoHistories, two_histories
from bankrmi.robustness.mutants.two_histories import AFTER_PARTING, BEFORE_FAILURE, BEFORE_PARTING

KINDS = {"message", "answer", "lost", "commit", "crash", "start", "pause", "resume", "role", "note", "gap"}


@pytest.fixture(scope="module")
def found() -> TwoHistories:
    """It goes wrong in one of the first seeds, early."""
    histories = two_histories("acknowledge-before-standby", seeds=40)
    assert histories is not None
    return histories


def test_what_goes_wrong_is_said_and_is_not_so_with_the_rule(found: TwoHistories) -> None:
    assert re.search("is missing from its (disk|journal)", found.sentence)
    assert found.as_json()["goes_wrong"]
    assert found.with_rule[-1]["t_ms"] > found.without[-1]["t_ms"], "with the rule the bank goes on"


def test_every_step_can_be_drawn(found: TwoHistories) -> None:
    parties = {*found.parties, ""}
    for step in (*found.without, *found.with_rule):
        assert step["kind"] in KINDS
        assert isinstance(step["words"], str)
        ends = [step[key] for key in ("from", "to", "who") if key in step]
        assert step["kind"] == "gap" or ends
        assert set(ends) <= parties | {"steward"}
    kinds = {step["kind"] for step in found.without}
    assert {"message", "answer", "commit"} <= kinds


def test_it_is_told_in_order_and_within_bounds(found: TwoHistories) -> None:
    for steps in (found.without, found.with_rule):
        times = [step["t_ms"] for step in steps]
        assert times == sorted(times)
    assert len(found.without) <= BEFORE_FAILURE + BEFORE_PARTING + AFTER_PARTING + 1


def test_both_begin_alike_up_to_where_they_part(found: TwoHistories) -> None:
    parted = next((at for at, step in enumerate(found.with_rule) if "parts" in step), None)
    assert parted is not None
    assert list(found.without[:parted]) == list(found.with_rule[:parted])


def test_no_history_is_told_if_none_goes_wrong() -> None:
    tried: list[int] = []
    assert two_histories("lead-right-after-winning", seeds=1, on_seed=tried.append) is None
    assert tried == [0]
    with pytest.raises(InvalidRequest, match="no planted bug"):
        two_histories("no-such-bug")
