"""A recording in a few lines of words: for the title of its page, and without JavaScript.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from bankrmi.console.events import AnyEvent, FailoverEvent, HelloEvent, RunEvent, VerdictEvent, ViewEvent
from bankrmi.counted import counted

__all__ = ["in_words", "title_of"]

_VIEWS = 50
_Kind = TypeVar("_Kind")


def title_of(events: Sequence[AnyEvent]) -> str:
    """Return what a window with this recording is called."""
    verdict, run = _last(events, VerdictEvent), _last(events, RunEvent)
    if verdict is not None:
        return f"{verdict.words} – bankrmi chaos{'' if run is None else f', seed {run.seed}'}"
    return f"{_service(events)}, {_when(events)} – bankrmi"


def in_words(events: Sequence[AnyEvent]) -> Iterator[str]:
    """Yield lines: what the verdict rests on if there is one, and who led when."""
    verdict, run = _last(events, VerdictEvent), _last(events, RunEvent)
    if verdict is not None:
        yield from verdict.violations
        if verdict.untold:
            yield f"and {verdict.untold} more"
        yield from (*verdict.notes, *verdict.checked)
    if run is not None:
        yield f"again: {run.command}"
    yield from _failovers(events)
    yield from _views(events)


def _failovers(events: Sequence[AnyEvent]) -> Iterator[str]:
    for event in events:
        if isinstance(event, FailoverEvent):
            took = f"{event.old} → {event.new} in {event.took_ms:.1f} ms"
            yield f"{_clock(event.since_ms)} {event.cause}: {took}"


def _views(events: Sequence[AnyEvent]) -> Iterator[str]:
    views = {(event.history, event.epoch): event for event in events if isinstance(event, ViewEvent)}
    if len(views) > _VIEWS:
        yield f"the last {_VIEWS} of {counted(len(views), 'change')} of the view:"
    for view in list(views.values())[-_VIEWS:]:
        when = _clock(view.changed_ms if view.changed_ms is not None else view.t)
        in_sync = ", ".join(view.in_sync)
        yield f"{when} epoch {view.epoch}: {view.primary} leads, in sync {in_sync}; {view.why}"


def _service(events: Sequence[AnyEvent]) -> str:
    hello = next((event for event in events if isinstance(event, HelloEvent)), None)
    return "a bank" if hello is None else ", ".join(hello.services) or hello.service


def _when(events: Sequence[AnyEvent]) -> str:
    return f"{datetime.fromtimestamp(events[0].t / 1000, UTC):%Y-%m-%d %H:%M}Z" if events else "never"


def _clock(ms: float) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%H:%M:%S.%f}"[:-3] + "Z"


def _last(events: Sequence[AnyEvent], kind: type[_Kind]) -> _Kind | None:
    return next((event for event in reversed(events) if isinstance(event, kind)), None)
