"""What servers have rolled back is told once, and again when there is more of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bankrmi.console import rolled_back as file
from bankrmi.console.rolled_back import RolledBack
from bankrmi.service import ServedServices, ServiceMachine, described
from tests.console.odd_class import Errands, Odd


class Processes:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def directory(self, name: str) -> Path:
        return self._folder / name


def line(action_id: int) -> str:
    entry = {"action_id": action_id, "request_id": f"s:{action_id}", "kind": "withdraw", "digest": "00"}
    return json.dumps(entry) + "\n"


def watched(folder: Path) -> RolledBack:
    (folder / "s1").mkdir()
    return RolledBack(Processes(folder))  # type: ignore[arg-type]


def ids(told: dict[str, Any]) -> list[int]:
    return [entry["action_id"] for entry in told["entries"]]


def test_a_record_is_told_once_and_again_when_it_has_grown(tmp_path: Path) -> None:
    watch = watched(tmp_path)
    assert watch.news(["s1", "s2"]) == []
    record = tmp_path / "s1" / "rolled-back-7.jsonl"
    record.write_text(line(1) + line(2))
    [told] = watch.news(["s1"])
    assert (told["server"], told["epoch"], told["count"], ids(told)) == ("s1", 7, 2, [1, 2])
    assert set(told["entries"][0]) == {"action_id", "request_id", "kind"}
    assert watch.news(["s1"]) == []
    with record.open("a") as more:
        more.write(line(3))
    assert ids(watch.news(["s1"])[0]) == [1, 2, 3]


def test_only_the_newest_entries_and_records_are_told(tmp_path: Path) -> None:
    watch = watched(tmp_path)
    for epoch in range(1, file.RECORDS_READ + 5):
        text = "".join(map(line, range(file.ENTRIES_TOLD + 9)))
        (tmp_path / "s1" / f"rolled-back-{epoch}.jsonl").write_text(text)
    told = watch.news(["s1"])
    assert [one["epoch"] for one in told] == list(range(5, file.RECORDS_READ + 5))
    assert {one["count"] for one in told} == {file.ENTRIES_TOLD + 9}
    assert ids(told[0]) == list(range(9, file.ENTRIES_TOLD + 9))


def test_a_call_of_a_class_is_told_as_one_would_write_it(tmp_path: Path) -> None:
    """As the state machine of a class describes it, cut and made visible."""
    watch = watched(tmp_path)
    machine = ServiceMachine(described(Odd))
    operation = ("put", ("\u202eapple",), {"count": 2, "action_id": "x" * 1000})
    entry = {"action_id": 1, "request_id": "s:1", **machine.describe(operation), "status": "done"}
    (tmp_path / "s1" / "rolled-back-7.jsonl").write_text(json.dumps(entry) + "\n")
    [told] = watch.news(["s1"])
    [shown] = told["entries"]
    assert shown["action_id"] == 1
    assert shown["call"].startswith("put('\\u202eapple', count=2, action_id='xxx")
    assert len(shown["call"]) < 300


def test_of_several_services_each_call_is_told_with_its_service_as_people_call_it(tmp_path: Path) -> None:
    """In the journal the calls of the first one have plain names."""
    (tmp_path / "s1").mkdir()
    watch = RolledBack(Processes(tmp_path), "odd")  # type: ignore[arg-type]
    machine = ServiceMachine(ServedServices(described(Odd), {"errands": described(Errands)}))
    calls: list[tuple[str, tuple[str], dict[str, str]]] = [
        ("put", ("apple",), {}),
        ("errands.fetch", ("apple",), {}),
    ]
    entries = [
        {"action_id": number, "request_id": f"s:{number}", **machine.describe(call), "status": "done"}
        for number, call in enumerate(calls)
    ]
    (tmp_path / "s1" / "rolled-back-7.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in entries))
    [told] = watch.news(["s1"])
    assert [entry["call"] for entry in told["entries"]] == ["odd.put('apple')", "errands.fetch('apple')"]


def test_what_is_written_just_now_or_is_damaged_hurts_nobody(tmp_path: Path) -> None:
    watch = watched(tmp_path)
    (tmp_path / "s1" / "rolled-back-3.jsonl").write_text(line(1) + '{"action_id": 2')
    (tmp_path / "s1" / "rolled-back-4.jsonl").write_text("no JSON\n")
    (tmp_path / "s1" / "rolled-back-5.jsonl").mkdir()
    [told] = watch.news(["s1"])
    assert (told["epoch"], ids(told)) == (3, [1])
