"""What bankrmi 1.0 does not know is decided, sent and handed on only where all can read it.  Rule V13.

The history that goes wrong without it: s1 and s2 are in sync, and of this version. A transfer waits in the
queue of s1. s2 ends, and comes back, on the same disk, as a process of 1.0: still a member. s1 decides the
transfer, and sends it. s2 cannot read it, takes that for what cannot be, and ends (F3); and so again,
whenever it starts. If it gets a copy of the database instead, it takes the operation for another one.
"""

from __future__ import annotations

import pytest

from bankrmi.bank.forms import packed_operations, protocol_of
from bankrmi.bank.operations import Deposit, Transfer
from bankrmi.replication.effects import SendMessage
from bankrmi.replication.events import SwitchoverAsked, Tick
from bankrmi.replication.messages import Checkpoint
from bankrmi.server.status import why_not_in_sync
from bankrmi.storage.tables import FORMAT, FORMATS_READ, NEWEST_FORMAT
from tests.replication.histories import comes_back, dies, taken_over
from tests.replication.scenario import Bank, running

TRANSFER = Transfer(1, 2, 10)
TOO_OLD = "s2 speaks bankrmi protocol 1, this needs 2: upgrade it first"
NOT_SENT = "a server cannot be sent what this journal holds: s2"


def answers(bank: Bank, request: str) -> list[str]:
    return [line for line in bank.told() if f" answers {request}: " in line]


def is_old(bank: Bank, name: str) -> None:
    """End a server's process, and start one of bankrmi 1.0 on the same disk."""
    dies(bank, name)
    bank.old.add(name)
    comes_back(bank, name)


def with_an_old_member(*servers: str) -> Bank:
    """Return a bank whose s2 is in sync, and of bankrmi 1.0 from its beginning."""
    bank = running(*servers)
    is_old(bank, "s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == set(servers))
    bank.told()
    return bank


def needs(bank: Bank) -> dict[str, int]:
    return {name: journal.needs_protocol for name, journal in bank.journals.items()}


def test_a_transfer_is_refused_while_a_member_could_not_read_it_and_nothing_is_written() -> None:
    bank = with_an_old_member("s1", "s2")
    bank.request("s1", "a:1", TRANSFER)
    bank.deliver_all()
    assert answers(bank, "a:1") == [f"s1 answers a:1: not yet, {TOO_OLD}"]
    assert bank.tips()["s1"][0] == 0
    assert needs(bank) == {"s1": 1, "s2": 1}
    bank.request("s1", "a:2", Deposit(1, 5))  # What 1.0 knows is done meanwhile.
    bank.deliver_all()
    assert answers(bank, "a:2") == ["s1 answers a:2: done 105 at 1"]
    assert bank.balances() == {"s1": 105, "s2": 105}


def test_a_batch_that_holds_one_is_refused_as_a_whole() -> None:
    bank = with_an_old_member("s1", "s2")
    bank.request("s1", "a:1", Deposit(1, 5), TRANSFER)
    bank.deliver_all()
    assert TOO_OLD in answers(bank, "a:1")[0]
    assert bank.balances() == {"s1": 100, "s2": 100}


def test_it_is_done_as_soon_as_the_server_is_upgraded() -> None:
    bank = with_an_old_member("s1", "s2")
    bank.request("s1", "a:1", TRANSFER)
    dies(bank, "s2")
    bank.old.clear()
    comes_back(bank, "s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    bank.told()
    bank.request("s1", "a:1", TRANSFER)
    bank.deliver_all()
    assert answers(bank, "a:1") == ["s1 answers a:1: done 90 at 1"]
    assert bank.balances() == {"s1": 90, "s2": 90}
    assert needs(bank) == {"s1": 2, "s2": 2}


def test_a_joiner_that_is_old_and_on_its_way_counts_as_well() -> None:
    """Else it would catch up with what it can read, and stop there."""
    bank = running("s1", "s2", "s3")
    is_old(bank, "s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2", "s3"})
    bank.cut("s1", "s2")
    bank.settle(lambda: bank.view is not None and "s2" not in bank.view.in_sync)
    bank.link("s1", "s2")
    bank.settle(lambda: bank.view is not None and "s2" in bank.view.in_sync)
    bank.request("s1", "a:1", TRANSFER)
    bank.deliver_all()
    assert TOO_OLD in answers(bank, "a:1")[-1]


def test_what_is_decided_while_a_member_is_away_is_not_sent_to_an_older_process_of_it() -> None:
    """The member may be back before the view does without it; then it is left behind, with a sentence."""
    bank = running("s1", "s2")
    dies(bank, "s2")
    bank.drop()
    bank.request("s1", "a:1", TRANSFER)
    bank.old.add("s2")
    comes_back(bank, "s2")
    sent = [letter.text for letter in bank.mail if letter.text.startswith("s1 -> s2")]
    assert not [text for text in sent if "heartbeat" in text or "records" in text or ":1" in text], sent
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1"})
    assert "s1 answers a:1: done 90 at 1" in bank.told()
    assert bank.tips()["s2"][0] == 0
    assert bank.reports.count(NOT_SENT) == 1
    for _ in range(40):  # It asks to be let in, again and again.
        bank.deliver_all()
        bank.wait(50)
        bank.tick()
        assert not [line for line in bank.told() if line.startswith("s1 -> s2: join: checkpoints")]
    assert bank.view is not None
    assert bank.view.in_sync == {"s1"}
    assert bank.tips()["s2"][0] == 0
    said = f"it cannot send all that its journal holds: {TOO_OLD}"  # To whoever asks for the status.
    assert why_not_in_sync(bank.replicas["s1"].condition(), None) == said
    bank.request("s1", "a:2", Transfer(2, 1, 10))  # Nobody waits for who is outside.
    bank.deliver_all()
    assert "s1 answers a:2: done 300 at 2" in bank.told()
    bank.request("s1", "a:3", TRANSFER)
    bank.deliver_all()
    dies(bank, "s2")
    bank.old.clear()
    comes_back(bank, "s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    assert bank.balances() == {"s1": 90, "s2": 90}
    assert why_not_in_sync(bank.replicas["s1"].condition(), None) is None


def test_not_even_while_the_rules_have_not_heard_yet_that_the_process_is_another_one() -> None:
    """The link may be up to it already: then the message has no form there, and is not said."""
    bank = running("s1", "s2")
    bank.old.add("s2")  # The rules of s1 believe that it speaks what they speak.
    bank.request("s1", "a:1", TRANSFER)
    assert not [letter for letter in bank.mail if letter.text.startswith("s1 -> s2")]
    assert bank.tips() == {"s1": (1, bank.tips()["s1"][1]), "s2": (0, 0)}
    assert not answers(bank, "a:1")
    start_id = bank.replicas["s2"].start_id
    assert start_id is not None
    dies(bank, "s2")
    comes_back(bank, "s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1"})
    assert "s1 answers a:1: done 90 at 1" in bank.told()


def test_where_the_view_cannot_do_without_it_the_older_one_leads_and_the_transfer_is_rolled_back() -> None:
    """It hears nothing any more, and holds all that was acknowledged: so the bank goes on."""
    bank = running("s1", "s2", copies_min=2)
    dies(bank, "s2")
    bank.drop()
    bank.request("s1", "a:1", TRANSFER)
    bank.old.add("s2")
    comes_back(bank, "s2")
    bank.settle(lambda: bank.view is not None and bank.view.primary == "s2" and len(bank.view.in_sync) == 2)
    assert answers(bank, "a:1") == ["s1 answers a:1: ask s2, it may have happened"]
    assert NOT_SENT in bank.reports
    assert bank.balances() == {"s1": 100, "s2": 100}
    bank.outcome("s2", "a:1")
    bank.deliver_all()
    assert "cancelled" in answers(bank, "outcome of a:1")[0]


def test_who_is_old_may_lead_as_long_as_nothing_newer_was_acknowledged_and_then_it_is_rolled_back() -> None:
    """What is decided, and held by nobody else, may go; the disk still says that it was there."""
    bank = running("s1", "s2")
    bank.old.add("s2")
    bank.request("s1", "a:1", TRANSFER)
    bank.drop()
    bank.crash("s1")
    taken_over(bank, "s2", "s1")
    comes_back(bank, "s1")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    assert bank.balances() == {"s1": 100, "s2": 100}
    assert needs(bank) == {"s1": 2, "s2": 1}
    assert bank.journals["s1"].tip == bank.journals["s2"].tip


def test_a_switchover_to_who_could_not_read_the_journal_is_refused() -> None:
    bank = running("s1", "s2")
    bank.request("s1", "a:1", TRANSFER)
    bank.deliver_all()
    bank.take("s1", SwitchoverAsked("operator", "s2"))
    bank.settle(lambda: bank.view is not None and bank.view.primary == "s2")  # As long as it can.
    bank.cut("s1", "s2")
    bank.old.add("s1")
    bank.link("s1", "s2")
    bank.told()
    bank.take("s2", SwitchoverAsked("operator", "s1"))
    assert [line for line in bank.told() if "s1 speaks bankrmi protocol 1" in line]


def test_the_disk_says_it_from_the_transaction_of_the_record_on_and_for_good() -> None:
    bank = running("s1", "s2")
    disk = bank.journals["s1"]
    assert disk.format == FORMAT == FORMATS_READ[1]
    bank.request("s1", "a:1", Deposit(1, 5))
    bank.deliver_all()
    assert disk.format == FORMAT
    bank.request("s1", "a:2", TRANSFER)
    for journal in bank.journals.values():
        about = dict(journal.database.execute("SELECT name, value FROM about"))
        if journal is disk:
            assert (about["format"], about["needs_protocol"]) == (NEWEST_FORMAT, 2)
    bank.deliver_all()
    for journal in bank.journals.values():
        assert journal.format == NEWEST_FORMAT > FORMATS_READ[1]
        journal.roll_back(1)
        journal.commit()
        assert (journal.format, journal.needs_protocol) == (NEWEST_FORMAT, 2)


@pytest.mark.parametrize("old", [True, False])
def test_checkpoints_say_what_they_need(old: bool) -> None:
    bank = running("s1", "s2")
    if not old:
        bank.request("s1", "a:1", TRANSFER)
        bank.deliver_all()
    replica = bank.replicas["s1"]
    bank.wait(100)
    effects = replica.step(Tick(0.0), now_ms=bank.now_ms)
    sent = [one.message for one in effects if isinstance(one, SendMessage)]
    needed = [one.needs_protocol for one in sent if isinstance(one, Checkpoint)]
    assert needed == [1 if old else 2]


def test_what_is_packed_says_which_version_knows_it() -> None:
    assert protocol_of(packed_operations([Deposit(1, 5)] * 600)) == 1
    assert protocol_of(packed_operations([*[Deposit(1, 5)] * 600, TRANSFER])) == 2
    assert protocol_of(b"") == 1
