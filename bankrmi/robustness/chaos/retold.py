"""A finished run as events, for a recording: what was found at its end, told as if one had looked on.

Rule 1: what processes were is told as states, at the instants at which anything changed; who cannot be asked
        while he stands still keeps the role that he had.
Rule 2: how much there is grows with the length of the run and the number of faults, not with the calls: rates
        in sums, and single calls around failovers and silences only, thinned, the slow ones first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from bankrmi.console.events import (
    FORMAT,
    SENTENCES_AT_MOST,
    AnyEvent,
    FailoverEvent,
    FaultEvent,
    HelloEvent,
    RateEvent,
    RunEvent,
    SampleEvent,
    SilenceEvent,
    event_of,
)
from bankrmi.console.hello import told_services
from bankrmi.console.watching import told_of
from bankrmi.replication.view import View
from bankrmi.robustness.chaos.figures import (
    SECOND_NS,
    Bin,
    answered_calls,
    answered_operations,
    at_percent,
    binned,
    closer_looks,
    in_doubt_calls,
    latencies,
    silences,
    thinned,
    with_wholes,
)
from bankrmi.robustness.chaos.recorded import (
    Fault,
    FaultKind,
    OutcomeKind,
    ProcessKind,
    ProcessRole,
    Recorded,
    RoleSpan,
)
from bankrmi.robustness.chaos.wording import fault_sentence, verdict_words

__all__ = ["events_of"]

SILENCE_NS = 250_000_000
_AROUND_NS = 2 * SECOND_NS
_SAMPLE_NS = 5 * SECOND_NS
_SAMPLED, _SAMPLED_IN_ALL, _SAMPLED_AT_LEAST = 1_500, 150_000, 150
_WIDTHS_MS = (100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)
_MOST_BINS = 9_000
_LETTERS = {
    OutcomeKind.DONE: "d",
    OutcomeKind.DECLINED: "n",
    OutcomeKind.REFUSED: "r",
    OutcomeKind.IN_DOUBT: "i",
}
_OUTCOMES = {
    OutcomeKind.DONE: "done",
    OutcomeKind.DECLINED: "declined",
    OutcomeKind.REFUSED: "refused",
    OutcomeKind.IN_DOUBT: "in_doubt",
}


def events_of(recorded: Recorded) -> list[AnyEvent]:
    """Return the run as events, in their order; the verdict is the last."""
    told = _Told(recorded)
    happened = [
        *told.states(),
        *told.views(),
        *told.rates(),
        *told.slowest(),
        *told.quiet(),
        *told.samples(),
        *told.faults(),
        *told.failovers(),
        *recorded.usage,
    ]
    return [told.hello(), told.run(), *sorted(happened, key=lambda event: event.t), told.verdict()]


class _Told:
    """One run, and how its instants are told."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded
        self._silences = silences(recorded.calls, SILENCE_NS)
        kinds = {process.name: process.kind for process in recorded.processes}
        self._servers = [name for name, kind in kinds.items() if kind is ProcessKind.SERVER]
        self._keepers = [name for name, kind in kinds.items() if kind is ProcessKind.WITNESS]
        self._clients = [name for name, kind in kinds.items() if kind is ProcessKind.CLIENT]

    def _ms(self, at_ns: int) -> float:
        """Return an instant as events have it."""
        return round(self._recorded.started_unix * 1000 + (at_ns - self._recorded.started_ns) / 1e6, 3)

    def _ns(self, at_ms: float) -> int:
        return self._recorded.started_ns + round((at_ms - self._recorded.started_unix * 1000) * 1e6)

    # -- the run -----------------------------------------------------------------------------------

    def hello(self) -> AnyEvent:
        recorded = self._recorded
        services = told_services(dict(recorded.services))
        service, served = next(iter(services.items()), ("account", None))
        return HelloEvent(
            t=self._ms(recorded.started_ns),
            format=FORMAT,
            version=recorded.version,
            service=service,
            serves=served,
            services=services,
            servers=dict.fromkeys(self._servers, ""),
            keeper="witness" if len(self._keepers) < 2 else "etcd",
            told_by="chaos",
            clients=self._clients,
        )

    def run(self) -> AnyEvent:
        recorded = self._recorded
        return RunEvent(
            t=self._ms(recorded.started_ns),
            seed=recorded.seed,
            command=recorded.command,
            cuts_by=recorded.environment.cuts_by,
            files=list(recorded.files),
            facts=list(recorded.environment.facts),
        )

    def verdict(self) -> AnyEvent:
        recorded, calls = self._recorded, self._recorded.calls
        answered, took_ns = answered_operations(calls), latencies(calls)
        words, told = verdict_words(recorded, answered), recorded.violations[:SENTENCES_AT_MOST]
        tone = "bad" if recorded.violations else "good" if answered and recorded.checked else "empty"
        figures = {"median_us": 50, "p99_us": 99} if took_ns else {}
        return event_of(
            "verdict",
            self._ms(recorded.ended_ns),
            {
                "tone": tone,
                "words": words[0].upper() + words[1:],
                "violations": list(told),
                "untold": recorded.violation_count - len(told),
                "checked": list(recorded.checked),
                "notes": list(recorded.notes),
                "counts": list(recorded.counts),
                "calls": len(calls),
                "answered": answered_calls(calls),
                "operations": answered,
                "in_doubt": in_doubt_calls(calls),
                **{name: at_percent(took_ns, percent) / 1000 for name, percent in figures.items()},
            },
        )

    # -- what processes were -----------------------------------------------------------------------

    def states(self) -> Iterator[AnyEvent]:
        """Yield how all was, each time that it has changed."""
        recorded = self._recorded
        spans = {name: _Spans(recorded.roles, name) for name in (*self._servers, *self._keepers)}
        pauses = [fault for fault in recorded.faults if fault.kind is FaultKind.PAUSE and not fault.toward]
        cuts = [fault for fault in recorded.faults if fault.kind is FaultKind.CUT and fault.toward]
        views = [(self._ns(view.written_us / 1000), view) for view in recorded.views if view.written_us]
        instants = {recorded.started_ns, *(at_ns for at_ns, _ in views)}
        instants |= {span.from_ns for one in spans.values() for span in one.spans}
        instants |= {at_ns for fault in (*pauses, *cuts) for at_ns in (fault.from_ns, fault.to_ns)}
        told: dict[str, Any] = {}
        for at_ns in sorted(
            instant for instant in instants if recorded.started_ns <= instant < recorded.ended_ns
        ):
            paused = {fault.target for fault in pauses if fault.from_ns <= at_ns < fault.to_ns}
            cut = {pair for fault in cuts if fault.from_ns <= at_ns < fault.to_ns for pair in _pairs(fault)}
            view = next((view for since_ns, view in reversed(views) if since_ns <= at_ns), None)
            state = self._state({name: one.at(at_ns) for name, one in spans.items()}, paused, cut, view)
            if state != told:
                told = state
                yield event_of("state", self._ms(at_ns), state)

    def _state(
        self,
        was: dict[str, RoleSpan | None],
        paused: set[str],
        cut: set[tuple[str, str]],
        view: View | None,
    ) -> dict[str, Any]:
        in_sync = sorted(view.in_sync) if view is not None else []
        keepers = [_process(name, was[name], name in paused) for name in self._keepers]
        nameserver, *members = keepers or [{"name": "witness", "reachable": False, "process": "unknown"}]
        answering = any(one["reachable"] for one in members) if members else nameserver["reachable"]
        keeper = {"name": "etcd", "reachable": answering, "members": members} if members else nameserver
        return {
            "view": None
            if view is None
            else {"history": view.history, "epoch": view.epoch, "primary": view.primary, "in_sync": in_sync},
            "keeper": keeper,
            "nameserver": nameserver,
            "cut": sorted((one, other) for one, other in cut if one in was and other in was),
            "servers": [
                {
                    **_server(name, was[name], name in paused),
                    "in_sync": name in in_sync,
                    "connected": [
                        other for other in self._servers if other != name and (name, other) not in cut
                    ],
                }
                for name in self._servers
            ],
        }

    def views(self) -> Iterator[AnyEvent]:
        led = None
        for view in self._recorded.views:
            if view.written_us is not None:
                told = told_of(view, was_before=False, takes_time=led is not None and view.primary != led)
                yield event_of("view", view.written_us / 1000, told)
            led = view.primary

    # -- what clients saw --------------------------------------------------------------------------

    def rates(self) -> Iterator[AnyEvent]:
        recorded = self._recorded
        length_ms = (recorded.ended_ns - recorded.started_ns) / 1e6
        width_ms = next((width for width in _WIDTHS_MS if length_ms / width <= _MOST_BINS), _WIDTHS_MS[-1])
        bins = binned(recorded.calls, recorded.started_ns, recorded.ended_ns, width_ms * 1_000_000)
        yield from (self._rate(one) for one in bins if one.calls)

    def _rate(self, one: Bin) -> AnyEvent:
        done, declined, refused, in_doubt = one.outcomes
        figures = {"median_us": one.median_ns, "p99_us": one.p99_ns, "slowest_us": one.longest_ns}
        told: dict[str, Any] = {name: ns // 1000 for name, ns in figures.items()} if done + declined else {}
        return RateEvent(
            t=self._ms(one.to_ns),
            from_ms=self._ms(one.from_ns),
            calls=one.calls,
            done=done,
            declined=declined,
            failed=refused,
            in_doubt=in_doubt,
            operations=one.operations,
            **told,
        )

    def slowest(self) -> Iterator[AnyEvent]:
        for call in self._recorded.calls.slowest:
            told = {
                "client": call.client,
                "request_id": call.request,
                "what": call.kind,
                "operations": call.operations,
                "outcome": _OUTCOMES[call.outcome],
                "took_us": call.latency_ns / 1000,
            }
            yield event_of("call", self._ms(call.completed_ns), told)

    def quiet(self) -> Iterator[AnyEvent]:
        for silence in self._silences:
            yield SilenceEvent(t=self._ms(silence.to_ns), from_ms=self._ms(silence.from_ns))

    def samples(self) -> Iterator[AnyEvent]:
        """Yield single calls around all that is worth a closer look."""
        recorded = self._recorded
        looks = closer_looks(
            recorded.failovers,
            self._silences,
            start_ns=recorded.started_ns,
            end_ns=recorded.ended_ns,
            around_ns=_AROUND_NS,
        )
        parts = [
            (at_ns, min(at_ns + _SAMPLE_NS, to_ns))
            for from_ns, to_ns in looks
            for at_ns in range(from_ns, to_ns, _SAMPLE_NS)
        ]
        most = max(_SAMPLED_AT_LEAST, min(_SAMPLED, _SAMPLED_IN_ALL // max(1, len(parts))))
        yield from (self._sample(from_ns, to_ns, most) for from_ns, to_ns in parts)

    def _sample(self, from_ns: int, to_ns: int, most: int) -> AnyEvent:
        calls, outcomes = self._recorded.calls, tuple(OutcomeKind)
        places, in_all = thinned(calls, from_ns, to_ns, most)
        return SampleEvent(
            t=self._ms(to_ns),
            from_ms=self._ms(from_ns),
            ended_ms=[round((calls.completed_ns[place] - from_ns) / 1e6, 1) for place in places],
            took_us=[calls.latency_ns[place] // 1000 for place in places],
            outcomes="".join(_LETTERS[outcomes[calls.outcomes[place]]] for place in places),
            calls=in_all,
        )

    # -- what was done, and what came of it ----------------------------------------------------------

    def faults(self) -> Iterator[AnyEvent]:
        ids: dict[int, int] = {}
        numbers = count(1)
        for fault, whole in with_wholes(self._recorded.faults):
            ids[id(fault)] = next(numbers)
            yield self._fault(fault, ids[id(fault)], None if whole is None else ids[id(whole)])

    def _fault(self, fault: Fault, number: int, part_of: int | None) -> AnyEvent:
        known = {"toward": fault.toward, "was": fault.was, "part_of": part_of}
        told: dict[str, Any] = {name: value for name, value in known.items() if value}
        if fault.both_ways:
            told["both_ways"] = True
        return FaultEvent(
            t=self._ms(fault.from_ns),
            id=number,
            what=fault.kind.value,
            whom=fault.target,
            words=fault_sentence(fault),
            since_ms=self._ms(fault.from_ns),
            until_ms=self._ms(fault.to_ns),
            **told,
        )

    def failovers(self) -> Iterator[AnyEvent]:
        for failover in self._recorded.failovers:
            yield FailoverEvent(
                t=self._ms(failover.at_ns + failover.took_ns),
                cause=failover.cause,
                since_ms=self._ms(failover.at_ns),
                took_ms=round(failover.took_ns / 1e6, 3),
                old=failover.old_primary,
                new=failover.new_primary,
                epoch=failover.epoch,
            )


class _Spans:
    """What one process was, in order of time."""

    def __init__(self, roles: Sequence[RoleSpan], name: str) -> None:
        self.spans = sorted((span for span in roles if span.process == name), key=lambda span: span.from_ns)
        self._begins = [span.from_ns for span in self.spans]

    def at(self, at_ns: int) -> RoleSpan | None:
        place = bisect_right(self._begins, at_ns) - 1
        return self.spans[place] if place >= 0 and at_ns < self.spans[place].to_ns else None


def _process(name: str, was: RoleSpan | None, paused: bool) -> dict[str, Any]:
    if was is None or was.role is ProcessRole.DOWN:
        return {"name": name, "reachable": False, "process": "unknown" if was is None else "gone"}
    return {"name": name, "reachable": not paused, "process": "stopped" if paused else "running"}


def _pairs(cut: Fault) -> list[tuple[str, str]]:
    """Return from whom to whom nothing passes."""
    there = (cut.target, cut.toward)
    return [there, there[::-1]] if cut.both_ways else [there]


def _server(name: str, was: RoleSpan | None, paused: bool) -> dict[str, Any]:
    told = _process(name, was, paused)
    if was is not None and was.role is not ProcessRole.DOWN:
        told |= {"role": was.role.value, **({"epoch": was.epoch} if was.epoch else {})}
    return told
