"""`bankrmi bench` of a class, as a person runs it, for a moment; nothing is timed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bankrmi.cli import run
from tests.bench.test_bench_command import environment, marked
from tests.console import odd_class
from tests.pages import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(odd_class.__file__, tmp_path / "odd_class.py")
    (tmp_path / "odd.yaml").write_text(
        "serves: odd_class:Odd\nnameserver: 127.0.0.1:1\nservers: {s1: 127.0.0.1:2, s2: 127.0.0.1:3}\n"
    )
    return tmp_path


def test_methods_are_measured_and_what_they_raised_is_said(folder: Path) -> None:
    """With arguments that are made up, and with those that are written; nothing of the service is touched."""
    work = folder / "work"
    work.mkdir()
    command = [sys.executable, "-m", "bankrmi", "--config", "odd.yaml", "bench"]
    command += ["--rounds", "1", "--seconds", "0.2", "--rows", "get:2x1,take:1x1,fail:1x1,rare:1x1"]
    command += ["--call", 'take("a name", count=1000000)', "--json", "told.json", "--html", "page.html"]
    done = subprocess.run(
        command,
        env=environment(work, PYTHONPATH=str(ROOT)),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:4]] == [
        ["row", "system"],
        ["get:2x1", "bankrmi"],
        ["take:1x1", "bankrmi"],
        ["fail:1x1", "bankrmi"],
    ]
    assert "note on take: 100 % of its calls raised an exception, and changed nothing" in lines
    assert not any(line.startswith("note on get") for line in lines)
    assert any(line.startswith("skipped rare: ") and "--call 'rare(...)'" in line for line in lines)
    document = json.loads((folder / "told.json").read_text())
    assert document["plan"]["serves"] == "odd_class:Odd"
    [sample] = document["rows"]["take:1x1"]["bankrmi"]
    assert sample["operations"] > 0
    assert set(sample["cpu_us"]) == {"primary", "standby", "witness", "load"}
    page = (folder / "page.html").read_text()
    assert "odd_class:Odd on 2 servers; each row calls one of its methods" in page
    assert "withdraws" not in page
    assert list(work.iterdir()) == []
    assert marked(work) == []
    assert not (folder / "data").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--against", "redis"], "--against is of a bank, and here is served odd_class:Odd"),
        (["--records", "30000"], "--records is of a bank"),
        (["--rows", "beside"], "beside is of several services in one pair, and Odd is alone"),
        (["--call", "put(name)"], "is no call with values alone"),
    ],
)
def test_what_cannot_be_measured_of_a_class_is_said_before_anything_is_started(
    folder: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--config", str(folder / "odd.yaml"), "bench", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_call_is_of_a_class(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--call", "put(1)"]) == 2
    assert "--call is of a class" in capsys.readouterr().err
