"""`bankrmi chaos` and `bankrmi check` where a configuration names several services: real processes are
broken, and what came of calls across services is held against the plain classes together."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bankrmi.cli.main import main
from bankrmi.console.events import HelloEvent
from bankrmi.console.recording import read_recording
from bankrmi.robustness.services.call_history import call_files, read_calls
from bankrmi.service.loading import load_services
from tests import warm
from tests.pages import ROOT
from tests.service.plain_examples import PlainWarehouse

SERVES = {"shelf": "warehouse:Shelf", "points": "warehouse:Points", "purchases": "warehouse:Purchases"}
CONFIGURATION = "\n".join(
    [
        "serves:",
        *(f"  {name}: {target}" for name, target in SERVES.items()),
        "nameserver: 127.0.0.1:9090",
        "servers:",
        "  s1: 127.0.0.1:9101",
        "  s2: 127.0.0.1:9102",
    ]
)
HELD_AGAINST = ("--model", "tests.service.plain_examples:PlainWarehouse")
BOUGHT = ("--workload", "tests.service.plain_examples:use_warehouse")


class Generous(PlainWarehouse):
    """A model that the classes do not follow: it has more on the shelf than was put there."""

    def __init__(self) -> None:
        super().__init__()
        self.shelf.items["mug"] = 100, 10


DOES_HALF = """
from bankrmi.robustness.mutants import planted

bug = planted("half-of-a-call-stays")
bug.__enter__()
"""


def _chaos(folder: Path, minutes: str, *words: str, planted: str = "") -> subprocess.CompletedProcess[str]:
    """Break the warehouse for so long, in a folder where its module lies."""
    folder.mkdir()
    shutil.copy(ROOT / "examples/warehouse/warehouse.py", folder)
    (folder / "warehouse.yaml").write_text(CONFIGURATION + "\n")
    (folder / "bug").mkdir()
    (folder / "bug" / "sitecustomize.py").write_text(planted)
    places = [folder / "bug", ROOT, *(ROOT / "examples").iterdir()]
    chaos = ["--config", "warehouse.yaml", "chaos", "--minutes", minutes, "--relays", "--directory", "run"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, places))}
    if planted:  # Which a new interpreter alone reads.
        command = [sys.executable, "-m", "bankrmi", *chaos, *words]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=folder, env=environment, timeout=900
        )
    return warm.run([*chaos, *words], cwd=folder, env=environment, timeout=900)


def test_services_are_broken_and_judged_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "chaos"
    often = "--clients", "2", "--pause-ms", "5"  # So that a busy machine gets round to some calls.
    done = _chaos(folder, "0.05", "--seed", "3", *often, *BOUGHT, *HELD_AGAINST)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "state and queries as in PlainWarehouse by itself" in done.stdout
    assert "\nagain: bankrmi --config warehouse.yaml chaos --minutes 0.05 --seed 3 " in done.stdout
    assert re.search(r"  purchases\.bought: \d+ returned", done.stderr)
    assert re.search(r"  shelf\.put: \d+ returned", done.stderr)
    hello = read_recording(folder / "run" / "recording.jsonl.gz").hello
    assert isinstance(hello, HelloEvent)
    assert (hello.service, hello.serves, hello.services) == ("shelf", "warehouse:Shelf", SERVES)
    assert json.loads((folder / "run" / "run.json").read_text())["services"] == SERVES
    _sessions_go_on_from_one_service_to_another(folder)
    monkeypatch.chdir(folder)
    _check_again(capsys)


def _sessions_go_on_from_one_service_to_another(folder: Path) -> None:
    calls = read_calls(call_files([folder / "run" / "history"]), load_services(SERVES, folder)).calls
    services: dict[str, set[str]] = {}
    for call in calls:
        if call.request is not None and call.operations:
            method = str(call.operations[0][0])
            services.setdefault(call.request[0], set()).add(method.rpartition(".")[0])
    assert max(map(len, services.values())) > 1


def _check_again(capsys: pytest.CaptureFixture[str]) -> None:
    """`bankrmi check` comes to the same, finds what is wrong, and says what it cannot judge."""
    run = Path("run")

    def check(*words: str, config: str = "warehouse.yaml") -> tuple[int, str]:
        copies = [word for name in ("s1", "s2") for word in ("--data", str(run / "data" / name))]
        code = main(["--config", config, "check", str(run / "history"), *copies, *words])
        told = capsys.readouterr()
        return code, told.out + told.err

    for words in ((), HELD_AGAINST):
        code, told = check(*words)
        assert (code, told.splitlines()[-1].startswith("no violation in ")) == (0, True), told
    code, told = check("--model", f"{__name__}:Generous")
    assert code == 1
    assert "; Generous by itself returns " in told
    _serves({name: SERVES[name] for name in ("shelf", "points")})
    code, told = check(config="others.yaml")
    assert code == 2
    assert "is no history of calls of Shelf and Points, as its clients write it" in told
    _serves({**SERVES, "more": "tests.testing.stock:ReadsOnly"})
    code, told = check(config="others.yaml")
    was = "Shelf, Points as points, Purchases as purchases"
    assert code == 2
    assert f"s1 holds the state of {was}, and not the state of {was}, ReadsOnly as more" in told


def _serves(services: dict[str, str]) -> None:
    lines = CONFIGURATION.splitlines()
    named = [f"  {name}: {target}" for name, target in services.items()]
    Path("others.yaml").write_text("\n".join(["serves:", *named, *lines[1 + len(SERVES) :]]) + "\n")


@pytest.mark.long
@pytest.mark.parametrize("words", [(), HELD_AGAINST], ids=["the classes", "a model"])
def test_a_planted_bug_is_found_in_real_processes(tmp_path: Path, words: Sequence[str]) -> None:
    """Of a call through two services only half stays, on all copies alike."""
    done = _chaos(tmp_path / "chaos", "0.2", "--seed", "3", *BOUGHT, *words, planted=DOES_HALF)
    assert done.returncode == 1, done.stdout + done.stderr
    assert " by itself" in done.stdout or " a plain run of " in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("words", [(), ("--servers", "3")])
def test_services_are_broken_for_two_minutes(tmp_path: Path, words: Sequence[str]) -> None:
    done = _chaos(tmp_path / "chaos", "2", *BOUGHT, *HELD_AGAINST, *words)
    assert done.returncode == 0, done.stdout + done.stderr
