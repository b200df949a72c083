"""`bankrmi bench` of a class, as a person runs it, for a moment; nothing is timed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from bankrmi.cli import run
from tests import warm
from tests.bench.test_bench_command import environment, left_in
from tests.console import odd_class
from tests.pages import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(odd_class.__file__, tmp_path / "odd_class.py")
    (tmp_path / "odd.yaml").write_text(
        "serves: odd_class:Odd\nnameserver: 127.0.0.1:1\nservers: {s1: 127.0.0.1:2, s2: 127.0.0.1:3}\n"
    )
    (tmp_path / "pair.yaml").write_text(
        "serves: {odd: odd_class:Odd, errands: odd_class:Errands}\n"
        "nameserver: 127.0.0.1:1\nservers: {s1: 127.0.0.1:2, s2: 127.0.0.1:3}\n"
    )
    return tmp_path


def bench(folder: Path, config: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it; nothing of the service is touched, and nothing is left."""
    work = folder / "work"
    work.mkdir()
    command = ["--config", config, "bench", "--rounds", "1", "--seconds", "0.2", *words]
    done = warm.run(
        [*command, "--json", "told.json", "--html", "page.html"],
        env=environment(work, PYTHONPATH=str(ROOT)),
        cwd=folder,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(work.iterdir()) == []
    assert left_in(folder) == []
    assert not (folder / "data").exists()
    return done


def test_methods_of_a_pair_are_measured_and_what_they_raised_and_cost_each_other_is_said(
    folder: Path,
) -> None:
    """With arguments that are made up, and with those that are written."""
    rows = "odd.get:2x1,take:1x1,rare:1x1,across,beside:errands.get"
    done = bench(folder, "pair.yaml", "--rows", rows, "--call", 'odd.take("a name", count=1000000)')
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [
        ["row", "system"],
        ["odd.get:2x1", "bankrmi"],
        ["odd.take:1x1", "bankrmi"],
    ]
    assert "note on odd.take: 100 % of its calls raised an exception, and changed nothing" in lines
    assert not any(line.startswith("note on odd.get") for line in lines)
    assert any(line.startswith("skipped odd.rare: ") and "--call 'odd.rare(...)'" in line for line in lines)
    document = json.loads((folder / "told.json").read_text())
    assert document["plan"]["services"] == {"odd": "odd_class:Odd", "errands": "odd_class:Errands"}
    [sample] = document["rows"]["odd.take:1x1"]["bankrmi"]
    assert sample["operations"] > 0
    assert set(sample["cpu_us"]) == {"primary", "standby", "witness", "load"}
    found = {(one["row"], one["what"], one["unit"]): one["values"] for one in document["findings"]}
    assert found.keys() == {
        ("across", "errands.fetch, which calls odd.take", "op/s"),
        ("across", "errands.fetch, which calls odd.take: primary's CPU", "us"),
        ("across", "odd.take by itself", "op/s"),
        ("across", "odd.take by itself: primary's CPU", "us"),
        ("beside", "errands.get alone", "op/s"),
        ("beside", "errands.get alone: median", "us"),
        ("beside", "errands.get while odd.take is called too", "op/s"),
        ("beside", "errands.get while odd.take is called too: median", "us"),
    }
    assert all(value > 0 for (_, what, _), values in found.items() if "CPU" not in what for value in values)
    page = (folder / "page.html").read_text()
    assert "odd_class:Odd, odd_class:Errands on 2 servers; each row calls one of their methods" in page
    assert "The service alone" in page
    assert "withdraws" not in page


@pytest.mark.long
def test_a_class_is_killed_and_stopped_and_handed_over(folder: Path) -> None:
    rows = "get:1x1,failover,failover:stop,failover:switchover"
    bench(folder, "odd.yaml", "--rows", rows, "--failovers", "1")
    document = json.loads((folder / "told.json").read_text())
    assert document["plan"]["serves"] == "odd_class:Odd"
    assert {one["what"]: len(one["values"]) for one in document["findings"]} == {
        "kill -9 to the next answer (everything)": 1,
        "SIGSTOP to the next answer (everything)": 1,
        "switchover, longest between two answers (everything)": 1,
    }
    page = (folder / "page.html").read_text()
    assert "odd_class:Odd on 2 servers; each row calls one of its methods" in page


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
