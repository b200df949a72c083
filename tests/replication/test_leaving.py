"""Servers that stop: rule V10; each message delivered by hand."""

from __future__ import annotations

from tests.replication.histories import alone, comes_back, dies
from tests.replication.scenario import running


def test_a_standby_that_stops_is_taken_out_first() -> None:
    """V10."""
    bank = running("s1", "s2")
    bank.stop("s2")
    assert bank.told() == ["s2 -> s1: let me go"]
    bank.deliver("s2 -> s1")
    assert bank.told() == ["s1 proposes epoch 3 is s1's {s1}"]
    bank.deliver("s1 proposes", "witness -> s1")
    assert "s1 -> s2: noted" in bank.told()
    bank.deliver("s1 -> s2")
    bank.deliver_all()
    assert "s2" not in bank.replicas
    bank.withdraw("s1", "c:1", 10)
    assert bank.told()[-1] == "s1 answers c:1: done 90 at 1"


def test_a_process_that_is_there_anew_is_not_about_to_stop() -> None:
    """V10, seed 210011679: the one before was; s1, whom the witness did not answer, counted s2 as silent."""
    bank = running("s1", "s2")
    bank.stop("s2")
    bank.deliver("s2 -> s1: let me go", keep=True)
    assert bank.told()[-1] == "s1 proposes epoch 3 is s1's {s1}"
    bank.drop("s1 proposes")
    late = bank.find("s2 -> s1: let me go")
    dies(bank, "s2")
    comes_back(bank, "s2")
    late.arrive()
    primary = bank.replicas["s1"].primary
    assert primary is not None
    assert not primary.copies.peers["s2"].is_silent(bank.now_ms, 500)


def test_a_primary_that_stops_hands_over_first() -> None:
    """V10."""
    bank = running("s1", "s2")
    bank.stop("s1")
    assert bank.told() == ["s1 proposes epoch 3 is s2's {s1, s2}"]
    bank.deliver("s1 proposes", "witness -> s1")
    assert bank.told()[-1] == "s1 stops"
    bank.deliver("s1 -> s2")
    assert "s2 commits lead" in bank.told()


def test_the_last_server_stops_and_leaves_the_view_as_it_was() -> None:
    """V10."""
    bank = running("s1", "s2")
    bank.cut("s1", "s2")
    alone(bank, "s1")
    view = bank.view
    bank.told()
    bank.stop("s1")
    assert bank.told() == ["s1 stops"]
    assert bank.view == view
