"""Servers come, go and move while the bank runs.  Rule V12; each message delivered by hand."""

from __future__ import annotations

import pytest

from bankrmi.replication.cause import CauseKind
from bankrmi.replication.events import LinkChanged, Probed, ServersAsked, ViewRead
from tests.replication.scenario import Bank, follows, home, running

ADDED, REMOVED, MOVED = CauseKind.ADDED, CauseKind.REMOVED, CauseKind.MOVED


def decided(bank: Bank, name: str = "s1") -> None:
    bank.deliver(f"{name} proposes", f"witness -> {name}")


def test_a_server_is_added_and_joins_as_any_other() -> None:
    bank = running("s1", "s2")
    bank.change("s1", ADDED, "s3", home("s3"))
    assert bank.told() == ["s1 proposes epoch 3 is s1's {s1, s2}"]
    decided(bank)
    told = bank.told()
    assert "s1 goes by s2 at s2:9101, s3 at s3:9101" in told
    assert "s1 answers operator: changed, epoch 3 is s1's {s1, s2}" in told
    bank.new_server("s3")
    bank.start("s3")
    bank.link("s1", "s3")
    bank.link("s2", "s3")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2", "s3"} and follows(bank))
    assert bank.view is not None
    assert bank.view.servers == {name: home(name) for name in ("s1", "s2", "s3")}


def test_who_was_not_added_yet_waits_and_asks_nobody() -> None:
    bank = running("s1", "s2")
    bank.change("s1", ADDED, "s3", home("s3"))
    bank.settle(lambda: follows(bank))
    bank.new_server("s4")
    bank.start("s4")
    bank.link("s1", "s4")
    bank.settle(lambda: bank.replicas["s4"].view == bank.view)
    bank.told()
    for _ in range(20):
        bank.wait(100)
        bank.tick("s4")
    assert not [sentence for sentence in bank.told() if "let me in" in sentence]


def test_whoever_is_removed_is_out_of_sync_in_the_same_view_and_leaves() -> None:
    bank = running("s1", "s2")
    bank.change("s1", REMOVED, "s2")
    decided(bank)
    assert "witness: epoch 3 is s1's {s1}" in bank.told()
    bank.tick("s2")
    bank.wait(2_000)
    bank.tick("s2")
    bank.hear("s2")
    assert "s2 leaves" in bank.told()


def test_whoever_moves_is_out_of_sync_and_comes_back_only_where_he_lives() -> None:
    bank = running("s1", "s2")
    old_start = bank.replicas["s2"].start_id
    bank.change("s1", MOVED, "s2", "elsewhere")
    decided(bank)
    assert bank.view is not None
    assert bank.view.in_sync == {"s1"}
    bank.told()
    up = LinkChanged(server="s2", up=True, start_id=old_start, begun_ms=bank.now_ms, address=home("s2"))
    bank.take("s1", up)
    assert "s2" not in bank.replicas["s1"].links, "what comes from where it lived before is not s2"
    bank.wait(2_000)
    bank.tick("s2")
    bank.hear("s2")
    assert "s2 leaves" in bank.told()
    bank.settings["s2"] = bank.settings["s2"].with_servers({"s1": home("s1"), "s2": "elsewhere"})
    bank.new_server("s2", address="elsewhere")
    bank.start("s2")
    bank.link("s1", "s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"} and follows(bank))


def test_a_process_that_lives_elsewhere_than_the_view_says_never_leads() -> None:
    """An operator edited its file, and told nobody: nobody would find it, and all would take it for dead."""
    bank = running("s1", "s2")
    bank.change("s1", ADDED, "s3", home("s3"))
    bank.settle(lambda: follows(bank))
    bank.crash("s2")
    journal = bank.journals["s2"]
    bank.new_server("s2", address="elsewhere")
    bank.journals["s2"] = journal
    bank.start("s2")
    bank.crash("s1")
    bank.told()
    bank.tick("s2")
    bank.hear("s2")
    assert bank.told()[-1] == "s2 leaves"


def test_a_refusal_where_a_primary_does_not_live_proves_nothing() -> None:
    """R3: its lease stands until it is over."""
    bank = running("s1", "s2")
    s2 = bank.replicas["s2"]
    over_at_ms = s2.grants.over_at_ms()
    assert over_at_ms > bank.now_ms
    bank.take("s2", Probed(server="s1", begun_ms=bank.now_ms, epoch=2, refused=True, address="where it was"))
    assert s2.grants.over_at_ms() == over_at_ms
    bank.take("s2", Probed(server="s1", begun_ms=bank.now_ms, epoch=2, refused=True, address=home("s1")))
    assert s2.grants.over_at_ms() < bank.now_ms


@pytest.mark.parametrize(
    ("kind", "server", "address", "why"),
    [
        (ADDED, "s2", "elsewhere", "is a server of the bank already, at s2:9101; `bankrmi server move`"),
        (ADDED, "s3", "s2:9101", "s2:9101 is the address of s2"),
        (REMOVED, "s9", None, "there is no server s9: there are s1, s2"),
        (REMOVED, "s1", None, "s1 is the primary: `bankrmi switchover` first"),
        (MOVED, "s1", "elsewhere", "s1 is the primary: `bankrmi switchover` first"),
        (MOVED, "s2", "s2:9101", "s2 is at s2:9101 already"),
        (MOVED, "s9", "elsewhere", "there is no server s9"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    kind: CauseKind, server: str, address: str | None, why: str
) -> None:
    bank = running("s1", "s2")
    bank.change("s1", kind, server, address)
    [told] = bank.told()
    assert told.startswith("s1 answers operator: refused, ")
    assert why in told


def test_nobody_goes_below_copies_min() -> None:
    bank = running("s1", "s2", copies_min=2)
    bank.change("s1", REMOVED, "s2")
    bank.change("s1", MOVED, "s2", "elsewhere")
    one, other = bank.told()
    assert "the bank would have 1 servers, and copies_min is 2" in one
    assert "without s2 1 would be in sync, and copies_min is 2" in other


def test_nothing_changes_while_a_server_could_not_read_it() -> None:
    """A version before could not read a view that names servers (ADR 36)."""
    bank = running("s1", "s2")
    start_id = bank.replicas["s2"].start_id
    bank.take("s1", LinkChanged(server="s2", up=True, start_id=start_id, protocol=1))
    bank.told()
    bank.change("s1", ADDED, "s3", home("s3"))
    assert "s2 speaks bankrmi protocol 1, this needs 2: upgrade it first" in bank.told()[-1]


def test_who_asks_is_told_that_nobody_knows_when_the_witness_is_silent() -> None:
    bank = running("s1", "s2")
    bank.change("s1", ADDED, "s3", home("s3"))
    bank.drop("s1 proposes")
    bank.witness_silent("s1", proposal=True)
    bank.wait(10_000)
    bank.tick("s1")
    [told] = [sentence for sentence in bank.told() if "answers operator" in sentence]
    assert "it may be done yet: look with `bankrmi history`" in told


def test_who_asks_is_told_that_nobody_knows_when_another_leads_meanwhile() -> None:
    bank = running("s1", "s2")
    bank.change("s1", MOVED, "s2", "elsewhere")
    bank.wait(1_000)
    bank.tick("s2")
    bank.hear("s2")
    bank.deliver("s2 proposes", "witness -> s2")
    decided(bank)
    told = [sentence for sentence in bank.told() if "answers operator" in sentence]
    assert len(told) == 1
    assert "another server leads, or is about to; it may be done yet" in told[0]


def test_one_change_at_a_time_and_none_during_a_switchover() -> None:
    bank = running("s1", "s2")
    bank.change("s1", ADDED, "s3", home("s3"))
    bank.change("s1", ADDED, "s4", home("s4"))
    bank.switch_over("s1")
    told = [sentence for sentence in bank.told() if "refused" in sentence]
    assert len(told) == 2
    assert all("another server is being added, removed or moved" in sentence for sentence in told)
    bank.settle(lambda: follows(bank))
    bank.switch_over("s1", "s2")
    bank.change("s1", REMOVED, "s2")
    assert "a switchover is under way" in bank.told()[-1]


def test_a_deposed_primary_that_was_removed_meanwhile_wants_nothing_any_more() -> None:
    """Seed 9500045 of three: it was about to remove another server when it heard that it was none itself."""
    bank = running("s1", "s2", "s3")
    bank.change("s1", REMOVED, "s3")
    bank.drop("s1 proposes")
    view = bank.view
    assert view is not None
    deposed = view.taken_over_by("s2", "s2#1")
    bank.view = deposed.removing("s1", {name: home(name) for name in ("s2", "s3")})
    bank.witness_silent("s1", proposal=True)
    bank.wait(10 * 1000)
    bank.take("s1", ViewRead(bank.view, view.epoch))
    assert bank.told()[-1] == "s1 leaves"


def test_only_the_primary_changes_servers() -> None:
    bank = running("s1", "s2")
    bank.take("s2", ServersAsked("operator", REMOVED, "s1"))
    assert bank.told() == ["s2 answers operator: refused, s2 is not the primary"]
