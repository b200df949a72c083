"""What the page reckons for itself: models, sums of periods, failovers, faults, what went on meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from bankrmi.console.bundle import bundle
from tests.console.browsers import in_chromium, started

pytestmark = in_chromium

Reckons = Callable[..., Any]
ENTRY = Path(__file__).with_name("reckons.js")


@pytest.fixture(scope="module")
def reckons() -> Iterator[Reckons]:
    """Return a function that has the page reckon something (`reckons.js`) from plain values."""
    page = files("bankrmi.console").joinpath("page")
    modules = {path.name: path.read_text() for path in page.iterdir() if path.name.endswith(".js")}
    script = bundle(ENTRY.name, {**modules, ENTRY.name: ENTRY.read_text()})
    with started() as browser:
        opened = browser.new_page()
        opened.set_content("<!doctype html><title>modules</title>")
        opened.add_script_tag(content=script)
        yield lambda what, *given: opened.evaluate(
            "([what, given]) => window.reckons[what](...given)", [what, list(given)]
        )


def hello(**more: Any) -> dict[str, Any]:
    plain = {"told_by": "chaos", "servers": {"s1": "", "s2": ""}, "keeper": "witness"}
    return {"t": 0, "kind": "hello", **plain, **more}


def state(t: float, *roles: str) -> dict[str, Any]:
    gone = {"reachable": False, "process": "gone"}
    servers = [
        {
            "name": f"s{number}",
            **(gone if role == "gone" else {"reachable": True, "process": "running", "role": role}),
        }
        for number, role in enumerate(roles, 1)
    ]
    keeper = {"reachable": True, "name": "witness"}
    return {"t": t, "kind": "state", "view": None, "keeper": keeper, "servers": servers}


def view(t: float, epoch: int, primary: str, **more: Any) -> dict[str, Any]:
    plain = {"history": "h", "in_sync": [primary], "why": "", "cause_kind": "crash", "changed_ms": t}
    return {"t": t, "kind": "view", "epoch": epoch, "primary": primary, **plain, **more}


def rate(from_ms: float, t: float, done: int, median: float | None = None) -> dict[str, Any]:
    plain = {"calls": done, "done": done, "declined": 0, "failed": 0, "in_doubt": 0}
    took = {} if median is None else {"median_us": median, "p99_us": median * 2, "slowest_us": median * 3}
    return {"t": t, "kind": "rate", "from_ms": from_ms, **plain, **took}


def fault(
    number: int, what: str, whom: str, since: float, until: float | None, **more: Any
) -> dict[str, Any]:
    plain = {"words": f"{whom} {what}", "since_ms": since, "until_ms": until}
    return {"t": since, "kind": "fault", "id": number, "what": what, "whom": whom, **plain, **more}


def failover(since: float, took: float, cause: str = "kill") -> dict[str, Any]:
    plain = {"old": "s1", "new": "s2", "epoch": 2}
    return {
        "t": since + took, "kind": "failover", "cause": cause, "since_ms": since, "took_ms": took, **plain
    }  # fmt: skip


def end(t: float) -> dict[str, Any]:
    return {"t": t, "kind": "note"}


def test_lanes_are_spans_without_gaps(reckons: Reckons) -> None:
    events = [
        hello(), state(1, "primary", "starting"), state(2, "primary", "starting"), state(5, "gone", "primary")
    ]  # fmt: skip
    assert reckons("lanes", events) == [
        ["s1", [["primary", 1, 5], ["gone", 5, None]]],
        ["s2", [["starting", 1, 5], ["primary", 5, None]]],
    ]


def test_periods_put_together_lose_no_call(reckons: Reckons) -> None:
    rates = [rate(at, at + 100, done=1 + at // 100 % 7, median=1000 + at) for at in range(0, 20_000, 100)]
    merged = reckons("between", rates, 0, 20_000, 40)
    assert len(merged) <= 44
    assert sum(one["done"] for one in merged) == sum(one["done"] for one in rates)
    assert merged[-1]["slowest_us"] == rates[-1]["slowest_us"]
    few = reckons("between", rates, 2_000, 2_500, 40)
    assert few == rates[19:25], "who looks closely sees each period as it was told"
    shifted = reckons("between", rates, 300, 20_000, 40)
    assert shifted[10] in merged, "where a period begins does not depend on what is shown"


def test_a_median_of_medians_has_the_weight_of_its_calls(reckons: Reckons) -> None:
    rates = [rate(0, 1, 1, 10), rate(1, 2, 98, 50), rate(2, 3, 1, 90), rate(3, 4, 0)]
    told = reckons("together", rates)
    assert (told["median_us"], told["p99_us"], told["slowest_us"], told["calls"]) == (50, 180, 270, 100)


def test_failovers_are_those_told_or_else_the_changes_of_who_leads(reckons: Reckons) -> None:
    told = [hello(), view(10, 1, "s1"), view(50, 2, "s2"), failover(40, 12.5)]
    assert reckons("failovers", told) == [["s1", "s2", 12.5, 40]]
    live = [
        hello(told_by="console"),
        *(view(5, 1, "s1", before=True), view(6, 2, "s2", before=True)),
        *(view(10, 3, "s1"), view(20, 4, "s1"), view(30, 5, "s2")),
        view(30, 5, "s2", took_ms=8, silent_since_ms=25, before=False),
    ]
    assert reckons("failovers", live) == [["s2", "s1", None, 10], ["s1", "s2", 8, 25]]
    assert reckons("felt", live) == 1


def test_failover_times_are_told_by_cause_the_most_frequent_first(reckons: Reckons) -> None:
    given = [failover(0, 30, "cut"), *(failover(0, took) for took in (9, 4, 7, 50))]
    assert reckons("spreads", given) == [
        {"cause": "kill", "took": [4, 7, 9, 50]},
        {"cause": "cut", "took": [30]},
    ]


def test_typical_and_slowest_failovers_and_longest_silences_are_shown_closer_and_none_twice(
    reckons: Reckons,
) -> None:
    failovers = [failover(1_000, 30), failover(30_000, 40), failover(60_000, 900), failover(60_950, 800)]
    quiet = [(60_000, 890), (80_000, 300), (90_000, 5000), (98_500, 400)]
    silences = [{"t": at + length, "kind": "silence", "from_ms": at} for at, length in quiet]
    events = [hello(), *failovers, *silences, end(100_000)]
    assert reckons("looks", events, {"count": 4, "failovers": 2}) == [
        ["A typical failover", [30_000, 30_040], 28_000, 32_040],
        ["The slowest failover", [60_000, 60_900], 58_000, 62_900],
        ["The longest silence", [90_000, 95_000], 88_000, 97_000],
        ["The third longest silence", [98_500, 98_900], 96_500, 100_000],
    ]
    more = reckons("looks", [hello(), *failovers, end(100_000)], {"count": 9, "failovers": 9})
    assert [why for why, *_ in more][2:] == ["Number 4 of the slowest failovers"]
    assert reckons("looks", [hello()], {"count": 6, "failovers": 4}) == []


def test_somebody_led_only_if_there_was_a_primary_all_the_time(reckons: Reckons) -> None:
    events = [hello(), state(0, "primary", "standby"), state(300, "gone", "standby")]
    events.append(state(400, "gone", "primary"))
    asked = {(0, 300): True, (50, 250): True, (50, 301): False, (299, 401): False, (450, 9_000): True}
    for (from_ms, until_ms), said in {**asked, (-50, 100): True}.items():
        assert reckons("somebodyLed", events, from_ms, until_ms) is said


def test_what_was_going_on_overlaps_with_the_call(reckons: Reckons) -> None:
    events = [
        *(hello(), state(0, "primary", "standby")),
        *(fault(1, "pause", "s1", 0, 99), fault(2, "pause", "s2", 90, 100)),
        *(fault(3, "pause", "s1", 200, 300), fault(4, "pause", "s1", 301, None)),
        failover(150, 20),
    ]
    assert reckons("goingOn", events, 100, 300) == "s2 pause; s1 pause; s2 took the lead (epoch 2)"
    assert reckons("goingOn", events, 180, 190) == "no fault"


def test_faults_are_counted_by_whom_they_hit_and_parts_are_not(reckons: Reckons) -> None:
    events = [
        *(hello(clients=["c1"]), state(0, "primary", "standby")),
        *(fault(1, "cut", "s1", 1, 2, toward="s2"), fault(2, "cut", "s1", 1, 2, toward="c1", part_of=1)),
        *(fault(3, "kill", "s1", 3, 4, was="primary"), fault(4, "kill", "witness", 5, 6)),
        *(fault(5, "kill", "c1", 7, 8), fault(6, "kill", "s2", 9, 9)),
        *(fault(7, "rush", "all servers", 9, 9), fault(8, "constructor", "s1", 9, 9)),
    ]
    assert reckons("faultTable", events) == [
        ["primary", "a server", "the witness", "a client", "a link", "the bank"],
        [
            ["kill", {"primary": 1, "the witness": 1, "a client": 1, "a server": 1}, 4],
            ["cut", {"a link": 1}, 1],
            ["rush", {"the bank": 1}, 1],
            ["constructor", {"a server": 1}, 1],
        ],
    ]
    words = reckons("faultsInWords", events)
    assert words.startswith("7 faults: 4 kills, 1 cut, 1 rush of own clients")


def test_a_live_model_keeps_no_more_than_it_may_and_a_recording_keeps_all(reckons: Reckons) -> None:
    for kind in ("rate", "fault", "call"):
        assert reckons("kept", kind, 20_000, False) < 6_000
    assert reckons("kept", "rate", 20_000, True) == 20_000


def test_an_event_of_a_kind_that_is_not_known_is_left_alone(reckons: Reckons) -> None:
    assert reckons("newest", [hello(), {"t": 5, "kind": "of a newer version"}]) == 5


def test_times_and_lengths_are_said_as_people_say_them(reckons: Reckons) -> None:
    said = {0.47: "470 µs", 6.3: "6.3 ms", 47.21: "47.2 ms", 257: "257 ms", 1204: "1.2 s", 12_040: "12 s"}
    said |= {119_000: "119 s", 120_000: "2 min", 1_801_000: "30 min 1 s"}
    for ms, words in said.items():
        assert reckons("duration", ms) == words
    begun = 1_796_009_571_968
    instants = [begun + 59_960, begun + 751_460, begun - 500]
    assert reckons("instants", begun, instants, 1) == ["1:00.0", "12:31.5", "−0:00.5"]
    assert reckons("ticks", begun, begun, begun + 3_000, 1_000) == ["0:00", "0:01", "0:02", "0:03"]
    assert len(reckons("ticks", None, 0, 9e15, 1)) == 100, "whatever was recorded, a picture has an end"


def test_words_of_others_never_lead_to_what_every_object_has(reckons: Reckons) -> None:
    assert [reckons("inWords", word) for word in ("constructor", "__proto__")] == ["constructor", "__proto__"]
    assert reckons("faultNoun", "toString") == "toString"
