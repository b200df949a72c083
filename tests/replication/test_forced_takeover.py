"""A takeover by an operator's force: what it loses, and all that it must not break.  Rule V7.

s1 leads alone; s2 was left behind, and lacks what was acknowledged since.
"""

from __future__ import annotations

import pytest

from bankrmi.replication.events import AnswerArrived, LinkChanged, Probed, TakeoverAsked
from bankrmi.replication.messages import JoinAnswer
from bankrmi.replication.view import View
from tests.replication.histories import comes_back, dies, until_proposed
from tests.replication.scenario import Bank, running


def left_behind(*others: str) -> Bank:
    """Return a bank in which `c:1` is on both disks, `c:2` on that of s1 alone, and s2 not in sync."""
    bank = running("s1", "s2", *others)
    bank.withdraw("s1", "c:1", 10)
    bank.deliver_all()
    bank.cut("s1", "s2")
    for other in others:
        bank.cut("s2", other)
    bank.settle(lambda: bank.view is not None and "s2" not in bank.view.in_sync)
    bank.deliver_all()
    bank.withdraw("s1", "c:2", 20)
    bank.deliver_all()
    assert "s1 answers c:2: done 70 at 2" in bank.told()
    bank.wait(1)
    return bank


def view_of(bank: Bank) -> View:
    assert bank.view is not None
    return bank.view


def leads(bank: Bank, name: str) -> bool:
    return bank.replicas[name].primary is not None


def forced(bank: Bank, name: str = "s2") -> View:
    """Let an operator force a server to lead, and return the view, when it leads."""
    bank.take_over(name, forced=True)
    bank.settle(lambda: bank.replicas[name].primary is not None)
    return view_of(bank)


def refused(bank: Bank, name: str = "s2", *, by_force: bool = True) -> str:
    """Let an operator try; return why it comes to nothing, when the view has not changed."""
    before = view_of(bank)
    bank.take_over(name, forced=by_force)
    answers: list[str] = []

    def is_told() -> bool:
        answers.extend(line for line in bank.told() if line.startswith(f"{name} answers operator: refused, "))
        return bool(answers)

    bank.settle(is_told)
    assert view_of(bank) == before
    return answers[0].partition("refused, ")[2]


def test_it_begins_a_history_of_its_own_in_which_it_is_in_sync_alone() -> None:
    bank = left_behind()
    before = view_of(bank)
    dies(bank, "s1")
    view = forced(bank)
    assert (view.primary, sorted(view.in_sync), view.epoch) == ("s2", ["s2"], before.epoch + 1)
    assert view.forced
    assert view.history != before.history
    assert view.cause is not None
    assert view.cause.in_words == "forced by anna: s1 given up"
    assert any(line.startswith("s2 answers operator: handed over") for line in bank.told())


def test_a_request_that_was_lost_is_applied_anew_and_once_and_one_that_was_not_is_not() -> None:
    """Both were acknowledged in the history before; their clients ask again, twice."""
    bank = left_behind()
    dies(bank, "s1")
    forced(bank)
    bank.told()
    for _ in range(2):
        bank.withdraw("s2", "c:1", 10)
        bank.withdraw("s2", "c:2", 20)
        bank.deliver_all()
    told = [line for line in bank.told() if " answers c:" in line]
    assert told == ["s2 answers c:1: done 90 at 1", "s2 answers c:2: done 70 at 2"] * 2


def test_who_has_seen_more_of_the_history_before_is_not_told_that_all_are_behind() -> None:
    """R5: action ids are compared within one history."""
    bank = left_behind()
    seen = view_of(bank).history, 2
    dies(bank, "s1")
    forced(bank)
    bank.told()
    bank.read("s2", seen=seen)
    bank.deliver_all()
    assert "s2 answers reader: 90 at 1" in bank.told()


def test_what_the_others_held_is_rolled_back_and_they_join() -> None:
    bank = left_behind()
    dies(bank, "s1")
    forced(bank)
    bank.withdraw("s2", "d:1", 5)
    bank.deliver_all()
    comes_back(bank, "s1")
    bank.settle(lambda: view_of(bank).in_sync == {"s1", "s2"})
    assert bank.balances() == {"s1": 85, "s2": 85}
    adopted = bank.journals["s1"].adopted
    assert adopted is not None
    assert adopted.history == view_of(bank).history


# -- the old primary comes back ----------------------------------------------------------------------


def test_the_old_primary_that_starts_first_keeps_its_lead() -> None:
    """It wins a fresh epoch (V4) before the forced view arrives, which then loses."""
    bank = left_behind()
    dies(bank, "s1")
    bank.take_over("s2", forced=True)
    until_proposed(bank, "s2")
    late = bank.find("s2 proposes")
    bank.mail.remove(late)
    bank.start("s1")
    bank.settle(lambda: bank.replicas["s1"].primary is not None)
    late.arrive()
    bank.deliver_all()
    assert view_of(bank).primary == "s1"
    assert any("s2 answers operator: refused, another view was won" in line for line in bank.told())
    bank.link("s1", "s2")
    bank.settle(lambda: view_of(bank).in_sync == {"s1", "s2"})
    assert bank.balances() == {"s1": 70, "s2": 70}


def test_the_old_primary_that_starts_later_wins_nothing_and_answers_nobody() -> None:
    """Its proposal was made from the view before, and arrives after the forced one."""
    bank = left_behind()
    dies(bank, "s1")
    bank.start("s1")
    bank.tick("s1")
    bank.deliver("s1 reads the view", "witness -> s1")
    late = bank.find("s1 proposes")
    bank.mail.remove(late)
    bank.take_over("s2", forced=True)
    bank.settle(lambda: bank.replicas["s2"].primary is not None)
    late.arrive()
    bank.told()
    bank.withdraw("s1", "c:3", 1)
    bank.settle(lambda: bank.replicas["s1"].view == view_of(bank))
    bank.settle(lambda: any(line.startswith("s1 answers c:3: ask ") for line in bank.trace))
    assert view_of(bank).primary == "s2"
    assert not [line for line in bank.told() if line.startswith("s1 answers c:3: done")]


@pytest.mark.parametrize("meets", ["a link", "the witness", "a message"])
def test_one_that_was_only_cut_off_stops_as_soon_as_it_meets_anybody(meets: str) -> None:
    """The operator was wrong: it runs, and acknowledges alone; until it hears of the forced view."""
    bank = left_behind()
    bank.wait(5000)
    bank.take("s2", LinkChanged(server="s1", up=False))
    bank.drop("s2 looks at s1")
    bank.take("s2", Probed(server="s1", begun_ms=bank.now_ms, epoch=view_of(bank).epoch))
    bank.take_over("s2", forced=True)
    for _ in range(20):
        for who in ("s2 reads", "s2 proposes", "witness -> s2"):
            if any(letter.text.startswith(who) for letter in bank.mail):
                bank.deliver(who)
        if any(letter.text.startswith("s2 looks") for letter in bank.mail):
            bank.drop("s2 looks")
            cut_off = Probed(server="s1", begun_ms=bank.now_ms, epoch=view_of(bank).epoch)
            bank.take("s2", cut_off)
        bank.wait(100)
        bank.tick("s2")
    assert leads(bank, "s2")
    assert leads(bank, "s1")
    bank.drop()
    if meets == "a link":
        bank.link("s1", "s2")
        bank.deliver("s2 -> s1: news")
    elif meets == "the witness":
        bank.wait(5000)
        bank.tick("s1")
        bank.deliver("s1 reads the view", "witness -> s1")
    else:
        start_id = bank.replicas["s1"].start_id
        bank.take("s2", LinkChanged(server="s1", up=True, start_id=start_id, begun_ms=bank.now_ms))
        bank.deliver("s2 -> s1: news")
    assert not leads(bank, "s1")
    bank.told()
    bank.withdraw("s1", "c:4", 1)
    bank.settle(lambda: any(line.startswith("s1 answers c:4: ask") for line in bank.trace))


# -- the proposal is lost, or late -------------------------------------------------------------------


def test_a_proposal_whose_answer_was_lost_is_made_again_and_is_the_same() -> None:
    bank = left_behind()
    dies(bank, "s1")
    decide, proposed = bank.decide, list[View]()

    def decided(view: View, expected: tuple[str, int] | None) -> View | None:
        proposed.append(view)
        return decide(view, expected)

    bank.decide = decided  # type: ignore[method-assign]
    bank.take_over("s2", forced=True)
    until_proposed(bank, "s2")
    bank.deliver("s2 proposes")
    won = view_of(bank)
    assert won.forced
    bank.drop("witness -> s2")
    bank.witness_silent("s2", proposal=True)
    bank.wait(30)
    bank.tick("s2")
    bank.deliver("s2 proposes")
    assert proposed == [won, won]
    bank.settle(lambda: bank.replicas["s2"].primary is not None)
    assert view_of(bank) == won
    assert any(line.startswith("s2 answers operator: handed over") for line in bank.told())


def test_one_that_was_not_even_sent_is_given_up_and_that_is_said() -> None:
    bank = left_behind()
    dies(bank, "s1")
    bank.take_over("s2", forced=True)
    until_proposed(bank, "s2")
    bank.drop("s2 proposes")
    bank.witness_silent("s2", proposal=True, sent=False)
    [told] = [line for line in bank.told() if line.startswith("s2 answers operator")]
    assert "the witness does not answer" in told
    bank.settle(lambda: True)
    for _ in range(40):
        bank.wait(500)
        bank.tick("s2")
        bank.deliver_all()
    assert view_of(bank).primary == "s1"


def test_the_process_that_won_dies_before_it_leads_and_the_next_one_leads() -> None:
    bank = left_behind()
    dies(bank, "s1")
    bank.take_over("s2", forced=True)
    until_proposed(bank, "s2")
    bank.deliver("s2 proposes")
    history = view_of(bank).history
    bank.crash("s2")
    bank.drop()
    bank.start("s2")
    bank.settle(lambda: bank.replicas["s2"].primary is not None)
    assert (view_of(bank).history, view_of(bank).primary) == (history, "s2")


def test_no_other_disk_takes_its_place_while_the_proposal_may_win() -> None:
    """Else the view would name a disk that is gone, and nobody could lead at all.

    s2 fetches a copy when s1 dies; it is ready when the operator's view is on its way.
    """
    bank = left_behind()
    s2 = bank.replicas["s2"]
    bank.link("s1", "s2")
    while not any(letter.text.startswith("s2 -> s1: let me in") for letter in bank.mail):
        if bank.mail:
            bank.mail.pop(0).arrive()
        else:
            bank.wait(25)
            bank.tick("s2")
    bank.take(
        "s2", AnswerArrived(JoinAnswer(server="s1", number=s2._joiner._asked, outcome="copy", epoch=3), "s1")
    )
    copied = bank.find("s2 fetches a copy")
    bank.drop()
    dies(bank, "s1")
    bank.take_over("s2", forced=True)
    until_proposed(bank, "s2")
    copied.arrive()
    told = bank.told()
    assert "s2 throws the copy away" in told, told
    bank.settle(lambda: s2.primary is not None)
    assert view_of(bank).names("s2", bank.journals["s2"].incarnation)


# -- refused -----------------------------------------------------------------------------------------


def test_refused_while_the_primary_is_heard() -> None:
    bank = running("s1", "s2", "s3")
    bank.cut("s1", "s2")
    bank.settle(lambda: view_of(bank).in_sync == {"s1", "s3"})
    bank.link("s1", "s2")
    for _ in range(30):
        if bank.replicas["s2"].view == view_of(bank):
            break
        bank.mail.pop(0).arrive()
    bank.drop("s1 proposes")
    bank.take_over("s2", forced=True)
    for _ in range(200):
        bank.drop("s1 proposes")
        if any("answers operator" in line for line in bank.trace):
            break
        if bank.mail:
            bank.mail.pop(0).arrive()
        else:
            bank.wait(25)
            bank.tick()
    assert any(
        "refused, s1, the primary, answers s2: use `bankrmi switchover`" in line for line in bank.trace
    )


def test_refused_while_a_process_of_the_primary_answers_though_it_says_nothing() -> None:
    """It hangs, and may go on at any moment: it acknowledges alone."""
    bank = left_behind()
    assert refused(bank).startswith("s1, the primary, answers s2: ")


def test_refused_for_a_member_which_needs_no_force() -> None:
    bank = running("s1", "s2")
    dies(bank, "s1")
    bank.take_over("s2", forced=True)
    bank.deliver("s2 reads the view", "witness -> s2")
    assert any("refused, s2 is in sync, and holds all" in line for line in bank.told())


def test_refused_without_force_for_who_may_lack_something() -> None:
    bank = left_behind()
    dies(bank, "s1")
    assert refused(bank, by_force=False) == (
        "s2 is not in sync, and may lack what was acknowledged: only by force"
    )


def test_refused_for_a_server_that_holds_nothing() -> None:
    bank = left_behind()
    dies(bank, "s1")
    bank.crash("s2", wipe=True)
    bank.start("s2")
    assert refused(bank) == "s2 holds nothing"


def test_refused_for_who_has_not_followed_the_force_before() -> None:
    """Nobody knows what the two histories have in common; what it has folded may be lost in the newer one."""
    bank = left_behind("s3")
    bank.cut("s1", "s3")
    bank.settle(lambda: view_of(bank).in_sync == {"s1"})
    dies(bank, "s1")
    history = forced(bank).history
    dies(bank, "s2")
    assert refused(bank, "s3") == f"s3 has not followed the bank into history {history}: it cannot lead"


def test_refused_if_the_view_is_another_one_than_the_operator_was_shown() -> None:
    bank = left_behind()
    dies(bank, "s1")
    wish = TakeoverAsked(token="operator", expected=(view_of(bank).history, 2), operator="anna", forced=True)
    bank.take("s2", wish)
    bank.deliver_all()
    shown = "s2 answers operator: refused, the view is epoch 3 by now, with s1 as the primary: look again"
    assert shown in bank.told()


def test_refused_for_the_primary_itself() -> None:
    bank = left_behind()
    bank.take_over("s1", forced=True)
    assert "s1 answers operator: refused, s1 leads already, or is about to" in bank.told()


def test_refused_if_the_witness_does_not_answer() -> None:
    bank = left_behind()
    dies(bank, "s1")
    bank.take_over("s2", forced=True)
    bank.witness_silent("s2", proposal=False)
    [told] = [line for line in bank.told() if "answers operator" in line]
    assert "`bankrmi witness restore` is the way" in told
