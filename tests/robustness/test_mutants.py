"""Each rule is broken once, and the simulator finds it.

All of them take minutes: `python -m bankrmi.robustness.mutants`. Here are those that the first seeds find,
and what has to hold for the others.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from bankrmi.errors import InvalidRequest
from bankrmi.replication.following import Follower
from bankrmi.replication.leading import Leader
from bankrmi.robustness.mutants import MUTANTS, Found, Mutant, hunt, hunting, planted
from bankrmi.robustness.mutants.__main__ import main
from bankrmi.robustness.mutants.mutant import Patch, in_place
from bankrmi.robustness.mutants.table import BEGIN, END, as_markdown, write_between_marks
from bankrmi.robustness.simulator.simulation import simulate

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]

QUICK = {
    "queue-without-a-bound": 8,
    "acknowledge-before-standby": 5,
    "commit-after-answering": 5,
    "no-roll-back": 10,
    "roll-back-too-far": 10,
    "roll-back-on-late-message": 20,
    "compare-ids-without-epoch": 20,
    "take-over-without-winning": 20,
    "go-on-alone-before-the-view": 20,
    "let-in-before-caught-up": 10,
    "remember-only-successes": 10,
    "forget-request-ids-after-failover": 10,
    "retry-failed-fsync": 20,
    "no-budget-a-turn": 5,
    "queue-a-retry-twice": 8,
    "transfer-half-done": 5,
    "export-half-a-transfer": 60,
    "patience-drops-the-connection": 8,
    "retired-still-decides": 8,
    "takeover-forgets-retirement": 8,
}
"""Bugs that are found soon, and the seeds that each may take."""

FIRST = {
    "export-half-a-transfer": 46,
    "queue-without-a-bound": 4,
    "acknowledge-before-standby": 2,
    "commit-after-answering": 6,
    "no-roll-back": 2,
    "roll-back-too-far": 2,
    "roll-back-on-late-message": 5,
    "compare-ids-without-epoch": 2,
}
"""A seed that found the bug soonest when this was written: it saves time, and is tried before the others."""


@pytest.mark.but_first_long(3)
@pytest.mark.parametrize(("name", "seeds"), QUICK.items())
def test_a_planted_bug_is_found(name: str, seeds: int) -> None:
    found = hunt(name, seeds=seeds, first=[FIRST[name]] if name in FIRST else [])
    assert found is not None
    assert found.sentence


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_gone_afterwards(mutant: Mutant) -> None:
    """Though something went wrong meanwhile."""
    before = [vars(patch.owner).get(patch.name) for patch in mutant.patches]

    def goes_wrong() -> None:
        with planted(mutant.name):
            assert [vars(patch.owner).get(patch.name) for patch in mutant.patches] != before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        goes_wrong()
    assert [vars(patch.owner).get(patch.name) for patch in mutant.patches] == before
    assert None not in before, "what is patched is in the product"


def test_what_a_class_had_from_elsewhere_it_has_again() -> None:
    with in_place((Patch(Leader, "__repr__", lambda _: "planted"),)):
        assert "__repr__" in vars(Leader)
    assert "__repr__" not in vars(Leader)


def test_a_patch_that_cannot_be_made_leaves_nothing_behind() -> None:
    before = Follower._roll_back
    with pytest.raises(TypeError), in_place((Patch(Follower, "_roll_back", None), Patch(int, "real", None))):
        pass
    assert Follower._roll_back is before


def test_each_bug_says_which_rule_it_breaks_and_what_goes_wrong() -> None:
    assert len(MUTANTS) == 75
    for name, mutant in MUTANTS.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+", name)
        assert re.fullmatch(r"[AVROSJFW][0-9]{1,2}", mutant.rule)
        assert mutant.goes_wrong[-1] != "."
        assert len(mutant.goes_wrong.split()) > 8


def test_where_there_is_no_bug_none_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Mutant(name="nothing", rule="A1", goes_wrong="", patches=())
    monkeypatch.setattr(hunting, "MUTANTS", {"nothing": nothing})
    assert hunt("nothing", seeds=1) is None


def test_a_seed_that_fails_without_the_bug_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    with planted("answer-before-own-commit"):
        nothing = Mutant(name="nothing", rule="A1", goes_wrong="", patches=())
        monkeypatch.setattr(hunting, "MUTANTS", {"nothing": nothing})
        assert simulate(0).failure is not None
        assert hunt("nothing", seeds=2) is None


@pytest.mark.long
def test_believing_a_primary_gone_too_early_is_harmless_while_leases_are_waited_for() -> None:
    """R3: it may propose before; so `take-over-before-lease-ended` has to do both wrongly."""
    [haste, _] = MUTANTS["take-over-before-lease-ended"].patches
    with in_place((haste,)):
        failures = [simulate(seed).failure for seed in range(6)]
    assert [failure for failure in failures if failure is not None and failure.kind == "safety"] == []


def test_a_bug_that_nobody_knows_is_a_mistake() -> None:
    with pytest.raises(
        InvalidRequest, match="no planted bug named 'nonsense'; `bankrmi simulate --break list`"
    ):
        hunt("nonsense")


def test_the_documents_name_the_planted_bugs_that_there_are() -> None:
    """The table all of them, in their order; and what readers are told to type can be typed."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    texts = [page.read_text(encoding="utf-8") for page in pages]
    [table] = [text.partition(BEGIN)[2].partition(END)[0] for text in texts if BEGIN in text]
    assert re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE) == list(MUTANTS)
    to_type = {name for text in texts for name in re.findall(r"--break ([a-z][\w-]+)", text)}
    assert len(to_type) > 2
    assert to_type <= {"list", *MUTANTS}


FOUND = Found(
    name="no-roll-back",
    seed=7,
    seeds=8,
    servers=3,
    sentence="c1 at 12.5 s, read 1: read at action id 3",
)


def test_the_table_stands_between_its_marks_and_nothing_else_changes(tmp_path: Path) -> None:
    document = tmp_path / "robustness.md"
    document.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nThe end.\n")
    write_between_marks(document, as_markdown([("no-roll-back", FOUND), ("ignore-behind", None)], 1000))
    head, table = document.read_text().split(BEGIN)
    table, tail = table.split(END)
    assert (head, tail) == ("# Title\n\n", "\n\nThe end.\n")
    [_, _, first, second] = table.strip().splitlines()
    assert first.startswith("| `no-roll-back` | A3 | a deposed primary keeps")
    assert first.endswith("| 8 | a client: read at action id N |")
    assert second.endswith("| not found in 1000 |  |")


def test_a_document_without_marks_is_left_alone(tmp_path: Path) -> None:
    document = tmp_path / "robustness.md"
    document.write_text("nothing\n")
    with pytest.raises(InvalidRequest, match="has to hold the lines"):
        write_between_marks(document, "table\n")
    assert document.read_text() == "nothing\n"


def test_the_command_hunts_and_keeps_the_table(tmp_path: Path) -> None:
    document = tmp_path / "robustness.md"
    document.write_text(f"{BEGIN}\n{END}\n")
    ended = CliRunner().invoke(main, ["acknowledge-before-standby", "--seeds", "5", "--write", str(document)])
    assert ended.exit_code == 0, ended.output
    assert ended.output.endswith("1 planted bugs, 1 found within 5 seeds each\n")
    assert "| `acknowledge-before-standby` | A1 |" in document.read_text()


def test_the_command_says_that_a_bug_was_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hunting, "simulate", lambda seed, **_: simulate(seed, duration_ms=1))
    ended = CliRunner().invoke(main, ["ignore-behind", "--seeds", "1"])
    assert ended.exit_code == 1
    assert "NOT FOUND in 1 seeds" in ended.output
