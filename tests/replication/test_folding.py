"""Journals that begin at different places, and requests that are forgotten: rules J1 to J3, O5; by hand."""

from __future__ import annotations

from bankrmi.replication.admission import newest_common
from bankrmi.replication.joining import tail_of
from bankrmi.replication.sessions import HORIZON, new_session
from bankrmi.storage.folding import Keeping
from bankrmi.storage.journal import WriteBehind
from tests.replication.histories import comes_back, dies, taken_over
from tests.replication.scenario import Bank, running

KEEPING = Keeping(operations=1, session_us=1_000)
LATE_US = 1 << 50


def folding(*servers: str) -> Bank:
    """Return a bank whose servers fold when they are told to."""
    return running(*servers, keeping=KEEPING, behind=WriteBehind(records=0, operations=0))


def fold(bank: Bank, name: str, *, now_us: int = 0) -> int:
    """Let a server fold all that it may; return its anchor."""
    journal = bank.journals[name]
    while journal.fold(bank.replicas[name].may_be_folded, now_us):
        pass
    return journal.anchor.action_id


def do(bank: Bank, count: int, *, at: str = "s1", session: str = "c", first: int = 1) -> None:
    for number in range(first, first + count):
        bank.withdraw(at, f"{session}:{number}", 1)
        bank.deliver_all()


def test_nothing_is_folded_before_it_is_acknowledged() -> None:
    """J1: at the primary, and at the standby, which hears of it with the next message."""
    bank = folding("s1", "s2")
    do(bank, 5)
    bank.withdraw("s1", "c:6", 1)
    bank.withdraw("s1", "c:7", 1)
    assert fold(bank, "s1") == 5
    assert fold(bank, "s2") == 4
    bank.deliver_all()
    bank.wait(200)
    bank.tick()
    bank.deliver_all()
    assert (fold(bank, "s1"), fold(bank, "s2")) == (bank.tips()["s1"][0] - 1, bank.tips()["s2"][0] - 1)


def test_servers_with_different_anchors_take_over_from_each_other() -> None:
    """J2: whoever has folded more acknowledges what is folded, and gets the rest."""
    bank = folding("s1", "s2")
    do(bank, 6)
    assert fold(bank, "s2") == 5
    assert bank.journals["s1"].anchor.action_id == 0
    dies(bank, "s2")
    comes_back(bank, "s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    do(bank, 3, first=7)
    assert fold(bank, "s1") == 9 - 1
    bank.crash("s1")
    taken_over(bank, "s2", "s1")
    do(bank, 1, at="s2", first=10)
    assert bank.balances()["s2"] == 90


def test_a_joiner_that_was_away_for_longer_than_the_journal_reaches_gets_a_copy() -> None:
    """J3: nobody can tell what it holds below our anchor."""
    bank = folding("s1", "s2")
    do(bank, 3)
    dies(bank, "s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1"})
    do(bank, 6, first=4)
    assert fold(bank, "s1") > 3
    assert newest_common(bank.journals["s1"], tail_of(bank.journals["s2"])) is None
    comes_back(bank, "s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    assert bank.tips()["s1"] == bank.tips()["s2"]
    assert bank.journals["s2"].anchor == bank.journals["s1"].anchor
    assert bank.balances() == {"s1": 91, "s2": 91}


def tracked_from(bank: Bank) -> int | None:
    """From where on s1 sends entries to s2, which is let in; None while it does not."""
    leader = bank.replicas["s1"].primary
    peer = None if leader is None else leader.copies.peers["s2"]
    return peer.resume_id if peer is not None and peer.tracked else None


def test_what_a_joiner_still_needs_is_not_folded() -> None:
    bank = folding("s1", "s2")
    do(bank, 3)
    dies(bank, "s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1"})
    do(bank, 6, first=4)
    comes_back(bank, "s2")
    for _ in range(2_000):
        if tracked_from(bank) is not None:
            break
        if bank.mail:
            bank.mail.pop(0).arrive()
        else:
            bank.wait(25)
            bank.tick()
    needed_from = tracked_from(bank)
    assert needed_from is not None
    assert fold(bank, "s1") <= needed_from - 1
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    assert bank.balances() == {"s1": 91, "s2": 91}


def test_a_retry_of_a_sessions_newest_request_is_answered_after_its_record_is_folded() -> None:
    """O1; by the one that folded it, and by the other after a takeover."""
    bank = folding("s1", "s2")
    do(bank, 1, session="c")
    do(bank, 5, session="d")
    assert fold(bank, "s1") >= 4
    bank.told()
    bank.withdraw("s1", "c:1", 1)
    assert bank.told()[-1] == "s1 answers c:1: done 99 at 1"
    fold(bank, "s2")
    bank.crash("s1")
    taken_over(bank, "s2", "s1")
    bank.withdraw("s2", "c:1", 1)
    assert bank.told()[-1] == "s2 answers c:1: done 99 at 1"
    assert bank.balances() == {"s1": 94, "s2": 94}


def test_an_older_request_whose_record_is_folded_is_forgotten_and_not_done() -> None:
    """O5: nobody can tell any more whether it is a retry; nor can `outcome` say that it never was."""
    bank = folding("s1", "s2")
    do(bank, 5)
    assert fold(bank, "s1") == 4
    bank.told()
    bank.withdraw("s1", "c:3", 1)
    bank.outcome("s1", "c:3")
    bank.deliver_all()
    assert bank.told() == [f"s1 answers {asked}: too old to be known" for asked in ("c:3", "outcome of c:3")]
    assert bank.balances() == {"s1": 95, "s2": 95}


def test_what_was_forgotten_is_never_done_whoever_leads() -> None:
    """O5: the horizon is an entry: the server that still knows the session does not go on in it either."""
    bank = folding("s1", "s2")
    old, young = new_session(1_000), new_session(9_000)
    do(bank, 1, session=old)
    do(bank, 3, session="d")
    bank.outcome("s1", f"{HORIZON}:5000")
    bank.deliver_all()
    do(bank, 2, session="d", first=4)
    fold(bank, "s1", now_us=LATE_US)
    assert not [row for row in bank.journals["s1"].kept_sessions("", 99, at_most_bytes=99) if row[0] == old]
    assert bank.journals["s2"].recorded(old, 1) is not None
    bank.told()
    for request in (f"{old}:1", f"{old}:2", f"{new_session(4_999)}:1"):
        bank.withdraw("s1", request, 1)
        assert bank.told()[-1] == f"s1 answers {request}: too old to be known"
    bank.crash("s1")
    taken_over(bank, "s2", "s1")
    bank.told()
    bank.withdraw("s2", f"{old}:2", 1)
    assert bank.told()[-1] == f"s2 answers {old}:2: too old to be known"
    bank.withdraw("s2", f"{old}:1", 1)
    assert bank.told()[-1] == f"s2 answers {old}:1: done 99 at 1"  # This one still knows.
    bank.withdraw("s2", f"{young}:1", 1)
    assert bank.balances()["s2"] == 93


def test_what_was_removed_by_a_horizon_that_was_taken_back_waits_until_there_is_one_again() -> None:
    """O5: it was taken back by force, or by a restore. Another copy may still know the session, and go on in
    it: so nobody is told that it is over, and nothing of it is done here, before all of them say so."""
    bank = folding("s1", "s2")
    do(bank, 1)
    bank.journals["s1"]._folding.keep_over(5_000)
    bank.told()
    for request in (f"{new_session(5_000)}:1", f"{new_session(1_000)}:7"):
        bank.withdraw("s1", request, 1)
        assert bank.told()[-1] == f"s1 answers {request}: busy"
        bank.outcome("s1", request)
        assert bank.told()[-1] == f"s1 answers outcome of {request}: busy"
    do(bank, 1, session=new_session(5_001))
    assert bank.balances() == {"s1": 98, "s2": 98}
    bank.outcome("s1", f"{HORIZON}:{bank.journals['s1'].wanted_horizon(0)}")
    bank.deliver_all()
    bank.told()
    request = f"{new_session(5_000)}:1"
    for name in ("s1", "s2"):
        bank.withdraw(name, request, 1)
        assert bank.told()[-1] == f"{name} answers {request}: too old to be known"
        if name == "s1":
            bank.crash("s1")
            taken_over(bank, "s2", "s1")
            bank.told()


def test_that_something_is_forgotten_is_told_when_the_horizon_is_acknowledged() -> None:
    """A1: another one, that does not hold the horizon, would do it."""
    bank = folding("s1", "s2")
    do(bank, 1)
    bank.outcome("s1", f"{HORIZON}:5000")
    bank.told()
    request = f"{new_session(1_000)}:1"
    bank.withdraw("s1", request, 1)
    assert not [said for said in bank.told() if request in said and "answers" in said]
    bank.deliver_all()
    assert f"s1 answers {request}: too old to be known" in bank.told()


def test_a_checkpoint_that_comes_late_is_no_mismatch_where_its_records_are_folded() -> None:
    """A3: it says nothing that is not known; the answer is held against the digest by who sent it."""
    bank = folding("s1", "s2")
    bank.withdraw("s1", "c:1", 1)
    late = bank.find("s1 -> s2")
    bank.deliver_all()
    do(bank, 5, first=2)
    assert fold(bank, "s2") >= 4
    bank.told()
    late.arrive()
    bank.deliver_all()
    assert bank.contradictions == []
    assert bank.balances() == {"s1": 94, "s2": 94}
    assert bank.view is not None
    assert bank.view.in_sync == {"s1", "s2"}
