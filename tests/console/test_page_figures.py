"""What the page reckons for itself: models, periods put together, failovers, faults, what went on meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

import pytest

from bankrmi.console.bundle import bundle
from tests.console.browsers import in_chromium, started

pytestmark = in_chromium

Reckons = Callable[..., Any]

ENTRY = """
import {Model} from "./model.js";
import {closerLooks, failoversOf, faultsByKind, faultsInWords, feltFailovers, goingOn, silencesOf, somebodyLed, spreads} from "./figures.js";
import {between, operations, placeOf, together} from "./rates.js";
import {countFrom, duration, exactTime, faultNoun, inWords, ticks} from "./wording.js";
const model = (events, whole = true) => { const made = new Model({whole}); for (const event of events) made.take({...event}); return made; };
window.tested = {model, closerLooks, failoversOf, faultsByKind, faultsInWords, feltFailovers, goingOn, silencesOf, somebodyLed, spreads,
  between, operations, placeOf, together, countFrom, duration, exactTime, faultNoun, inWords, ticks};
"""


@pytest.fixture(scope="module")
def reckons() -> Iterator[Reckons]:
    """Return a function that evaluates JavaScript in a page with the modules, with values as `given`."""
    page = files("bankrmi.console").joinpath("page")
    modules = {path.name: path.read_text() for path in page.iterdir() if path.name.endswith(".js")}
    script = bundle("tested.js", {**modules, "tested.js": ENTRY})
    with started() as browser:
        opened = browser.new_page()
        opened.set_content("<!doctype html><title>modules</title>")
        opened.add_script_tag(content=script)
        yield lambda expression, *given: opened.evaluate(
            f"given => {{ const t = window.tested; return {expression}; }}", list(given)
        )


def hello(**more: Any) -> dict[str, Any]:
    return {
        "t": 0,
        "kind": "hello",
        "told_by": "chaos",
        "servers": {"s1": "", "s2": ""},
        "keeper": "witness",
        **more,
    }


def state(t: float, *roles: str, **more: Any) -> dict[str, Any]:
    servers = [
        {"name": f"s{number}", "reachable": role != "gone", "process": "gone" if role == "gone" else "running",
         **({} if role == "gone" else {"role": role})}
        for number, role in enumerate(roles, 1)
    ]  # fmt: skip
    return {
        "t": t,
        "kind": "state",
        "view": None,
        "keeper": {"reachable": True, "name": "witness"},
        "servers": servers,
        **more,
    }


def view(t: float, epoch: int, primary: str, **more: Any) -> dict[str, Any]:
    return {"t": t, "kind": "view", "history": "h", "epoch": epoch, "primary": primary, "in_sync": [primary],
            "why": "", "cause_kind": "crash", "changed_ms": t, **more}  # fmt: skip


def rate(from_ms: float, t: float, done: int, median: float | None = None, **more: Any) -> dict[str, Any]:
    return {"t": t, "kind": "rate", "from_ms": from_ms, "calls": done, "done": done, "declined": 0, "failed": 0,
            "in_doubt": 0, **({} if median is None else {"median_us": median, "p99_us": median * 2, "slowest_us": median * 3}),
            **more}  # fmt: skip


def fault(
    number: int, what: str, whom: str, from_ms: float, until_ms: float | None, **more: Any
) -> dict[str, Any]:
    return {"t": from_ms, "kind": "fault", "id": number, "what": what, "whom": whom, "words": f"{whom} {what}",
            "since_ms": from_ms, "until_ms": until_ms, **more}  # fmt: skip


def failover(since: float, took: float, cause: str = "kill", epoch: int = 2) -> dict[str, Any]:
    return {"t": since + took, "kind": "failover", "cause": cause, "since_ms": since, "took_ms": took,
            "old": "s1", "new": "s2", "epoch": epoch}  # fmt: skip


def test_lanes_are_spans_without_gaps(reckons: Reckons) -> None:
    events = [
        hello(),
        state(1, "primary", "starting"),
        state(2, "primary", "starting"),
        state(5, "gone", "primary"),
    ]
    lanes = reckons(
        "[...t.model(given[0]).lanes].map(([name, spans]) => [name, spans.map(s => [s.standing, s.from, s.until])])",
        events,
    )
    assert lanes == [
        ["s1", [["primary", 1, 5], ["gone", 5, None]]],
        ["s2", [["starting", 1, 5], ["primary", 5, None]]],
    ]


def test_periods_put_together_lose_no_call(reckons: Reckons) -> None:
    rates = [rate(at, at + 100, done=1 + at // 100 % 7, median=1000 + at) for at in range(0, 100_000, 100)]
    merged = reckons("t.between(given[0], 0, 100000, 200)", rates)
    assert len(merged) <= 220
    assert sum(one["done"] for one in merged) == sum(one["done"] for one in rates)
    assert merged[-1]["slowest_us"] == rates[-1]["slowest_us"]
    few = reckons("t.between(given[0], 2000, 2500, 200)", rates)
    assert few == rates[19:25], "who looks closely sees each period as it was told"
    shifted = reckons("t.between(given[0], 300, 100000, 200)", rates)
    assert shifted[10] in merged, "where a period begins does not depend on what is shown"


def test_a_median_of_medians_has_the_weight_of_its_calls(reckons: Reckons) -> None:
    told = reckons(
        "t.together(given[0])", [rate(0, 1, 1, 10), rate(1, 2, 98, 50), rate(2, 3, 1, 90), rate(3, 4, 0)]
    )
    assert (told["median_us"], told["p99_us"], told["slowest_us"], told["calls"]) == (50, 180, 270, 100)


def test_failovers_are_those_told_or_else_the_changes_of_who_leads(reckons: Reckons) -> None:
    told = [hello(), view(10, 1, "s1"), view(50, 2, "s2"), failover(40, 12.5)]
    assert reckons("t.failoversOf(t.model(given[0])).map(f => [f.cause, f.took_ms])", told) == [
        ["kill", 12.5]
    ]
    live = [
        hello(told_by="console"), view(5, 1, "s1", before=True), view(6, 2, "s2", before=True), view(10, 3, "s1"),
        view(20, 4, "s1"), view(30, 5, "s2"), view(30, 5, "s2", took_ms=8, before=False),
    ]  # fmt: skip
    found = reckons("t.failoversOf(t.model(given[0])).map(f => [f.old, f.new, f.took_ms, f.since_ms])", live)
    assert found == [["s2", "s1", None, 10], ["s1", "s2", 8, 22]]
    assert len(reckons("t.feltFailovers(t.model(given[0]))", live)) == 1


def test_failover_times_are_told_by_cause_the_most_frequent_first(reckons: Reckons) -> None:
    given = [failover(0, 30, "cut"), *(failover(0, took) for took in (9, 4, 7, 50))]
    assert reckons("t.spreads(given[0])", given) == [
        {"cause": "kill", "took": [4, 7, 9, 50]}, {"cause": "cut", "took": [30]},
    ]  # fmt: skip


def test_a_typical_failover_the_slowest_and_the_longest_silences_are_shown_closer_and_none_twice(
    reckons: Reckons,
) -> None:
    failovers = [failover(1_000, 30), failover(30_000, 40), failover(60_000, 900), failover(60_950, 800)]
    quiet = [(60_000, 890), (80_000, 300), (90_000, 5000), (98_500, 400)]
    silences = [{"t": at + length, "kind": "silence", "from_ms": at} for at, length in quiet]
    events = [hello(), *failovers, *silences, {"t": 100_000, "kind": "verdict"}]
    looks = reckons(
        "t.closerLooks(t.model(given[0]), {count: 4, failovers: 2}).map(l => [l.why, l.of, l.from, l.until])",
        events,
    )
    assert looks == [
        ["A typical failover", [30_000, 30_040], 28_000, 32_040],
        ["The slowest failover", [60_000, 60_900], 58_000, 62_900],
        ["The longest silence", [90_000, 95_000], 88_000, 97_000],
        ["The third longest silence", [98_500, 98_900], 96_500, 100_000],
    ]
    more = reckons(
        "t.closerLooks(t.model(given[0]), {count: 9, failovers: 9}).map(l => l.why)",
        [hello(), *failovers, {"t": 1e5, "kind": "verdict"}],
    )
    assert more[2:] == ["Number 4 of the slowest failovers"]
    assert reckons("t.closerLooks(t.model(given[0]), {count: 6, failovers: 4})", [hello()]) == []


def test_somebody_led_only_if_there_was_a_primary_all_the_time(reckons: Reckons) -> None:
    events = [
        hello(),
        state(0, "primary", "standby"),
        state(300, "gone", "standby"),
        state(400, "gone", "primary"),
    ]
    asked = {
        (0, 300): True,
        (50, 250): True,
        (50, 301): False,
        (299, 401): False,
        (450, 9_000): True,
        (-50, 100): True,
    }
    for (from_ms, until_ms), said in asked.items():
        assert (
            reckons("t.somebodyLed(t.model(given[0]), given[1], given[2])", events, from_ms, until_ms) is said
        )


def test_what_was_going_on_overlaps_with_the_call(reckons: Reckons) -> None:
    events = [
        hello(), state(0, "primary", "standby"), fault(1, "pause", "s1", 0, 99), fault(2, "pause", "s2", 90, 100),
        fault(3, "pause", "s1", 200, 300), fault(4, "pause", "s1", 301, None), failover(150, 20),
    ]  # fmt: skip
    said = reckons("t.goingOn(t.model(given[0]), 100, 300)", events)
    assert said == "s2 pause; s1 pause; s2 took the lead (epoch 2)"
    assert reckons("t.goingOn(t.model(given[0]), 180, 190)", events) == "no fault"


def test_faults_are_counted_by_whom_they_hit_and_parts_are_not(reckons: Reckons) -> None:
    events = [
        hello(clients=["c1"]), state(0, "primary", "standby"),
        fault(1, "cut", "s1", 1, 2, toward="s2"), fault(2, "cut", "s1", 1, 2, toward="c1", part_of=1),
        fault(3, "kill", "s1", 3, 4, was="primary"), fault(4, "kill", "witness", 5, 6), fault(5, "kill", "c1", 7, 8),
        fault(6, "kill", "s2", 9, 9), fault(7, "rush", "all servers", 9, 9), fault(8, "constructor", "s1", 9, 9),
    ]  # fmt: skip
    table = reckons(
        "(({whom, rows}) => [whom, rows.map(r => [r.kind, Object.fromEntries(r.counts), r.total])])(t.faultsByKind(t.model(given[0])))",
        events,
    )
    assert table == [
        ["primary", "a server", "the witness", "a client", "a link", "the bank"],
        [
            ["kill", {"primary": 1, "the witness": 1, "a client": 1, "a server": 1}, 4],
            ["cut", {"a link": 1}, 1],
            ["rush", {"the bank": 1}, 1],
            ["constructor", {"a server": 1}, 1],
        ],
    ]
    assert reckons("t.faultsInWords(t.model(given[0]))", events).startswith(
        "7 faults: 4 kills, 1 cut, 1 rush of own clients"
    )


def test_a_live_model_keeps_no_more_than_it_may_and_a_recording_keeps_all(reckons: Reckons) -> None:
    script = "((m) => { for (let at = 0; at < 20000; at++) m.take({t: at, kind: given[0], id: at, since_ms: at, from_ms: at, took_us: at}); return Math.max(m.rates.length, m.faults.length, m.calls.length, m.slowest.length); })"
    for kind in ("rate", "fault", "call"):
        assert reckons(f"{script}(t.model([], false))", kind) < 6_000
    assert reckons(f"{script}(t.model([], true))", "rate") == 20_000


def test_an_event_of_a_kind_that_is_not_known_is_left_alone(reckons: Reckons) -> None:
    assert reckons("t.model(given[0]).newest", [hello(), {"t": 5, "kind": "of a newer version"}]) == 5


def test_times_and_lengths_are_said_as_people_say_them(reckons: Reckons) -> None:
    said = reckons(
        "given.map(ms => t.duration(ms))",
        0.47,
        6.3,
        47.21,
        257,
        999.6,
        1204,
        12_040,
        119_000,
        120_000,
        1_801_000,
    )
    assert said == [
        "470 µs",
        "6.3 ms",
        "47.2 ms",
        "257 ms",
        "1000 ms",
        "1.2 s",
        "12 s",
        "119 s",
        "2 min",
        "30 min 1 s",
    ]
    counted = reckons(
        "(t.countFrom(given[0]), [given[0] + 59960, given[0] + 751460, given[0] - 500].map(ms => t.exactTime(ms, 1)))",
        1_796_009_571_968,
    )
    assert counted == ["1:00.0", "12:31.5", "−0:00.5"]
    ticks = reckons("t.ticks(given[0], given[0] + 3000, 1000).map(([, words]) => words)", 1_796_009_571_968)
    assert ticks == ["0:00", "0:01", "0:02", "0:03"]
    assert reckons("(t.countFrom(null), t.ticks(0, 9e15, 1).length)") == 100, (
        "whatever was recorded, a picture has an end"
    )


def test_words_of_others_never_lead_to_what_every_object_has(reckons: Reckons) -> None:
    assert reckons("[t.inWords('constructor'), t.faultNoun('toString'), t.inWords('__proto__')]") == [
        "constructor",
        "toString",
        "__proto__",
    ]
    assert json.dumps(reckons("t.inWords(undefined) ?? null")) == "null"
