"""What a simulated disk holds after a crash: what is durable, and any beginning of what was written since."""

from __future__ import annotations

from bankrmi.robustness.simulator.images import Images
from bankrmi.storage.journal import SqliteJournal
from tests.storage.journals import LEDGER, adopted, decide, deposit, opened


def write(journal: SqliteJournal, images: Images, number: int) -> None:
    decide(journal, 1, ("a", number), [deposit(1, 1)], 1)
    journal.write()
    images.written(journal)


def test_a_crash_keeps_a_beginning_of_what_is_under_way() -> None:
    journal = opened()
    images = Images(journal)
    for number in (1, 2, 3):
        write(journal, images, number)
    assert images.under_way == 3
    for kept in range(4):
        image = images.after_crash(kept)
        assert image.tip.action_id == kept
        after = image.database()
        assert after.execute("SELECT count(*) FROM journal").get == kept


def test_what_is_durable_stays_whatever_comes_after_it() -> None:
    journal = opened()
    images = Images(journal)
    for number in (1, 2):
        write(journal, images, number)
    images.ended()
    journal.roll_back(0)
    journal.adopt(adopted(7))
    journal.write()
    images.written(journal)
    durable = images.durable
    assert (durable.tip.action_id, durable.epoch) == (1, 1)
    images.ended()
    images.ended()
    assert (images.durable.tip.action_id, images.durable.epoch) == (0, 7)
    assert images.under_way == 0


def test_what_is_written_and_not_committed_is_in_no_image() -> None:
    journal = opened()
    images = Images(journal)
    decide(journal, 1, ("a", 1), [deposit(1, 1)], 1)
    assert journal.read(1) == LEDGER[1] + 1
    assert images.after_crash(0).database().execute("SELECT count(*) FROM journal").get == 0
