"""Who may hold which name, and who gets which role: a test for each sentence."""

from __future__ import annotations

import pytest

from bankrmi.errors import AccessDenied
from bankrmi.nameserver.ownership import (
    Holder,
    Process,
    check_owner,
    check_succession,
    process_of,
    role_tags,
    without_roles,
)
from bankrmi.replication.view import View
from bankrmi.rmi import Peer

ALONE = View.first(history="h1", server="s1", start_id="start-1", incarnation="disk-1")
BOTH = ALONE.letting_in("s2", "disk-2")

S1 = Process(server="s1", start_id="start-1", incarnation="disk-1")
S2 = Process(server="s2", start_id="start-2", incarnation="disk-2")
HERE = "PYRO:bankrmi.account.s2@127.0.0.1:9102"
THERE = "PYRO:bankrmi.account.s2@127.0.0.1:9999"


def another(process: Process, *, incarnation: str = "empty disk") -> Process:
    return Process(server=process.server, start_id="another start", incarnation=incarnation)


def held_by(process: Process, *, connected: bool = True, uri: str = HERE) -> Holder:
    return Holder(process=process, uri=uri, connected=connected)


def said(**handshake: object) -> Peer:
    return Peer(address="127.0.0.1:5", protocol=1, role="server", handshake=handshake)


# -- who somebody is --------------------------------------------------------------------------------


def test_a_server_is_who_its_handshake_says() -> None:
    assert process_of(said(server="s1", start_id="start-1", incarnation="disk-1")) == S1


@pytest.mark.parametrize(
    "peer",
    [
        Peer(address="127.0.0.1:5"),
        Peer(address="127.0.0.1:5", protocol=1, role="client", handshake={"server": "s1"}),
        Peer(address="127.0.0.1:5", protocol=1, role="operator", handshake={"server": "s1"}),
        said(),
        said(server=""),
        said(server=["s1"]),
        said(server="s1", start_id=5),
        said(server="s1", incarnation=None),
        said(server="s" * 101),
    ],
)
def test_everybody_else_is_no_server(peer: Peer) -> None:
    assert process_of(peer) is None


# -- rule 1 -----------------------------------------------------------------------------------------


def test_a_servers_name_is_for_that_server() -> None:
    check_owner("bankrmi.account.s1", S1)
    for stranger in (None, S2):
        with pytest.raises(AccessDenied, match="for s1 only"):
            check_owner("bankrmi.account.s1", stranger)


def test_the_witnesss_name_is_for_the_witness() -> None:
    check_owner("bankrmi.witness", Process(server="witness", start_id="", incarnation=""))
    with pytest.raises(AccessDenied):
        check_owner("bankrmi.witness", S1)


@pytest.mark.parametrize("name", ["Pyro.NameServer", "bankrmi.account.", "bankrmi.standby.s1", "bankrmi.x"])
def test_nobody_gets_the_name_servers_name_or_another_of_ours(name: str) -> None:
    for caller in (None, S1, Process(server="", start_id="", incarnation="")):
        with pytest.raises(AccessDenied, match="nobody"):
            check_owner(name, caller)


def test_all_other_names_are_everybodys() -> None:
    for name in ("theirs", "Pyro.NameServer.mine", "bankrmi", "my.bankrmi.account.s1"):
        check_owner(name, None)


# -- rule 2 -----------------------------------------------------------------------------------------


def test_before_there_is_a_view_nobody_has_a_role() -> None:
    assert role_tags(S1, None) == frozenset()


def test_the_process_that_the_view_names_is_the_primary() -> None:
    assert role_tags(S1, BOTH) == {"role:primary", "epoch:2"}


def test_another_process_of_the_primary_is_not_the_primary_be_it_on_the_same_disk() -> None:
    """A primary that restarted leads only once it has won an epoch (V4), which names its new start."""
    again = another(S1, incarnation="disk-1")
    assert role_tags(again, BOTH) == {"role:joining", "epoch:2"}
    assert role_tags(again, BOTH.started_again("another start")) == {"role:primary", "epoch:3"}


def test_the_disk_that_is_in_sync_is_the_standby_whichever_process_has_it() -> None:
    assert role_tags(S2, BOTH) == {"role:standby", "epoch:2"}
    assert role_tags(another(S2, incarnation="disk-2"), BOTH) == {"role:standby", "epoch:2"}


def test_a_server_with_another_disk_is_joining() -> None:
    """V8: a wiped disk is another member, be its name in the view or not."""
    assert role_tags(another(S2), BOTH) == {"role:joining", "epoch:2"}
    assert role_tags(S2, ALONE) == {"role:joining", "epoch:1"}


# -- rule 3 -----------------------------------------------------------------------------------------


def test_a_name_that_nobody_has_goes_to_the_first_who_asks() -> None:
    check_succession(another(S2), THERE, None, BOTH)


def test_the_holder_may_register_again_elsewhere_too() -> None:
    check_succession(S2, THERE, held_by(S2), BOTH)


@pytest.mark.parametrize("connected", [True, False])
def test_an_empty_stranger_does_not_displace_whom_the_view_names(connected: bool) -> None:
    with pytest.raises(AccessDenied, match=r"the view names another process of s2: PYRO:\S+:9102"):
        check_succession(another(S2), THERE, held_by(S2, connected=connected), BOTH)


def test_whom_the_view_names_displaces_whoever_came_first() -> None:
    """So it is after a restart of the name server, when the stranger was quicker."""
    check_succession(S2, HERE, held_by(another(S2), uri=THERE), BOTH)
    check_succession(S1, HERE, held_by(another(S1, incarnation="disk-1"), uri=THERE), BOTH)


def test_a_restart_at_the_same_address_gets_the_name_at_once() -> None:
    """Two processes cannot listen there, so the holder is gone."""
    check_succession(another(S1), HERE, held_by(S1, connected=False), BOTH)
    check_succession(another(S2), HERE, held_by(S2), ALONE)


def test_nobody_talks_a_holder_away_that_is_connected_and_named() -> None:
    """An address is only said; the name leads to the same place either way."""
    with pytest.raises(AccessDenied, match="the view names another process of s1"):
        check_succession(another(S1), HERE, held_by(S1), BOTH)


def test_a_restart_elsewhere_on_the_same_disk_gets_the_name() -> None:
    """Two processes cannot have one disk."""
    check_succession(another(S2, incarnation="disk-2"), THERE, held_by(S2), BOTH)


def test_of_two_that_the_view_does_not_name_the_connected_one_keeps_the_name() -> None:
    for view in (None, ALONE):
        with pytest.raises(AccessDenied, match="another process of s2 has that name"):
            check_succession(another(S2), THERE, held_by(S2), view)


def test_a_moved_server_gets_the_name_when_the_one_before_is_gone_and_out_of_the_view() -> None:
    check_succession(another(S2), THERE, held_by(S2, connected=False), ALONE)


def test_another_process_may_not_change_what_it_does_not_register() -> None:
    with pytest.raises(AccessDenied):
        check_succession(another(S2), None, held_by(S2), BOTH)


def test_two_that_do_not_say_which_start_they_are_are_not_taken_for_one() -> None:
    nameless = Process(server="s2", start_id="", incarnation="")
    with pytest.raises(AccessDenied):
        check_succession(nameless, THERE, held_by(nameless), None)


# -- rule 4 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tag",
    [
        "role:primary",
        "role:",
        "epoch:7",
        "Role:primary",
        "ROLE:PRIMARY",
        " role:primary",
        "ro le : primary",
        "role\uff1aprimary",
        "\uff52\uff4f\uff4c\uff45:primary",
        "\u2003epoch:1",
    ],
)
def test_nobodys_own_words_give_a_role(tag: str) -> None:
    assert without_roles([tag, "kind:x"]) == {"kind:x"}


def test_what_only_contains_such_a_word_is_left() -> None:
    tags = {"my-role:primary", "roles:many", "service:account", "the epoch:1"}
    assert without_roles(tags) == tags
