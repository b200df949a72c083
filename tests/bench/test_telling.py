"""What is shown of made-up runs: tables, JSON, the page."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from html.parser import HTMLParser

from bankrmi.bench.plan import Plan
from bankrmi.bench.recorded import Run, document
from bankrmi.bench.report import page
from bankrmi.bench.telling import figure, measured, tables
from tests.bench.made_up_results import made_up_results

RUN = Run(
    plan=Plan(rows=("32x1", "1x1", "failover"), against=("redis", "etcd"), rounds=3),
    begun=datetime(2026, 11, 28, tzinfo=UTC),
    command="bankrmi bench --rounds 3 <&>",
    machine={"cores": 2, "fsync_us": 215},
    versions={"redis": "7.0.15"},
    commit="abc1234",
)


def test_the_table_has_rates_latencies_ratios_processes_findings_and_what_was_skipped() -> None:
    lines = list(tables(made_up_results()))
    ours, theirs = [line.split() for line in lines if line.startswith("32x1") and "us" not in line]
    assert ours == ["32x1", "bankrmi", "250", "4,000", "8,000"]
    assert theirs[:3] == ["32x1", "redis", "100"]
    assert " ".join(theirs[5:]) == "2.50 (2.00 to 3.00)"
    assert "32x1       bankrmi     primary 10.0 us 2 MB, load 1.0 us" in lines
    [finding] = [line.split() for line in lines if line.startswith("failover")]
    assert finding[-4:] == ["7", "5", "90", "3"]
    assert "note on redis: the replica has it in memory" in lines
    assert lines[-1] == "skipped etcd: etcd not found: apt install etcd-server"
    assert max(map(len, lines)) <= 110


def test_a_row_that_is_done_is_one_line() -> None:
    assert measured("32x1", made_up_results()) == "32x1: bankrmi 250 op/s, redis 100 op/s"
    assert measured("8x1", made_up_results()) == "8x1: nobody could be measured"


def test_a_figure_has_about_three_digits() -> None:
    assert list(map(figure, [0.123, 1.5, 12.34, 123.4, 1234567])) == [
        "0.12",
        "1.50",
        "12.3",
        "123",
        "1,234,567",
    ]


def test_the_json_has_everything_that_was_measured_on_what_and_by_which_code() -> None:
    told = json.loads(json.dumps(document(RUN, made_up_results())))
    assert (told["commit"], told["machine"]["cores"], told["interrupted"]) == ("abc1234", 2, False)
    assert [one["operations_per_second"] for one in told["rows"]["32x1"]["bankrmi"]] == [200, 300, 250]
    assert told["ratios"]["1x1"]["redis"] == {"median": 0.6, "lowest": 0.5, "highest": 0.7, "rounds": 3}
    assert told["findings"][0]["values"] == [5, 7, 90]
    assert told["skipped"] == {"etcd": "etcd not found: apt install etcd-server"}
    assert told["notes"] == {"redis": "the replica has it in memory"}
    assert told["plan"]["rounds"] == 3


class Outline(HTMLParser):
    """What of a page matters here."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.kinds: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        self.links += [value or "" for name, value in attributes if name in {"src", "href"}]
        if tag == "rect":
            self.kinds.append(named.get("class") or "")
        if tag not in {"meta", "br", "col"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else_and_has_a_bar_for_each_ratio() -> None:
    text = page(RUN, made_up_results())
    outline = Outline(text)
    assert outline.open == []
    assert outline.links == []
    assert outline.kinds == ["better", "worse"]
    assert "<script" not in text
    assert "bankrmi bench --rounds 3 &lt;&amp;&gt;" in text
    assert "2.50 (2.00 to 3.00)" in text
    assert "etcd not found: apt install etcd-server" in text


def test_the_page_of_an_interrupted_run_says_so() -> None:
    interrupted = Run(**{name: getattr(RUN, name) for name in RUN.__slots__} | {"interrupted": True})
    assert "Interrupted: " in page(interrupted, made_up_results())
