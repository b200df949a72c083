"""Figures: how they are counted, read and written; every label is from a closed set."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

import bankrmi
from bankrmi.errors import BankError, Busy, OperationFailed
from bankrmi.histogram import Histogram
from bankrmi.metrics import page
from bankrmi.metrics.measure import Measure, MeasureTaken, read
from bankrmi.metrics.page import Pages
from bankrmi.nameserver import measures as of_nameserver
from bankrmi.replication.cause import Cause, CauseKind
from bankrmi.replication.figures import CAUSES, ViewChanges
from bankrmi.server import measures as of_server
from bankrmi.server.method_figures import METHODS_AT_MOST, OTHER, MethodFigures
from bankrmi.server.request_figures import ERROR, OF_ACCOUNTS, OF_SERVICES, RequestFigures
from bankrmi.service import ServedServices, described
from tests.console.odd_class import Errands, Odd
from tests.pages import ROOT, page_text
from tests.replication.steps import view_of

SERVERS = ("s1", "s2", "s3")
ALL: dict[str, tuple[Measure[Any], ...]] = {
    "server": of_server.measures_of("s1", SERVERS, "account"),
    "name server": of_nameserver.measures_of(SERVERS, "account"),
}


def a_measure(**more: Any) -> Measure[None]:
    return Measure(**more)


# -- histograms --------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 100)))
def test_a_histogram_counts_each_value_up_to_its_bound(values: list[float]) -> None:
    histogram = Histogram(1, 2.5, 10)
    for value in values:
        histogram.observe(value)
    bounds = [0, *histogram.bounds, float("inf")]
    wanted = [sum(low < value <= high for value in values) for low, high in pairwise(bounds)]
    wanted[0] += values.count(0)
    assert histogram.counts == wanted
    assert histogram.total == pytest.approx(sum(values))


def test_a_copy_of_a_histogram_stays_as_it_is() -> None:
    histogram = Histogram(1)
    taken = histogram.copy()
    histogram.observe(5)
    assert (taken.counts, taken.total) == ([0, 0], 0)


# -- reading and writing -----------------------------------------------------------------------------


def written(*taken: MeasureTaken) -> str:
    """Return the page of these, without what prometheus-client measures of the process."""

    async def one_page() -> bytes | None:
        asked = asyncio.get_running_loop().create_future()
        Pages(lambda: list(taken), lambda _: None).ask(asked.set_result)
        made: bytes | None = await asked
        return made

    made = asyncio.run(one_page())
    assert made is not None
    return made.decode()


def test_what_is_written_is_what_was_read() -> None:
    seconds = Histogram(0.5, 1)
    for value in (0.1, 0.5, 0.7, 3):
        seconds.observe(value)
    measures = [
        a_measure(name="bankrmi_x", kind="gauge", meaning="X", read=lambda _: 3),
        a_measure(name="bankrmi_nothing", kind="gauge", meaning="N", read=lambda _: None),
        a_measure(
            name="bankrmi_y_total", kind="counter", meaning="Y", read=lambda _: {"b": 2}, labels={"a": "bc"}
        ),
        a_measure(name="bankrmi_z_seconds", kind="histogram", meaning="Z", read=lambda _: seconds),
    ]
    lines = written(*read(measures, None)).splitlines()
    assert lines[: lines.index("# HELP process_virtual_memory_bytes Virtual memory size in bytes.")] == [
        "# HELP bankrmi_x X",
        "# TYPE bankrmi_x gauge",
        "bankrmi_x 3.0",
        "# HELP bankrmi_y_total Y",
        "# TYPE bankrmi_y_total counter",
        'bankrmi_y_total{a="b"} 2.0',
        "# HELP bankrmi_z_seconds Z",
        "# TYPE bankrmi_z_seconds histogram",
        'bankrmi_z_seconds_bucket{le="0.5"} 2.0',
        'bankrmi_z_seconds_bucket{le="1.0"} 3.0',
        'bankrmi_z_seconds_bucket{le="+Inf"} 4.0',
        "bankrmi_z_seconds_count 4.0",
        "bankrmi_z_seconds_sum 4.3",
    ]


@pytest.mark.parametrize("reading", [{"who knows": 1}, {("a", "b"): 1}, 1])
def test_a_reading_outside_of_its_labels_is_not_shown(reading: Any) -> None:
    measure = a_measure(
        name="bankrmi_x", kind="gauge", meaning="X", read=lambda _: reading, labels={"kind": ("a", "b")}
    )
    with pytest.raises(AssertionError, match="bankrmi_x has no series"):
        read([measure], None)


@pytest.mark.parametrize(
    ("name", "kind"), [("bankrmi_x", "counter"), ("bankrmi_x_total", "gauge"), ("x", "gauge")]
)
def test_a_name_that_is_against_the_conventions_is_refused(name: str, kind: Any) -> None:
    with pytest.raises(AssertionError):
        a_measure(name=name, kind=kind, meaning="X", read=lambda _: 1)


def test_however_many_ask_the_figures_are_read_a_few_times_a_second() -> None:
    """And whoever asks is shown nothing that was read before he asked."""
    readings: list[float] = []

    def take() -> list[MeasureTaken]:
        readings.append(perf_counter())
        return []

    async def one_after_the_other(pages: Pages, until_s: float) -> int:
        pages_seen = 0
        while perf_counter() < until_s:
            asked, asked_s = asyncio.get_running_loop().create_future(), perf_counter()
            pages.ask(asked.set_result)
            await asked
            assert readings[-1] >= asked_s
            pages_seen += 1
        return pages_seen

    async def scene() -> None:
        pages, began_s = Pages(take, lambda _: None), perf_counter()
        seen = await asyncio.gather(*(one_after_the_other(pages, began_s + 1) for _ in range(50)))
        assert min(seen) >= 1
        assert len(readings) <= (perf_counter() - began_s) / page.EVERY_S + 2

    asyncio.run(scene())


def test_the_loop_goes_round_while_a_page_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here each piece is taken for a long one, and so has a turn of its own."""
    monkeypatch.setattr(page, "PIECE_S", 0.0)
    measures = [
        a_measure(name=f"bankrmi_{'x' * length}", kind="gauge", meaning="X", read=lambda _: 1)
        for length in range(1, 21)
    ]

    async def scene() -> None:
        loop, turns = asyncio.get_running_loop(), 0
        asked = loop.create_future()

        def turn() -> None:
            nonlocal turns
            turns += 1
            if not asked.done():
                loop.call_soon(turn)

        Pages(lambda: read(measures, None), lambda _: None).ask(asked.set_result)
        turn()
        await asked
        assert turns > len(measures)

    asyncio.run(scene())


def test_a_figure_that_cannot_be_read_ends_nothing() -> None:
    def broken() -> list[MeasureTaken]:
        raise ZeroDivisionError

    async def scene() -> None:
        pages = Pages(broken, lambda _: None)
        for _ in range(2):
            asked = asyncio.get_running_loop().create_future()
            pages.ask(asked.set_result)
            assert await asked is None

    asyncio.run(scene())


# -- the measures that there are ---------------------------------------------------------------------


@pytest.mark.parametrize("process", ALL)
def test_there_are_not_many_series(process: str) -> None:
    """With three servers; each label has a handful of values, whatever anybody does."""
    counts = {measure.name: len(measure.series()) for measure in ALL[process]}
    assert (
        max(counts.values()) == len(OF_ACCOUNTS.kinds) * len(OF_ACCOUNTS.outcomes)
        if process == "server"
        else 20
    )
    assert sum(counts.values()) < 300


def test_every_value_of_a_label_is_explained_on_the_page_of_metrics() -> None:
    """But for those that are names of the configuration, or versions."""
    text = page_text("docs/reference/metrics.md")
    said = set(re.findall(r"`([a-z_]+)`", text))
    for measures in ALL.values():
        for measure in measures:
            for label, values in measure.labels.items():
                if label not in ("server", "service", "version", "protocol", "sqlite"):
                    assert set(values) <= said, (measure.name, label)


NAMES_IN_EXPRESSIONS = re.compile(r"\bbankrmi_[a-z_]+|\bprocess_[a-z_]+")


def names_of(measures: Iterable[Measure[Any]]) -> set[str]:
    names = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
    for measure in measures:
        ends = ("_bucket", "_count", "_sum") if measure.kind == "histogram" else ("",)
        names |= {measure.name + end for end in ends}
    return names


@pytest.mark.parametrize("file", ["docs/alerts.yaml", "docs/grafana.json"])
def test_rules_and_dashboard_ask_for_figures_that_there_are(file: str) -> None:
    there_are = names_of([measure for measures in ALL.values() for measure in measures])
    asked = set(NAMES_IN_EXPRESSIONS.findall((ROOT / file).read_text()))
    assert len(asked) > 10
    assert asked - there_are <= {measure.name for measure in ALL["server"]}  # In a description.
    if file.endswith("json"):
        panels = json.loads((ROOT / file).read_text())["panels"]
        expressions = " ".join(target["expr"] for panel in panels for target in panel["targets"])
        assert set(NAMES_IN_EXPRESSIONS.findall(expressions)) <= there_are


def test_labels_in_rules_and_dashboard_have_values_that_there_are() -> None:
    known: dict[str, set[str]] = {"severity": {"critical", "warning", "info"}}
    for measures in ALL.values():
        for measure in measures:
            for label, values in measure.labels.items():
                known.setdefault(label, set()).update(values)
    text = (ROOT / "docs/alerts.yaml").read_text() + (ROOT / "docs/grafana.json").read_text()
    compared = re.findall(r'([a-z]+)(?:=|=~|!=)\\?"([a-z_|]+)\\?"', text)
    assert len(compared) > 5
    for label, values in compared:
        assert set(values.split("|")) <= known[label], label


# -- what is counted ---------------------------------------------------------------------------------


def test_every_error_counts_as_one_of_the_outcomes() -> None:
    figures = RequestFigures()
    withdrawals = figures.of["withdraw"]
    withdrawals.failed(Busy("later"), 0.1)
    withdrawals.failed(OperationFailed("what a caller of the account never gets"))
    withdrawals.failed(BankError("nor this"))
    counts = figures.by_kind_and_outcome()
    assert counts["withdraw", "busy"] == 1
    assert counts["withdraw", ERROR] == 2
    assert sum(counts.values()) == 3
    assert sum(figures.seconds()["withdraw"].counts) == 1


def test_the_view_that_a_process_finds_is_no_change() -> None:
    server, witness, first = ViewChanges(), ViewChanges(), view_of("s1", "s2", epoch=1)
    server.learned(first)
    witness.changed_to(first)
    assert sum(server.counts().values()) == 0
    assert {cause: count for cause, count in witness.counts().items() if count} == {"unknown": 1}
    cause = Cause(kind=CauseKind.LEFT_BEHIND, by="s1", of=("s2",))
    server.learned(replace(first.without(frozenset({"s2"})), cause=cause))
    assert server.counts() == {cause: int(cause == "left_behind") for cause in CAUSES}


def test_a_page_can_be_read_by_prometheus_own_parser() -> None:
    measures = [
        a_measure(name="bankrmi_x_seconds", kind="histogram", meaning="X", read=lambda _: Histogram(0.001, 1))
    ]
    families = list(text_string_to_metric_families(written(*read(measures, None))))
    assert families[0].name == "bankrmi_x_seconds"
    assert {family.name for family in families} >= {"process_cpu_seconds", "python_info"}


def test_calls_of_several_services_are_told_apart() -> None:
    figures = {name: RequestFigures(OF_SERVICES) for name in ("stock", "orders")}
    figures["orders"].of["update"].counts["done"] = 3
    figures["stock"].of["update"].done(0.0)
    watched: Any = SimpleNamespace(requests=figures)
    names = ("bankrmi_requests_total", "bankrmi_request_seconds")
    several = of_server.measures_of("s1", SERVERS, "stock", requests=OF_SERVICES, services=tuple(figures))
    total, seconds = read([one for one in several if one.name in names], watched)
    assert total.labels == ("service", "kind", "outcome")
    assert total.figures["orders", "update", "done"] == 3
    assert total.figures["stock", "update", "done"] == 1
    assert seconds.labels == ("service", "kind")
    alone = of_server.measures_of("s1", SERVERS, "stock", requests=OF_SERVICES, services=("stock",))
    watched.requests = {"stock": figures["stock"]}
    [total, _] = read([one for one in alone if one.name in names], watched)
    assert (total.labels, total.figures["update", "done"]) == (("kind", "outcome"), 1), "as it always was"


def test_runs_of_methods_are_told_apart_in_a_closed_set() -> None:
    """Methods of two services of one name, and what no class has any more."""
    both = ServedServices(described(Odd), {"errands": described(Errands)}, home_name="odd")
    methods = MethodFigures(both)
    for method, took_s in (("get", 0.5), ("errands.get", 0.25), ("errands.get", 0.25), ("gone", 1.0)):
        methods.ran(method, took_s)
    of_several = [
        one
        for one in of_server.measures_of("s1", SERVERS, "odd", requests=OF_SERVICES, methods=methods)
        if one.name.startswith("bankrmi_method_")
    ]
    watched: Any = SimpleNamespace(methods=methods)
    runs, seconds = read(of_several, watched)
    assert runs.labels == seconds.labels == ("service", "method")
    assert (runs.figures["odd", "get"], seconds.figures["odd", "get"]) == (1, 0.5)
    assert (runs.figures["errands", "get"], seconds.figures["errands", "get"]) == (2, 0.5)
    assert runs.figures[OTHER, OTHER] == 1
    assert runs.figures["errands", "fetch"] == 0
    alone = MethodFigures(ServedServices(described(Odd), home_name="odd"))
    alone.ran("get", 0.5)
    assert (alone.runs()[("get",)], set(alone.labels)) == (1, {"method"})


def test_methods_that_are_told_apart_have_a_bound() -> None:
    methods = {f"m{number}": bankrmi.query(lambda self: None) for number in range(METHODS_AT_MOST + 100)}
    many = MethodFigures(ServedServices.of(described(type("Many", (bankrmi.Service,), methods))))
    for name in methods:
        many.ran(name, 0.0)
    assert len(many.runs()) == METHODS_AT_MOST + 1
    assert many.runs()[(OTHER,)] == 100
