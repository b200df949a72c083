"""Two ranges of versions, and the one version that both sides speak, or one sentence why there is none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi import protocol_versions
from bankrmi.protocol_versions import NothingInCommon, spoken_with

RANGES = st.tuples(st.integers(1, 9), st.integers(0, 9)).map(lambda drawn: [drawn[0], sum(drawn)])


def as_a_version_of(spoken: list[int], theirs: object) -> int | str:
    """Return what a process that speaks this range makes of what another one states."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(protocol_versions, "OLDEST", spoken[0])
        patched.setattr(protocol_versions, "NEWEST", spoken[1])
        try:
            return spoken_with(theirs, they="s2", we="s1")
        except NothingInCommon as why:
            return str(why)


@given(ours=RANGES, theirs=RANGES)
def test_both_sides_reckon_the_same_highest_common_version(ours: list[int], theirs: list[int]) -> None:
    common = set(range(ours[0], ours[1] + 1)) & set(range(theirs[0], theirs[1] + 1))
    here, there = as_a_version_of(ours, theirs), as_a_version_of(theirs, ours)
    if common:
        assert here == there == max(common)
    else:
        assert isinstance(here, str)
        assert isinstance(there, str)


def test_the_sentence_says_which_side_is_older_and_what_to_do() -> None:
    assert as_a_version_of([3, 4], [1, 2]) == (
        "s2 speaks bankrmi protocol 1 to 2, s1 speaks 3 to 4: s2 is older, upgrade s2"
    )
    assert as_a_version_of([2, 2], (3, 7)) == (
        "s2 speaks bankrmi protocol 3 to 7, s1 speaks 2: s1 is older, upgrade s1"
    )


@pytest.mark.parametrize(
    "odd",
    [None, 1, "1", "12", b"12", True, [], [1], [1, 1, 1], [True, True], [0, 1], [2, 1], [-1, 1], [1.0, 1.0],
     [1, 1 << 20], [1, 1 << 200], [1, None], {1: 1, 2: 2}, {"oldest": 1}, [[1, 1], [1, 1]], ["1", "1"]],
)  # fmt: skip
def test_whatever_else_a_stranger_states_is_no_range(odd: Any) -> None:
    said = as_a_version_of([1, 1], odd)
    assert said == "s2 states no range of protocol versions, as bankrmi does since 1.0: upgrade s2"


def test_this_version_speaks_with_itself() -> None:
    stated = protocol_versions.stated()
    assert spoken_with(stated, they="s2", we="s1") == protocol_versions.NEWEST
    assert protocol_versions.in_words(*stated) in ("1", f"1 to {protocol_versions.NEWEST}")
