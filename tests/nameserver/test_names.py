"""The name server object: roles come from the view, limits hold, and no stranger's expression is run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from Pyro5.errors import NamingError, PyroError

from bankrmi.errors import AccessDenied, InvalidRequest
from bankrmi.nameserver.capacity import MOST_BYTES
from bankrmi.nameserver.names import TaggedNames
from bankrmi.replication.view import View
from bankrmi.rmi.frames import JSON, MSGPACK, SERPENT
from bankrmi.rmi.values import write_value
from tests.nameserver.callers import STRANGER, Caller, server

ALONE = View.first(history="h1", server="s1", start_id="a", incarnation="disk-s1")
BOTH = ALONE.letting_in("s2", "disk-s2")
THEIRS = "PYRO:obj_1@127.0.0.1:1"
S1, S2 = server("s1", "a", "disk-s1"), server("s2", "b", "disk-s2")


def register(names: TaggedNames, caller: Caller, who: str, port: int = 9101, *more: str) -> None:
    name = f"bankrmi.account.{who}"
    tags = ["service:account", f"server:{who}", *more]
    names.register(caller, name, f"PYRO:{name}@127.0.0.1:{port}", metadata=tags)


@pytest.fixture
def names() -> TaggedNames:
    names = TaggedNames("account", ["s1", "s2"])
    names.register_itself("127.0.0.1:9090")
    register(names, S1, "s1")
    register(names, S2, "s2", 9102)
    return names


def tags(names: TaggedNames, who: str) -> set[str]:
    return set(names.lookup(f"bankrmi.account.{who}", return_metadata=True)[1])


def port(names: TaggedNames, who: str) -> int:
    return int(names.lookup(f"bankrmi.account.{who}").port)


def primaries(names: TaggedNames) -> list[str]:
    return list(names.yplookup(meta_all=["service:account", "role:primary"]))


# -- roles ------------------------------------------------------------------------------------------


def test_before_there_is_a_view_nobody_has_a_role(names: TaggedNames) -> None:
    assert tags(names, "s1") == {"service:account", "server:s1"}


def test_every_change_of_the_view_changes_the_tags(names: TaggedNames) -> None:
    names.follow(ALONE)
    assert tags(names, "s1") == {"service:account", "server:s1", "role:primary", "epoch:1"}
    assert tags(names, "s2") == {"service:account", "server:s2", "role:joining", "epoch:1"}
    names.follow(BOTH)
    assert "role:standby" in tags(names, "s2")
    names.follow(BOTH.taken_over_by("s2", "b"))
    assert tags(names, "s2") == {"service:account", "server:s2", "role:primary", "epoch:3"}
    assert "role:joining" in tags(names, "s1")


def test_the_primary_is_found_by_the_nature_of_its_service(names: TaggedNames) -> None:
    names.follow(BOTH)
    assert primaries(names) == ["bankrmi.account.s1"]


def test_who_registers_again_gets_the_role_that_the_view_says(names: TaggedNames) -> None:
    """A deposed primary that comes back still believing in itself is not found as one."""
    names.follow(BOTH.taken_over_by("s2", "b"))
    register(names, S1, "s1", 9101, "role:primary", "epoch:9")
    assert tags(names, "s1") == {"service:account", "server:s1", "role:joining", "epoch:3"}
    names.set_metadata(S1, "bankrmi.account.s1", ["service:account", "role:primary"])
    assert tags(names, "s1") == {"service:account", "role:joining", "epoch:3"}


def test_an_empty_stranger_of_the_same_name_gets_neither_the_name_nor_the_role(names: TaggedNames) -> None:
    names.follow(BOTH.taken_over_by("s2", "b"))
    S2.connection.lost = False
    with pytest.raises(AccessDenied, match="the view names another process of s2"):
        register(names, server("s2", "empty", "new disk"), "s2", 9999)
    assert port(names, "s2") == 9102
    assert primaries(names) == ["bankrmi.account.s2"]


def test_who_claims_the_address_of_a_primary_that_is_there_takes_nothing_from_it(names: TaggedNames) -> None:
    names.follow(BOTH)
    with pytest.raises(AccessDenied, match="the view names another process of s1"):
        register(names, server("s1", "made up", "disk-s1"), "s1")
    assert primaries(names) == ["bankrmi.account.s1"]


def test_a_stranger_that_was_quicker_has_no_role_and_gives_way() -> None:
    """The name server was restarted, and an empty s2 found it before the one that leads did."""
    names = TaggedNames("account", ["s1", "s2"])
    names.follow(BOTH.taken_over_by("s2", "b"))
    register(names, server("s2", "empty", "new disk"), "s2", 9999)
    assert primaries(names) == []
    register(names, S2, "s2", 9102)
    assert port(names, "s2") == 9102
    assert primaries(names) == ["bankrmi.account.s2"]


def test_a_primary_that_restarted_is_found_as_soon_as_it_leads_again(names: TaggedNames) -> None:
    before = server("s1", "a", "disk-s1")
    register(names, before, "s1")
    names.follow(BOTH)
    before.connection.lost = True
    register(names, server("s1", "a again", "disk-s1"), "s1")
    assert primaries(names) == []
    names.follow(BOTH.started_again("a again"))
    assert primaries(names) == ["bankrmi.account.s1"]


def test_a_connection_that_nobody_keeps_is_a_lost_one(names: TaggedNames) -> None:
    names.follow(ALONE)
    gone = server("s2", "c", "disk-c")
    register(names, gone, "s2", 9102)
    with pytest.raises(AccessDenied, match="has that name"):
        register(names, server("s2", "d", "disk-d"), "s2", 9999)
    gone.connection.lost = True
    register(names, server("s2", "d", "disk-d"), "s2", 9999)
    assert port(names, "s2") == 9999
    register(names, server("s2", "e", "disk-e"), "s2", 9998)  # The caller before was thrown away.
    assert port(names, "s2") == 9998


# -- whose is what ----------------------------------------------------------------------------------


def test_the_one_role_that_anybody_could_steal(names: TaggedNames) -> None:
    """As in issue 9: a name of one's own, with the role of somebody else."""
    names.follow(BOTH)
    names.register(
        STRANGER,
        "aaa",
        "PYRO:bankrmi.account.s1@127.0.0.1:6666",
        metadata={"service:account", "role:primary", "epoch:9", "kind:x"},
    )
    assert primaries(names) == ["bankrmi.account.s1"]
    assert names.lookup("aaa", return_metadata=True)[1] == {"service:account", "kind:x"}
    names.set_metadata(STRANGER, "aaa", {"service:account", "Role:primary", "role:primary"})
    assert primaries(names) == ["bankrmi.account.s1"]


@pytest.mark.parametrize("caller", [STRANGER, S2, server("", "a")])
def test_nobody_else_registers_changes_or_removes_a_servers_name(names: TaggedNames, caller: Caller) -> None:
    before = names.list(return_metadata=True)
    name = "bankrmi.account.s1"
    for attempt in (
        lambda: names.register(caller, name, f"PYRO:{name}@127.0.0.1:6666"),
        lambda: names.set_metadata(caller, name, ["x"]),
        lambda: names.remove(caller, name),
    ):
        with pytest.raises(AccessDenied, match="for s1 only"):
            attempt()
    assert names.list(return_metadata=True) == before


@pytest.mark.parametrize("caller", [STRANGER, S1])
def test_nobody_replaces_or_removes_the_name_server(names: TaggedNames, caller: Caller) -> None:
    for attempt in (
        lambda: names.register(caller, "Pyro.NameServer", THEIRS),
        lambda: names.set_metadata(caller, "Pyro.NameServer", None),
        lambda: names.remove(caller, "Pyro.NameServer"),
    ):
        with pytest.raises(AccessDenied):
            attempt()
    assert names.lookup("Pyro.NameServer").port == 9090


def test_what_a_stranger_removes_by_prefix_is_what_strangers_own(names: TaggedNames) -> None:
    names.register(STRANGER, "bank", THEIRS)
    assert names.remove(STRANGER, prefix="b") == 1
    assert names.remove(STRANGER, prefix="Pyro") == 0
    assert names.remove(S1, prefix="b") == 1
    assert set(names.list()) == {"Pyro.NameServer", "bankrmi.account.s2"}


def test_a_server_removes_its_own_name(names: TaggedNames) -> None:
    assert names.remove(S1, "bankrmi.account.s1") == 1
    assert names.remove(S1, "bankrmi.account.s1") == 0
    names.follow(BOTH)
    assert names.count() == 2


def test_another_process_of_the_server_may_not_change_the_name(names: TaggedNames) -> None:
    names.follow(BOTH)
    other = server("s1", "another", "new disk")
    with pytest.raises(AccessDenied):
        names.set_metadata(other, "bankrmi.account.s1", ["x"])
    with pytest.raises(AccessDenied):
        names.remove(other, "bankrmi.account.s1")
    assert names.remove(other, prefix="bank") == 0


def test_a_servers_name_stands_for_its_own_object(names: TaggedNames) -> None:
    with pytest.raises(AccessDenied, match="and for no other"):
        names.register(S1, "bankrmi.account.s1", "PYRO:bankrmi.account.s1.x@127.0.0.1:9101")


def test_a_server_that_is_not_configured_is_none_of_this_service(names: TaggedNames) -> None:
    """Else anybody could make up servers, and clients that know the name server only would ask them."""
    with pytest.raises(AccessDenied, match="s9 is no server of service:account"):
        register(names, server("s9", "x", "y"), "s9")
    name = "bankrmi.account.s9"
    names.register(server("s9", "x", "y"), name, f"PYRO:{name}@h:1", metadata=["service:other"])
    with pytest.raises(AccessDenied, match="s9 is no server"):
        names.set_metadata(server("s9", "x", "y"), name, ["service:account"])


def test_a_server_that_was_moved_gets_no_name_where_it_lived_before(names: TaggedNames) -> None:
    """Its old process may not have read the view yet, and would keep the name from the new one (V12)."""
    s2_at_9103 = {"s1": "127.0.0.1:9101", "s2": "127.0.0.1:9103"}
    names.follow(replace(BOTH, epoch=3, servers=s2_at_9103))
    assert "bankrmi.account.s2" not in names.list()
    with pytest.raises(AccessDenied, match=r"s2 lives at 127\.0\.0\.1:9103, as the view has it"):
        register(names, S2, "s2", 9102)
    register(names, server("s2", "c", "disk-s2"), "s2", 9103)
    assert port(names, "s2") == 9103
    assert port(names, "s1") == 9101


def test_other_peoples_objects_are_left_alone(names: TaggedNames) -> None:
    names.register(STRANGER, "theirs", THEIRS, metadata=["kind:x"])
    other = server("x", "1", "2")
    names.register(
        other, "bankrmi.account.x", "PYRO:bankrmi.account.x@h:1", metadata=["service:other", "role:primary"]
    )
    names.follow(BOTH)
    assert names.lookup("theirs", return_metadata=True)[1] == {"kind:x"}
    assert names.lookup("bankrmi.account.x", return_metadata=True)[1] == {"service:other"}
    names.register(STRANGER, "theirs", "PYRO:obj_2@127.0.0.1:1")
    assert names.remove(STRANGER, "theirs") == 1


# -- limits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["list", "remove"])
def test_regular_expressions_are_refused(names: TaggedNames, method: str) -> None:
    called = getattr(names, method)
    with pytest.raises(InvalidRequest, match="regular expressions"):
        called(*([STRANGER] if method == "remove" else []), regex="(a+)+$")
    assert names.count() == 3


@pytest.mark.parametrize(
    "wrong",
    [
        ("n" * 201, THEIRS, None),
        (5, THEIRS, None),
        ("", THEIRS, None),
        (["name"], THEIRS, None),
        ("a\nname", THEIRS, None),
        ("name", "PYRO:" + "@" * 1000, None),
        ("name", THEIRS, ["tag"] * 33),
        ("name", THEIRS, ["t" * 201]),
        ("name", THEIRS, [5]),
        ("name", THEIRS, "tag"),
        ("name", THEIRS, [f"{number} " + "ü" * 150 for number in range(10)]),
    ],
)
def test_what_is_kept_for_others_has_limits(names: TaggedNames, wrong: tuple[object, object, object]) -> None:
    name, uri, metadata = wrong
    with pytest.raises(InvalidRequest):
        names.register(STRANGER, name, uri, metadata=metadata)
    assert names.count() == 3


def fill(names: TaggedNames, metadata: Any = None) -> None:
    def register_many() -> None:
        for number in range(5000):
            names.register(STRANGER, f"name {number}", THEIRS, metadata=metadata)

    with pytest.raises(InvalidRequest, match="takes no more"):
        register_many()


@pytest.mark.parametrize("metadata", [None, [f"{number:0200}" for number in range(9)]])
def test_a_full_name_server_still_takes_the_servers_names(metadata: Any) -> None:
    names = TaggedNames("account", ["s1", "s2"])
    names.follow(BOTH)
    fill(names, metadata)
    register(names, S1, "s1")
    register(names, S2, "s2")
    assert primaries(names) == ["bankrmi.account.s1"]


def test_a_name_that_is_removed_leaves_its_place_to_another(names: TaggedNames) -> None:
    fill(names)
    assert names.remove(STRANGER, prefix="name 1") > 1
    assert names.remove(STRANGER, "name 2") == 1
    names.register(STRANGER, "one more", THEIRS)


def test_setting_tags_does_not_get_around_the_limits(names: TaggedNames) -> None:
    fill(names)

    def tag_all() -> None:
        for number in range(500):
            names.set_metadata(STRANGER, f"name {number}", [f"{tag:0200}" for tag in range(9)])

    with pytest.raises(InvalidRequest, match="takes no more"):
        tag_all()
    listed = sum(
        len(text)
        for name, (uri, said) in names.list(return_metadata=True).items()
        for text in (name, uri, *said)
    )
    assert listed < (64 << 10) + 1000


def test_what_is_asked_for_has_limits_too(names: TaggedNames) -> None:
    for wrong in ("n" * 201, 5, ["n"], ("n", "m")):
        with pytest.raises(InvalidRequest):
            names.list(prefix=wrong)
        with pytest.raises(InvalidRequest):
            names.remove(STRANGER, prefix=wrong)
        with pytest.raises(InvalidRequest):
            names.lookup(wrong)
    for tags in (["t"] * 33, "tag", [["t"]], {"a": 1}):
        with pytest.raises(InvalidRequest):
            names.yplookup(meta_all=tags)
        with pytest.raises(InvalidRequest):
            names.yplookup(meta_any=tags)


def test_pyro5s_own_errors_stay_as_they_are(names: TaggedNames) -> None:
    with pytest.raises(NamingError):
        names.lookup("nobody")
    with pytest.raises(NamingError):
        names.set_metadata(STRANGER, "nobody", ["t"])
    names.register(STRANGER, "name", THEIRS, safe=True)
    with pytest.raises(NamingError):
        names.register(STRANGER, "name", THEIRS, safe=True)
    with pytest.raises(PyroError):
        names.register(STRANGER, "other", "no uri")
    with pytest.raises(ValueError, match="at the same time"):
        names.yplookup(meta_all=["a"], meta_any=["b"])


@pytest.mark.parametrize("serializer", [SERPENT, JSON, MSGPACK])
@pytest.mark.parametrize("character", ["t", '"', "\\", "ü", "🏦"])
def test_the_longest_answer_is_bounded_by_what_is_kept(serializer: int, character: str) -> None:
    """However it is written: what would be written as an escape sequence is not taken."""
    names = TaggedNames("account", ["s1"])
    tag = character * (199 // len(character.encode()))
    fill(names, [f"{number}{tag}" for number in range(9)])
    fill(names)
    assert len(write_value(serializer, names.list(return_metadata=True))) < 3 * MOST_BYTES


# -- several services ---------------------------------------------------------------------------------


@pytest.fixture
def several() -> TaggedNames:
    names = TaggedNames("account", ["s1", "s2"], beside=["orders"])
    register(names, S1, "s1")
    for who, caller, at in (("s1.orders", S1, 9101), ("s2.orders", S2, 9102), ("s1.other", S1, 9101)):
        name = f"bankrmi.account.{who}"
        said = ["server:" + who[:2], "service:" + who[3:]]
        names.register(caller, name, f"PYRO:{name}@127.0.0.1:{at}", metadata=said)
    return names


def test_every_service_of_a_pair_gets_its_roles(several: TaggedNames) -> None:
    several.follow(BOTH)
    assert "role:primary" in tags(several, "s1")
    assert "role:primary" in tags(several, "s1.orders")
    assert "role:standby" in tags(several, "s2.orders")
    assert list(several.yplookup(meta_all=["service:orders", "role:primary"])) == [
        "bankrmi.account.s1.orders"
    ]
    assert tags(several, "s1.other") == {"server:s1", "service:other"}, "of which nobody knows here"


def test_the_names_of_its_services_are_for_a_server_alone(several: TaggedNames) -> None:
    with pytest.raises(AccessDenied, match=r"bankrmi\.account\.s1\.orders is for s1 only"):
        register(several, S2, "s1.orders")
