"""Each change of the view says why, and who proposed it (ADR 30); each message delivered by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bankrmi.replication.cause import OPERATOR, UNKNOWN, Cause, CauseKind, in_words
from bankrmi.replication.events import AnswerArrived, LinkChanged, Probed, SwitchoverAsked
from bankrmi.replication.messages import Superseded
from bankrmi.replication.view import View
from tests.replication.histories import alone, comes_back, dies, settle_without_witness
from tests.replication.scenario import Bank, follows, running


def cause(bank: Bank) -> Cause:
    assert bank.view is not None
    assert bank.view.cause is not None
    return bank.view.cause


def let_win(bank: Bank, name: str) -> Cause:
    """Let what a server proposes win; return its cause."""
    bank.deliver(f"{name} proposes", f"witness -> {name}")
    return cause(bank)


# -- a primary that is gone -------------------------------------------------------------------------


def test_a_primary_whose_address_refuses_has_crashed() -> None:
    bank = running("s1", "s2")
    dies(bank, "s1")
    bank.deliver("s2 looks")
    expected = Cause(kind=CauseKind.CRASH, by="s2", of=("s1",), address="s1:9101")
    assert let_win(bank, "s2") == expected
    assert expected.in_words == "crash of s1: refused at s1:9101"


def test_a_primary_in_whose_place_another_process_answers_has_crashed_too() -> None:
    bank = running("s1", "s2")
    bank.take("s2", LinkChanged(server="s1", up=False))
    bank.take("s2", LinkChanged(server="s1", up=True, start_id="s1#2"))
    assert let_win(bank, "s2") == Cause(kind=CauseKind.CRASH, by="s2", of=("s1",))
    assert cause(bank).in_words == "crash of s1: another process answers in its place"


def test_a_primary_that_is_not_heard_is_silent_for_as_long_as_that() -> None:
    bank = running("s1", "s2")
    bank.wait(1234)
    bank.tick("s2")
    assert let_win(bank, "s2") == Cause(kind=CauseKind.SILENCE, by="s2", of=("s1",), silent_ms=1234)
    assert cause(bank).in_words == "silence of s1: 1234 ms"


def test_a_primary_that_answers_looks_and_sends_nothing_is_stuck() -> None:
    """ADR 15: in the middle of a switchover, and the witness does not answer it."""
    bank = running("s1", "s2")
    bank.switch_over("s1", "s2")
    settle_without_witness(bank, "s1", lambda: bank.view is not None and bank.view.primary == "s2")
    assert (cause(bank).kind, cause(bank).by, cause(bank).of) == (CauseKind.STUCK, "s2", ("s1",))
    assert (cause(bank).silent_ms or 0) >= 1000
    assert "s1 is stuck: it answers, and sent nothing for " in cause(bank).in_words


def test_who_answered_a_look_and_was_heard_since_is_silent_and_not_stuck() -> None:
    """What was seen in a silence before says nothing of this one."""
    bank = running("s1", "s2")
    bank.wait(400)
    bank.tick("s2")
    bank.deliver("s2 looks at s1")
    bank.tick("s1")
    bank.deliver("s1 -> s2")
    bank.hear("s2")
    bank.drop()
    bank.wait(1000)
    bank.tick("s2")
    assert let_win(bank, "s2").kind is CauseKind.SILENCE


def test_who_answered_the_look_before_the_last_is_silent_and_not_stuck() -> None:
    bank = running("s1", "s2")
    bank.wait(400)
    bank.tick("s2")
    bank.deliver("s2 looks at s1")
    bank.take("s2", Probed(server="s1", begun_ms=bank.now_ms, epoch=2, address="s1:9101"))
    bank.wait(600)
    bank.tick("s2")
    assert let_win(bank, "s2").kind is CauseKind.SILENCE


def test_a_new_process_of_the_primary_started_again() -> None:
    """V4, before anybody took over."""
    bank = running("s1", "s2")
    bank.crash("s1")
    bank.drop()
    bank.start("s1")
    bank.tick("s1")
    bank.deliver("s1 reads", "witness -> s1")
    assert let_win(bank, "s1") == Cause(kind=CauseKind.STARTED_AGAIN, by="s1", of=("s1",))


def test_a_primary_that_stepped_down_for_a_wrong_word_leads_again() -> None:
    """A2, V4: it was told of a newer epoch, of which the witness knows nothing."""
    bank = running("s1", "s2")
    wrong = Superseded(server="s2", history="history", epoch=3, number=1)
    bank.take("s1", AnswerArrived(wrong, "s2"))
    assert bank.replicas["s1"].primary is None
    bank.settle(lambda: bank.replicas["s1"].primary is not None)
    assert cause(bank) == Cause(kind=CauseKind.LED_AGAIN, by="s1", of=("s1",))


# -- a copy that is gone, or there -------------------------------------------------------------------


def test_a_copy_whose_address_refuses_has_crashed() -> None:
    bank = running("s1", "s2")
    dies(bank, "s2")
    bank.deliver("s1 looks")
    assert let_win(bank, "s1") == Cause(kind=CauseKind.CRASH, by="s1", of=("s2",), address="s2:9101")


def test_a_copy_that_is_being_killed_is_looked_at_until_its_address_refuses() -> None:
    """The kernel may end its connections first, and take one more for it meanwhile.

    And once it does, nothing is waited for but that the witness answers.
    """
    bank = running("s1", "s2")
    bank.wait(600)
    bank.cut_off("s1", "s2")
    for _ in range(2):
        bank.drop("s1 looks at s2")
        bank.take("s1", Probed(server="s2", begun_ms=bank.now_ms, epoch=2))
        assert "s1 looks at s2" in [letter.text for letter in bank.mail]
    bank.take("s1", Probed(server="s2", begun_ms=bank.now_ms, epoch=2, refused=True, address="s2:9101"))
    assert "s1 reads the view" in [letter.text for letter in bank.mail]
    expected = Cause(kind=CauseKind.CRASH, by="s1", of=("s2",), address="s2:9101")
    assert let_win(bank, "s1") == expected


def test_a_copy_whose_process_answers_is_looked_at_no_more() -> None:
    bank = running("s1", "s2")
    bank.cut_off("s1", "s2")
    bank.drop("s1 looks at s2")
    bank.take("s1", Probed(server="s2", begun_ms=bank.now_ms, epoch=2, start_id="s2#1"))
    assert "s1 looks at s2" not in [letter.text for letter in bank.mail]


def test_copies_that_crash_at_once_are_named_together() -> None:
    bank = running("s1", "s2", "s3")
    dies(bank, "s2")
    dies(bank, "s3")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1"})
    assert cause(bank).kind is CauseKind.CRASH
    assert set(cause(bank).of) <= {"s2", "s3"}


def test_a_copy_that_acknowledges_nothing_is_left_behind() -> None:
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.drop()
    bank.wait(512)
    bank.tick("s1")
    assert let_win(bank, "s1") == Cause(kind=CauseKind.LEFT_BEHIND, by="s1", of=("s2",), silent_ms=512)
    assert cause(bank).in_words == "s2 left behind: silent for 512 ms"


def test_a_copy_that_has_caught_up_joined() -> None:
    bank = running("s1", "s2")
    assert cause(bank) == Cause(kind=CauseKind.JOINED, by="s1", of=("s2",))


def test_a_member_with_an_empty_disk_has_lost_its_disk() -> None:
    """V8: where the view can do without it, it is taken out, for it confirms nothing."""
    bank = running("s1", "s2", "s3")
    dies(bank, "s2", wipe=True)
    bank.drop("s1 looks")
    comes_back(bank, "s2")
    bank.settle(lambda: bank.view is not None and "s2" not in bank.view.in_sync)
    assert cause(bank) == Cause(kind=CauseKind.LOST_DISK, by="s1", of=("s2",))


# -- what people want ------------------------------------------------------------------------------


def test_a_standby_that_stops_is_taken_out_for_that() -> None:
    """V10."""
    bank = running("s1", "s2")
    bank.stop("s2")
    bank.deliver("s2 -> s1")
    assert let_win(bank, "s1") == Cause(kind=CauseKind.STOP, by="s1", of=("s2",))


def test_a_primary_that_stops_hands_over_for_that() -> None:
    """V10."""
    bank = running("s1", "s2")
    bank.stop("s1")
    assert let_win(bank, "s1") == Cause(kind=CauseKind.STOP, by="s1", of=("s1",))
    assert cause(bank).in_words == "stop of s1"


def test_a_primary_that_stopped_and_is_gone_has_not_crashed() -> None:
    """V10: it handed over, and ended; its successor finds that nobody is there."""
    bank = running("s1", "s2")
    bank.stop("s1")
    bank.deliver("s1 proposes", "witness -> s1")
    bank.deliver_all()
    assert "s1" not in bank.replicas
    bank.cut_off("s2", "s1")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s2"})
    assert cause(bank) == Cause(kind=CauseKind.STOP, by="s2", of=("s1",))


def test_a_standby_that_stops_has_not_crashed_though_the_view_changed_meanwhile() -> None:
    """V10: s3 leaves the view in the same moment, so that s2 is told that it has moved, and ends."""
    bank = running("s1", "s2", "s3")
    bank.stop("s3")
    bank.deliver("s3 -> s1")
    bank.stop("s2")
    bank.deliver("s2 -> s1")
    bank.settle(lambda: not {"s2", "s3"} & bank.replicas.keys())
    for name in ("s2", "s3"):
        bank.cut_off("s1", name)
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1"})
    assert cause(bank) == Cause(kind=CauseKind.STOP, by="s1", of=("s2",))


def test_a_process_that_came_after_one_that_stopped_may_crash() -> None:
    """V10: what was said of the one before says nothing of this one."""
    bank = running("s1", "s2")
    bank.stop("s1")
    bank.deliver("s1 proposes", "witness -> s1", "s1 -> s2")
    assert "s1" not in bank.replicas
    bank.drop()
    bank.start("s1")
    bank.link("s1", "s2")
    bank.settle(lambda: follows(bank) and bank.replicas["s2"].primary is not None)
    assert bank.view is not None
    assert bank.view.epoch == 3
    dies(bank, "s1")
    bank.deliver("s2 looks")
    assert let_win(bank, "s2") == Cause(kind=CauseKind.CRASH, by="s2", of=("s1",), address="s1:9101")


def test_a_member_that_is_not_in_the_configuration_is_left_behind_for_that() -> None:
    bank = running("s1", "s2", "s3")
    bank.crash("s1")
    bank.drop()
    bank.settings["s1"] = replace(bank.settings["s1"], servers=("s1", "s2"))
    bank.start("s1")
    bank.tick("s1")
    bank.deliver("s1 reads", "witness -> s1", "s1 proposes", "witness -> s1")
    bank.link("s1", "s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    assert (cause(bank).kind, cause(bank).of) == (CauseKind.LEFT_BEHIND, ("s3",))
    assert cause(bank).in_words == "s3 left behind: not in the primary's configuration"


@pytest.mark.parametrize("operator", [None, "127.0.0.1:5000"])
def test_a_switchover_names_the_operator_as_far_as_known(operator: str | None) -> None:
    """V5."""
    bank = running("s1", "s2")
    bank.take("s1", SwitchoverAsked("operator", "s2", operator))
    assert let_win(bank, "s1") == Cause(kind=CauseKind.SWITCHOVER, by="s1", of=("s1",), operator=operator)
    assert cause(bank).in_words == f"switchover{' by 127.0.0.1:5000' if operator else ''}"


def test_a_proposal_without_an_answer_that_is_wanted_no_more_is_settled() -> None:
    """V6: s2, which was silent, is back before the witness answers."""
    bank = running("s1", "s2")
    bank.withdraw("s1", "c:1", 10)
    bank.drop("s1 -> s2")
    bank.wait(500)
    bank.tick("s1")
    bank.drop("s1 proposes")
    bank.witness_silent("s1", proposal=True)
    bank.settle(lambda: bank.view is not None and bank.view.epoch == 3)
    assert cause(bank) == Cause(kind=CauseKind.SETTLED, by="s1")


def test_the_first_view_is_the_first_one() -> None:
    """V9."""
    bank = Bank("s1")
    bank.start("s1")
    bank.settle(lambda: bank.view is not None)
    assert cause(bank) == Cause(kind=CauseKind.FIRST, by="s1")


def test_a_first_view_says_without_whom_it_was_made() -> None:
    """V9: by an operator's word."""
    bank = Bank("s1", "s2", first=True)
    bank.start("s1")
    bank.settle(lambda: bank.view is not None)
    assert cause(bank) == Cause(kind=CauseKind.FIRST, by="s1", of=("s2",))
    assert cause(bank).in_words == "first view of the bank, without s2, by --first"


# -- no part of a view ------------------------------------------------------------------------------


def test_a_lost_answer_is_recognized_as_our_own_view_whatever_it_says_of_the_cause() -> None:
    """V6: proposed for one reason, and again for another; the first one had won."""
    bank = running("s1", "s2")
    bank.wait(1000)
    bank.tick("s2")
    bank.deliver("s2 proposes")
    bank.drop("witness -> s2")
    bank.witness_silent("s2", proposal=True)
    dies(bank, "s1")
    bank.settle(lambda: bank.replicas["s2"].primary is not None)
    assert bank.view is not None
    assert (bank.view.epoch, cause(bank).kind) == (3, CauseKind.SILENCE)


CAUSES = [
    Cause(
        kind=kind,
        by="s1",
        of=("s2",),
        address="a:1",
        silent_ms=7,
        operator="me@here",
        backup="monday.backup",
        action_id=9,
    )
    for kind in CauseKind
]


@pytest.mark.parametrize("known", CAUSES, ids=lambda one: one.kind.value)
def test_every_cause_goes_over_the_wire_and_can_be_said(known: Cause) -> None:
    assert Cause.from_wire(known.to_wire()) == known
    bare = Cause(kind=known.kind, by=OPERATOR)
    assert Cause.from_wire(bare.to_wire()) == bare
    for one in (known, bare):
        assert "\n" not in one.in_words
        assert one.in_words.isascii()


def test_a_bank_that_began_with_a_backup_says_with_which_and_not_that_the_witness_was_restored() -> None:
    one = Cause(
        kind=CauseKind.BACKUP_RESTORED, by=OPERATOR, operator="me@here", backup="a.backup", action_id=9
    )
    assert one.in_words == "restored by me@here from the backup a.backup, up to action id 9"
    assert replace(one, of=("s2",)).in_words == f"{one.in_words}, s2 given up"
    assert (
        replace(one, kind=CauseKind.RESTORED).in_words
        == "restored by me@here: the witness had lost its memory"
    )


def test_two_views_are_the_same_if_only_their_causes_differ() -> None:
    [known, *_] = CAUSES
    view = View.first(history="h", server="s1", start_id="s1#1", incarnation="d1")
    dated = View.from_wire(view.because(known).to_wire() | {"written_us": 5})
    assert dated == view
    assert (dated.cause, dated.written_us) == (known, 5)


def test_a_view_of_a_version_before_has_a_cause_that_is_not_recorded() -> None:
    view = View.first(history="h", server="s1", start_id="s1#1", incarnation="d1")
    form = {key: value for key, value in view.to_wire().items() if key not in ("cause", "written_us")}
    old = View.from_wire(form)
    assert (old, old.cause, old.written_us) == (view, None, None)
    assert in_words(old.cause) == UNKNOWN


def test_every_change_of_a_view_on_the_way_of_a_bank_has_a_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever is proposed, by whichever rule."""
    views: list[View] = []
    decide: Callable[[Bank, View, tuple[str, int] | None], View | None] = Bank.decide

    def noted(bank: Bank, view: View, expected: tuple[str, int] | None) -> View | None:
        views.append(view)
        return decide(bank, view, expected)

    monkeypatch.setattr(Bank, "decide", noted)
    bank = running("s1", "s2")
    bank.cut("s1", "s2")
    bank.drop()
    alone(bank, "s1")
    bank.link("s1", "s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"} and follows(bank))
    bank.switch_over("s1", "s2")
    bank.settle(lambda: bank.replicas["s2"].primary is not None)
    assert len(views) >= 5
    assert [view for view in views if view.cause is None or view.cause.by == OPERATOR] == []
