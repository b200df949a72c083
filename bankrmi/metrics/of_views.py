"""What is measured of every process that knows a view: who leads, who is in sync, why that changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from bankrmi.metrics.measure import Measure, Reading, one_of
from bankrmi.replication.figures import CAUSES
from bankrmi.replication.view import View

__all__ = ["of_views"]

Source = TypeVar("Source")


def of_views(
    servers: Collection[str],
    view: Callable[[Source], View | None],
    changes: Callable[[Source], Mapping[str, int] | None],
) -> tuple[Measure[Source], ...]:
    """Return what is measured of the newest view that is known, and of changes of it, counted by cause.

    Where there is neither, nothing is shown.
    """
    return (
        *_of_the_newest(servers, view),
        Measure(
            name="bankrmi_view_changes_total",
            kind="counter",
            meaning="Changes of the view that this process has learned of, by cause",
            labels={"cause": CAUSES},
            read=changes,
        ),
    )


def _of_the_newest(
    servers: Collection[str], view: Callable[[Source], View | None]
) -> tuple[Measure[Source], ...]:
    def of_it(read: Callable[[View], Reading]) -> Callable[[Source], Reading]:
        def reading(source: Source) -> Reading:
            known = view(source)
            return None if known is None else read(known)

        return reading

    return (
        Measure(
            name="bankrmi_view_epoch",
            kind="gauge",
            meaning="The epoch of the newest view that it knows",
            read=of_it(lambda known: known.epoch),
        ),
        Measure(
            name="bankrmi_copies",
            kind="gauge",
            meaning="Copies that hold every acknowledged entry, by that view",
            read=of_it(lambda known: len(known.in_sync)),
        ),
        Measure(
            name="bankrmi_in_sync",
            kind="gauge",
            meaning="1 for each server that is in sync by that view, else 0",
            labels={"server": servers},
            read=of_it(lambda known: {name: float(name in known.in_sync) for name in servers}),
        ),
        Measure(
            name="bankrmi_leads",
            kind="gauge",
            meaning="1 for the server that leads by that view, else 0",
            labels={"server": servers},
            read=of_it(lambda known: one_of(servers, known.primary)),
        ),
        Measure(
            name="bankrmi_paused",
            kind="gauge",
            meaning="1 while automatic takeover is paused by that view, else 0",
            read=of_it(lambda known: float(known.paused is not None)),
        ),
    )
