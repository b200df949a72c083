"""`bankrmi serve MODULE:CLASS simulate` and `chaos`: the same on the command line."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bankrmi.cli.main import main
from bankrmi.console.recording import read_recording
from bankrmi.errors import ConfigurationError
from bankrmi.robustness.checker.history import AnsweredOutcome, HistoryCall, Outcome, UnknownOutcome
from bankrmi.robustness.services import seeds
from bankrmi.robustness.services.by_itself import ServiceByItself
from bankrmi.robustness.services.call_history import SUFFIX, CallRecorder, call_files, read_calls
from bankrmi.robustness.services.judging import judge_calls
from bankrmi.robustness.services.outcomes import CallOutcome
from bankrmi.robustness.services.service_disks import read_service_copies
from bankrmi.robustness.services.wanted import CallMaker
from bankrmi.service import described
from tests import warm
from tests.testing import stock

ROOT = Path(__file__).parents[2]
STOCK = "tests.testing.stock:Stock"


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worlds of some seconds: what the command does is the same."""
    monkeypatch.setattr(seeds, "DURATION_MS", 3000.0)


def test_seeds_of_a_class_say_what_was_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", STOCK, "simulate", "--seeds", "2", "--model", "PlainStock"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("2 seeds, no violation in ")
    assert re.search(r"  take: \d+ returned, \d+ raised OutOfStock", told.err)


def test_a_seed_that_goes_wrong_says_how_to_see_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    target = "tests.testing.stock:ForgetsSome"
    assert main(["serve", target, "simulate", "--seeds", "6", "--model", "PlainStock"]) == 1
    told = capsys.readouterr().out
    assert "; PlainStock by itself returns " in told
    again = rf"again: bankrmi serve {target} simulate --model PlainStock --seeds 1 --seed \d+ --servers 2"
    assert re.search(again, told)


def test_classes_that_are_made_up_are_run_by_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--services", "--seeds", "3"]) == 0
    assert capsys.readouterr().out.startswith("3 seeds, no violation in ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["simulate", "--workload", "none"], "there is no workload none in "),
        (["simulate", "--workload", "no_module:workload"], "no_module cannot be imported"),
        (["simulate", "--model", "NAMES"], "there is no model NAMES in "),
        (["simulate", "--break", "adopt-no-epoch"], "are not for a class that is served"),
        (
            ["chaos", "--minutes", "1", "--model", "OutOfStock"],
            "OutOfStock has no method fail, and Stock has",
        ),
    ],
)
def test_what_is_named_wrongly_is_said_in_a_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", STOCK, *words]) == 2
    assert sentence in capsys.readouterr().err


def test_options_of_a_class_are_refused_for_a_bank(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--workload", "workload"]) == 2
    assert "say `bankrmi serve MODULE:CLASS` before the command" in capsys.readouterr().err


def _chaos(directory: Path, minutes: str, *words: str) -> tuple[str, str]:
    """Break the class for so long, in a folder where its module lies; return verdict and calls."""
    directory.mkdir()
    shutil.copy(stock.__file__, directory / "stock.py")
    chaos = ["serve", "stock:Stock", "chaos", "--minutes", minutes]
    chaos += ["--relays", "--directory", "run", "--report", "report.html", *words]
    done = warm.run(chaos, cwd=directory, env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "state and queries as in PlainStock by itself" in done.stdout
    assert re.search(r"\d+  updates\n", done.stdout)
    assert re.search(r"  put: \d+ returned", done.stderr)
    assert (directory / "report.html").stat().st_size > 10_000
    assert read_recording(directory / "run" / "recording.jsonl.gz").hello is not None
    return done.stdout, done.stderr


def test_a_class_is_served_by_real_processes_that_are_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    often = "--clients", "2", "--pause-ms", "2"  # So that a busy machine gets round to some calls.
    told, _ = _chaos(tmp_path / "chaos", "0.05", "--model", "PlainStock", "--seed", "3", *often)
    assert "again: bankrmi serve stock:Stock chaos --minutes 0.05 --seed 3 " in told
    _see_what_is_wrong(tmp_path / "chaos" / "run")
    _check_again(tmp_path / "chaos" / "run", capsys)


class Forgetful(stock.PlainStock):
    """A model that the class does not follow."""

    def put(self, name: str, count: int = 1) -> int:
        return super().put(name, min(count, 2))


def _see_what_is_wrong(run: Path) -> None:
    """What is on the disks, and what clients wrote down, would have been found wrong, had it been."""
    description = described(stock.Stock)
    calls = read_calls(call_files([run / "history"]), description).calls
    told = next(call for call in calls if call.kind == "query" and isinstance(call.outcome, AnsweredOutcome))
    lied = [replace(call, outcome=_another(call.outcome)) if call is told else call for call in calls]

    def violations(calls: Sequence[HistoryCall], model: Callable[[], object] | None) -> tuple[str, ...]:
        directories = [run / "data" / name for name in ("s1", "s2")]
        with read_service_copies(directories, description) as (copies, journals):
            alone = ServiceByItself(description, model)
            verdict = judge_calls(calls, copies, journals, alone, queries=[], begin_ns=0)
        return verdict.violations

    assert violations(calls, None) == ()
    assert "; it was " in violations(lied, None)[0]
    assert "; Forgetful by itself returns " in violations(calls, Forgetful)[0]
    other = pytest.raises(
        ConfigurationError, match="holds the state of Stock, and not the state of ReadsOnly"
    )
    with other, read_service_copies([run / "data" / "s1"], described(stock.ReadsOnly)):
        pass


def _check_again(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`bankrmi check` comes to the same, finds what is wrong, and says what it cannot judge."""
    copies = [word for name in ("s1", "s2") for word in ("--data", str(run / "data" / name))]

    def check(*words: str, target: str = STOCK) -> tuple[int, str]:
        code = main(["serve", target, "check", *words])
        told = capsys.readouterr()
        return code, told.out + told.err

    code, told = check(str(run / "history"), *copies)
    assert (code, told.splitlines()[-1].startswith("no violation in ")) == (0, True), told
    assert re.search(r"\d+ entries on 2 copies: s1, s2", told)
    code, told = check(str(run / "history"), *copies, "--model", "tests.testing.test_commands:Forgetful")
    assert code == 1
    assert "; Forgetful by itself returns " in told
    lost = next(path for path in (run / "history").iterdir() if path.stat().st_size > 1000)
    lost.rename(run / "lost")  # What is in the journal, somebody has to have asked for.
    code, told = check(str(run / "history"), *copies)
    assert code == 1
    assert "violation: " in told
    for words, said in (
        ([str(run / "data"), *copies], "the calls of a class are in files *.calls"),
        ([str(run / "lost"), str(run / "lost"), *copies], "/lost is given twice"),
        ([str(run / "run.json"), *copies], "run.json is no history of calls of Stock"),
        ([str(run / "lost"), *copies[:2], *copies[:2]], "data/s1 is given twice"),
        ([str(run / "lost"), *copies, "--model", "none"], "there is no model none in "),
    ):
        code, told = check(*words)
        assert code == 2, told
        assert said in told
    code, told = check(str(run / "lost"), *copies, target="tests.testing.stock:ReadsOnly")
    assert code == 2
    assert "is no history of calls of ReadsOnly" in told
    assert main(["check", str(run / "lost"), *copies, "--model", "PlainStock"]) == 2
    assert "--model is of a class" in capsys.readouterr().err


def _another(outcome: Outcome) -> AnsweredOutcome:
    assert isinstance(outcome, AnsweredOutcome)
    [result] = outcome.results
    return AnsweredOutcome(outcome.history, (result._replace(value=CallOutcome.returned("a lie")),))


def test_a_history_that_ends_half_written_is_read(tmp_path: Path) -> None:
    """Its client was killed: nobody knows what came of the call."""
    description = described(stock.Stock)
    recorder = CallRecorder(tmp_path / f"c{SUFFIX}")
    calls: Any = CallMaker(description)
    recorder.invoke("c", "update", "s:1", calls.put("apple", 1))
    number = recorder.invoke("c", "query", None, calls.get("apple"))
    recorder.complete("c", number, UnknownOutcome())
    recorder.close()
    [file] = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    update, query = read_calls(call_files([tmp_path]), description).calls
    assert update.request == ("s", 1)
    assert update.completed_ns is query.completed_ns is None
    file.write_bytes(b"\xc1")
    with pytest.raises(ConfigurationError, match="is no history of calls of Stock"):
        read_calls(call_files([tmp_path]), description)


@pytest.mark.long
def test_a_class_is_broken_for_two_minutes(tmp_path: Path) -> None:
    _, called = _chaos(tmp_path / "chaos", "2", "--model", "PlainStock")
    assert re.search(r"  take: \d+ returned, \d+ raised OutOfStock", called)


@pytest.mark.long
@pytest.mark.parametrize("servers", ["2", "3"])
def test_many_classes_that_are_made_up(servers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds, "DURATION_MS", 10_000.0)
    assert main(["simulate", "--services", "--seeds", "100", "--seed", "5000", "--servers", servers]) == 0
