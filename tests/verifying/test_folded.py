"""A disk whose journal is folded: what is changed by hand is found, the anchor included."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from bankrmi.bank.accounts import sum_of
from bankrmi.replication.sessions import HORIZON, new_session
from bankrmi.storage.folding import Keeping
from bankrmi.verifying.comparing import compare
from bankrmi.verifying.server_directory import verify_database
from tests.backup.sources import Source
from tests.storage.journals import decide, deposit, withdraw
from tests.verifying.test_verifying import change, rewrite


def folded(folder: Path, keep: int = 20) -> Path:
    """Thirty requests of two operations; all but the newest are folded."""
    source = Source(folder, keeping=Keeping(operations=keep))
    for number in range(30):
        source.do(deposit(1, 5), withdraw(2, 4 if number % 2 else 1_000))
    source.journal.cancel(1, ("b", 1), 1)
    source.journal.commit()
    source.fold()
    source.journal.close()
    return folder / "bank.db"


def forge(**changes: Any) -> Callable[[Path], None]:
    def forged(folder: Path) -> None:
        database = apsw.Connection(str(folder / "bank.db"), vfs="cksmvfs")
        text = database.execute("SELECT value FROM about WHERE name = 'anchor'").get
        values = json.loads(text)
        for name, changed in changes.items():
            values[name] = changed(values[name])
        database.execute("UPDATE about SET value = ? WHERE name = 'anchor'", (json.dumps(values),))
        database.close()

    return forged


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a balance": (
        lambda folder: change(folder, "UPDATE accounts SET balance = balance + 1 WHERE id = 2"),
        "account 2 holds",
    ),
    "a balance that only folded records have changed": (
        lambda folder: change(folder, "UPDATE accounts SET balance = balance + 1 WHERE id = 3"),
        "accounts and journal do not lead back to the balances at its anchor, action id 40",
    ),
    "two balances, with the same total": (
        lambda folder: change(
            folder,
            "UPDATE accounts SET balance = balance + iif(id = 3, 7, -7) WHERE id IN (3, 4)",
        ),
        "do not lead back to the balances at its anchor",
    ),
    "an account that is gone": (
        lambda folder: change(folder, "DELETE FROM accounts WHERE id = 3"),
        "do not lead back to the balances at its anchor",
    ),
    "a record in the middle": (
        lambda folder: change(folder, "DELETE FROM journal WHERE action_id = 50"),
        "action id 49 is missing from the journal: 51 is there",
    ),
    "the oldest record": (
        lambda folder: change(folder, "DELETE FROM journal WHERE action_id = 42"),
        "action id 41 is missing from the journal: 43 is there",
    ),
    "another time": (lambda folder: rewrite(folder, 3, time_us=7), ""),
    "the anchor's action id": (
        forge(action_id=lambda old: old + 2),
        "action id 43 is missing from the journal: 41 is there",
    ),
    "the anchor's digest": (
        forge(digest=lambda old: old[::-1]),
        "the digest at action id 42 is not that of the record and all before it",
    ),
    "the anchor's epoch": (forge(epoch=lambda old: old + 1), "epoch 1 at action id 41 comes after epoch 2"),
    "the sum at the anchor": (
        forge(state=lambda old: f"{int(old, 16) + 1:x}"),
        "do not lead back to the balances at its anchor",
    ),
    "an anchor that is none": (forge(state=lambda _: None), "the anchor cannot be read"),
    "a session": (
        lambda folder: change(folder, "UPDATE sessions SET operations = x'c1'"),
        "what is kept of request a:20 cannot be read",
    ),
    "a session that is not folded": (
        lambda folder: change(folder, "UPDATE sessions SET action_id = 41"),
        "request a:20 is kept as if it were folded, and it is not",
    ),
    "a request that comes twice": (
        lambda folder: change(folder, "UPDATE sessions SET sequence = 21"),
        "request a:21 is in the journal twice",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_somebody_has_changed_is_told(tmp_path: Path, name: str) -> None:
    path = folded(tmp_path)
    assert verify_database(path).faults == ()
    damage, sentence = DAMAGE[name]
    damage(tmp_path)
    faults = verify_database(path).faults
    assert sentence in "; ".join(faults)
    assert bool(faults) == bool(sentence)


def test_two_copies_are_compared_from_the_higher_anchor_up(tmp_path: Path) -> None:
    one, other = folded(tmp_path / "s1"), folded(tmp_path / "s2", keep=6)
    assert compare(one, other).sentence == f"{one} and {other} hold the same up to action id 61"
    rewrite(tmp_path / "s1", 9, time_us=7)
    assert "differ from action id 59 on" in compare(one, other).sentence
    rewrite(tmp_path / "s1", 2, time_us=7)
    comparison = compare(one, other)
    assert not comparison.agree
    assert (
        "differ from action id 54 on: what one of them continues is not what the other" in comparison.sentence
    )


def test_balances_that_were_changed_with_the_sum_at_the_anchor_differ_from_the_others(tmp_path: Path) -> None:
    """A forgery that fits in itself is found where the other copy is not forged as well."""
    one, other = folded(tmp_path / "s1"), folded(tmp_path / "s2", keep=6)
    change(tmp_path / "s1", "UPDATE accounts SET balance = balance + 1 WHERE id = 3")
    wrong = verify_database(one).faults
    assert len(wrong) == 1
    forge(state=lambda old: f"{int(old, 16) + sum_of([(3, 1)]) - sum_of([(3, 0)]):x}")(tmp_path / "s1")
    assert verify_database(one).faults == ()
    for first, second in ((one, other), (other, one)):
        comparison = compare(first, second)
        assert not comparison.agree
        assert "the same journal, and other balances: one was changed by hand" in comparison.sentence


def test_a_copy_that_ends_before_the_others_anchor_cannot_be_compared(tmp_path: Path) -> None:
    one, other = folded(tmp_path / "s1"), folded(tmp_path / "s2", keep=6)
    change(tmp_path / "s1", "DELETE FROM journal WHERE action_id > 50")
    assert "continues action id 54, and" in compare(one, other).sentence


def test_balances_changed_in_a_folded_copy_differ_from_those_of_one_that_is_whole(tmp_path: Path) -> None:
    one, whole = folded(tmp_path / "s1"), folded(tmp_path / "s2", keep=0)
    assert compare(one, whole).sentence == f"{one} and {whole} hold the same up to action id 61"
    change(tmp_path / "s1", "UPDATE accounts SET balance = balance + 1 WHERE id = 3")
    forge(state=lambda old: f"{int(old, 16) + sum_of([(3, 1)]) - sum_of([(3, 0)]):x}")(tmp_path / "s1")
    assert verify_database(one).faults == ()
    assert "and other balances: one was changed by hand" in compare(one, whole).sentence


def with_sessions(folder: Path, keep: int, *, outcomes_us: int = 0) -> Path:
    """Three sessions, the first two over by a horizon; every server forgets them in its own time."""
    source = Source(folder, keeping=Keeping(operations=keep, session_us=outcomes_us))
    journal = source.journal
    for number in range(1, 6):
        for session in (OVER, ALSO_OVER, LIVE):
            decide(journal, 1, (session, number), [deposit(1, number)], 1_000 + number)
    journal.cancel(1, (HORIZON, 2_000), 2_000)
    for number in range(1, 31):
        decide(journal, 1, ("later", number), [deposit(2, 1)], 2_000 + number)
    journal.commit()
    while journal.fold(journal.tip.action_id, 1_000_000_000):
        pass
    journal.close()
    return folder / "bank.db"


OVER, ALSO_OVER, LIVE = (new_session(ms) for ms in (1_000, 1_500, 3_000))


def test_copies_that_forgot_in_their_own_time_remember_the_same(tmp_path: Path) -> None:
    copies = [
        with_sessions(tmp_path / "s1", 20),
        with_sessions(tmp_path / "s2", 6),
        with_sessions(tmp_path / "s3", 6, outcomes_us=1_000),
        with_sessions(tmp_path / "s4", 40),
        with_sessions(tmp_path / "s5", 0),
    ]
    for first in copies:
        for second in copies:
            assert compare(first, second).agree, compare(first, second).sentence


@pytest.mark.parametrize("keep", [20, 6, 0])
@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("DELETE FROM sessions WHERE session = :live", "one of them remembers session {live}, and the other"),
        ("UPDATE sessions SET session = 'x' WHERE session = :live", "one of them remembers session "),
        ("UPDATE sessions SET sequence = 4 WHERE session = :live", "what they keep of session {live} is not"),
        (
            "UPDATE sessions SET outcomes = x'91cd03e8' WHERE session = :live",
            "what they keep of session {live}",
        ),
    ],
)
def test_a_kept_session_that_is_changed_or_gone_is_told_beside_another_copy(
    tmp_path: Path, keep: int, damage: str, sentence: str
) -> None:
    """Alone it cannot be told; and what is forgotten so would be done twice."""
    one, other = with_sessions(tmp_path / "s1", 10), with_sessions(tmp_path / "s2", keep)
    assert compare(one, other).agree
    change(tmp_path / "s1", damage.replace(":live", f"'{LIVE}'"))
    assert verify_database(one).faults == ()
    for first, second in ((one, other), (other, one)):
        comparison = compare(first, second)
        assert not comparison.agree
        assert sentence.format(live=LIVE) in comparison.sentence
