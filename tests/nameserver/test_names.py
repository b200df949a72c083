"""The name server object: roles come from the view, limits hold, and no stranger's expression is run."""

from __future__ import annotations

import pytest
from Pyro5.errors import NamingError, PyroError

from bankrmi.errors import InvalidRequest
from bankrmi.nameserver.names import TaggedNames
from bankrmi.replication.view import View

ALONE = View.first(history="h1", server="s1", start_id="a", incarnation="disk-s1")
BOTH = ALONE.letting_in("s2", "disk-s2")
URI = "PYRO:bankrmi.account.s1@127.0.0.1:9101"


@pytest.fixture
def names() -> TaggedNames:
    names = TaggedNames("account")
    for server in ("s1", "s2"):
        names.register(f"bankrmi.account.{server}", URI, metadata=["service:account", f"server:{server}"])
    return names


def tags(names: TaggedNames, server: str) -> set[str]:
    return set(names.lookup(f"bankrmi.account.{server}", return_metadata=True)[1])


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
    assert list(names.yplookup(meta_all=["service:account", "role:primary"])) == ["bankrmi.account.s1"]


def test_who_registers_again_gets_the_role_that_the_view_says(names: TaggedNames) -> None:
    """A deposed primary that comes back still believing in itself is not found as one."""
    names.follow(BOTH.taken_over_by("s2", "b"))
    names.register("bankrmi.account.s1", URI, metadata=["service:account", "role:primary", "epoch:9"])
    assert tags(names, "s1") == {"service:account", "role:joining", "epoch:3"}
    names.set_metadata("bankrmi.account.s1", ["service:account", "role:primary"])
    assert tags(names, "s1") == {"service:account", "role:joining", "epoch:3"}


def test_other_peoples_objects_are_left_alone(names: TaggedNames) -> None:
    names.register("theirs", "PYRO:obj_1@127.0.0.1:1", metadata=["role:primary"])
    names.register("bankrmi.account.x", URI, metadata=["service:other"])
    names.follow(BOTH)
    assert names.lookup("theirs", return_metadata=True)[1] == {"role:primary"}
    assert names.lookup("bankrmi.account.x", return_metadata=True)[1] == {"service:other"}


@pytest.mark.parametrize("method", ["list", "remove"])
def test_regular_expressions_are_refused(names: TaggedNames, method: str) -> None:
    with pytest.raises(InvalidRequest, match="regular expressions"):
        getattr(names, method)(regex="(a+)+$")
    assert names.count() == 2
    assert names.remove(prefix="bankrmi.account.s1") == 1


@pytest.mark.parametrize(
    "wrong",
    [
        ("n" * 201, URI, None),
        (5, URI, None),
        ("name", "PYRO:" + "@" * 1000, None),
        ("name", URI, ["tag"] * 33),
        ("name", URI, ["t" * 201]),
        ("name", URI, [5]),
        ("name", URI, "tag"),
    ],
)
def test_what_is_kept_for_others_has_limits(names: TaggedNames, wrong: tuple[object, object, object]) -> None:
    name, uri, metadata = wrong
    with pytest.raises(InvalidRequest):
        names.register(name, uri, metadata=metadata)
    assert names.count() == 2


def test_there_is_room_for_some_thousand_names_and_then_for_no_more() -> None:
    names = TaggedNames("account")
    for number in range(4096):
        names.register(f"name {number}", URI)
    names.register("name 1", URI)
    with pytest.raises(InvalidRequest, match="takes no more"):
        names.register("one more", URI)


def test_pyro5s_own_errors_stay_as_they_are(names: TaggedNames) -> None:
    with pytest.raises(NamingError):
        names.lookup("nobody")
    with pytest.raises(NamingError):
        names.register("bankrmi.account.s1", URI, safe=True)
    with pytest.raises(PyroError):
        names.register("name", "no uri")
