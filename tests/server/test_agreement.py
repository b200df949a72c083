"""What servers were told differently is one line, and what is unsafe is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.config import bytes_needed, load
from bankrmi.server.agreement import LEFT_WITNESS_ID, WITNESS_ID, compared, stated

PLAIN = """nameserver: 127.0.0.1:9090
servers:
  s1: 127.0.0.1:9101
  s2: 127.0.0.1:9102
"""


@pytest.fixture
def ours(tmp_path: Path) -> dict[str, Any]:
    file = tmp_path / "config.yaml"
    file.write_text(PLAIN)
    return stated(load(file))


def test_where_no_refusal_proves_anything_servers_may_have_several_addresses(ours: dict[str, Any]) -> None:
    theirs = {"servers": {"s1": "127.0.0.1:9101", "s2": "127.0.0.1:9999"}}
    [difference] = compared(
        {**ours, "refused_means_gone": False}, {**ours, "refused_means_gone": False, **theirs}
    )
    assert (difference.key, difference.refused) == ("servers.s2", False)


@pytest.mark.parametrize("we", [True, False])
@pytest.mark.parametrize("they", [True, False])
def test_where_one_of_them_goes_by_refusals_both_have_to_mean_the_same_address(
    ours: dict[str, Any], we: bool, they: bool
) -> None:
    """R3: the other one's links lead to whoever goes by them, so both refuse."""
    servers = {"s1": "127.0.0.1:9101", "s2": "127.0.0.1:9999"}
    theirs = {**ours, "refused_means_gone": they, "servers": servers}
    differences = compared({**ours, "refused_means_gone": we}, theirs)
    assert [one.refused for one in differences if one.key == "servers.s2"] == [we or they]
    assert [one.refused for one in differences if one.key == "refused_means_gone"] == [False] * (we != they)


@pytest.mark.parametrize("address", ["127.0.0.1:9090", "10.0.0.3:9090"])
def test_two_witnesses_are_told_apart_by_what_they_say_of_themselves(
    ours: dict[str, Any], address: str
) -> None:
    theirs = {**ours, "witness": address}
    we = {**ours, WITNESS_ID: "w1"}
    assert compared(we, {**theirs, WITNESS_ID: "w1"}) == []
    [one] = compared(we, {**theirs, WITNESS_ID: "w2"})
    assert (one.key, one.ours, one.theirs, one.refused) == (WITNESS_ID, "w1", "w2", True)
    for unknown in (None, 7):
        assert not any(one.refused for one in compared(we, {**theirs, WITNESS_ID: unknown}))


def test_servers_of_one_file_agree(ours: dict[str, Any]) -> None:
    assert compared(ours, dict(ours)) == []


@pytest.mark.parametrize(
    ("key", "theirs", "refused"),
    [
        ("service", "savings", True),
        ("servers", {"s1": "127.0.0.1:9101", "s2": "127.0.0.1:9999"}, True),
        ("limits.server_message_bytes", 1 << 20, True),
        ("limits.operations_per_request", 1 << 20, True),
        ("limits.server_message_bytes", 1 << 27, False),
        ("servers", {"s1": "127.0.0.1:9101"}, False),
        ("servers", {"s2": "127.0.0.1:9102", "s1": "127.0.0.1:9101"}, False),
        ("witness", "10.0.0.3:9090", False),
        ("copies_min", 2, False),
        ("lease_ms", 5000, False),
        ("drift_ms", 160, False),
        ("heartbeat_ms", 2000, False),
        ("checkpoint_timeout_ms", 60, False),
        ("refused_means_gone", False, False),
        ("limits.group_bytes", 1 << 10, False),
    ],
)
def test_every_key_that_has_to_agree_is_compared_and_the_line_has_both_values(
    ours: dict[str, Any], key: str, theirs: object, refused: bool
) -> None:
    differences = compared(ours, {**ours, key: theirs})
    assert differences
    assert differences[0].refused is refused
    if not isinstance(theirs, dict) and not key.startswith("limits."):
        assert [(one.key, one.ours, one.theirs) for one in differences] == [
            (key, str(ours[key]), str(theirs))
        ]
    for one in differences:
        assert one.so
        assert one.ours != one.theirs


@pytest.mark.parametrize(
    ("mine", "theirs", "refused"),
    [
        ("inventory:Inventory", "inventory:Shelf", True),
        ("inventory:Inventory", None, True),
        (None, "inventory:Inventory", True),
        ("inventory:Inventory", "shop.inventory:Inventory", False),
        ("inventory:Inventory", ["Inventory"], True),
    ],
)
def test_two_servers_that_serve_different_classes_have_nothing_to_say_to_each_other(
    ours: dict[str, Any], mine: object, theirs: object, refused: bool
) -> None:
    [one] = compared({**ours, "serves": mine}, {**ours, "serves": theirs})
    assert (one.key, one.refused) == ("serves", refused)


def test_what_the_other_one_could_send_is_what_has_to_fit(ours: dict[str, Any]) -> None:
    needed = bytes_needed(ours["limits.group_bytes"], ours["limits.operations_per_request"])
    enough = {**ours, "limits.server_message_bytes": needed}
    [one] = compared(ours, enough)
    assert not one.refused
    [one] = compared(ours, {**enough, "limits.server_message_bytes": needed - 1})
    assert one.refused
    assert (one.ours, one.theirs) == (f"{needed} needed", str(needed - 1))
    [one] = compared({**enough, "limits.server_message_bytes": needed - 1}, ours)
    assert (one.ours, one.theirs, one.refused) == (str(needed - 1), f"{needed} needed", True)


def test_two_spellings_of_one_address_are_no_difference(ours: dict[str, Any]) -> None:
    servers = {"s1": "localhost:9101", "s2": "127.0.0.1:9102"}
    assert compared(ours, {**ours, "servers": servers, "witness": "LOCALHOST:9090"}) == []


def test_whoever_states_nothing_is_one_line(ours: dict[str, Any]) -> None:
    [one] = compared(ours, None)
    assert (one.key, one.theirs, one.refused) == ("settings", "not stated", True)


def test_what_a_later_version_states_beside_is_not_looked_at(ours: dict[str, Any]) -> None:
    assert compared(ours, {**ours, "lanes": 4, "protocol": ["x"] * 9}) == []


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)


@given(data=st.data())
def test_whatever_the_other_one_states_a_line_stays_a_line(data: st.DataObject) -> None:
    one = {"service": "account", "serves": None, "serves_beside": None,
           "servers": {"s1": "a:1", "s2": "b:2"}, "witness": "c:3",
           "copies_min": 1, "lease_ms": 0, "drift_ms": 0, "heartbeat_ms": 1, "checkpoint_timeout_ms": 5,
           "refused_means_gone": True, "limits.operations_per_request": 8, "limits.group_bytes": 256,
           "limits.server_message_bytes": 1 << 30}  # fmt: skip
    theirs = {**one, **{key: data.draw(JUNK) for key in data.draw(st.sets(st.sampled_from(sorted(one))))}}
    differences = compared(one, theirs)
    assert len(differences) <= len(one) + 4
    for difference in differences:
        for text in (difference.key, difference.ours, difference.theirs, difference.so):
            assert len(text) <= 200
            assert text.isascii()
            assert text.isprintable()


def test_while_the_view_is_moved_one_may_still_state_the_keeper_that_is_closed(ours: dict[str, Any]) -> None:
    """Whoever has heard of it says which one was left; any other difference is what it always was."""
    there, not_yet = {**ours, WITNESS_ID: "w2", LEFT_WITNESS_ID: "w1"}, {**ours, WITNESS_ID: "w1"}
    assert compared(there, not_yet) == []
    assert compared(not_yet, there) == []
    assert [one.key for one in compared(there, {**ours, WITNESS_ID: "w3"})] == [WITNESS_ID]
    assert [one.key for one in compared({**not_yet, LEFT_WITNESS_ID: None}, {**ours, WITNESS_ID: "w3"})] == [
        WITNESS_ID
    ]


def test_two_who_ask_the_same_etcd_agree_in_whatever_order_they_name_its_members(tmp_path: Path) -> None:
    def told(*members: str, prefix: str = "/bankrmi/") -> dict[str, Any]:
        urls = ", ".join(f"http://127.0.0.1:{member}" for member in members)
        file = tmp_path / "etcd.yaml"
        file.write_text(f"{PLAIN}witness: {{etcd: [{urls}], prefix: {prefix}}}\n")
        return stated(load(file))

    assert compared(told("1", "2", "3"), told("3", "2", "1")) == []
    for other in (told("1", "2"), told("1", "2", "3", prefix="/other/")):
        assert [one.key for one in compared(told("1", "2", "3"), other)] == ["witness"]


@pytest.mark.parametrize(
    ("mine", "theirs", "refused"),
    [
        ("orders=shop:Orders", None, False),
        (None, "orders=shop:Orders", False),
        ("orders=shop:Orders", "orders=other.shop:Orders", False),
        ("orders=shop:Orders", "audit=shop:Audit orders=shop:Orders", False),
        ("orders=shop:Orders", "orders=shop:Purchases", True),
        ("orders=shop:Orders", ["orders"], False),
    ],
)
def test_services_beside_the_first_may_come_later_and_are_of_one_class(
    ours: dict[str, Any], mine: str | None, theirs: object, refused: bool
) -> None:
    [one] = compared({**ours, "serves_beside": mine}, {**ours, "serves_beside": theirs})
    assert (one.key, one.refused) == ("serves_beside", refused)
