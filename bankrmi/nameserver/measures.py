"""What the process of name server and witness shows to whoever watches it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from bankrmi.metrics.health import Checks, Health, alive
from bankrmi.metrics.measure import Measure, Reading, one_of
from bankrmi.metrics.of_daemons import about, certificate, of_daemons, refused
from bankrmi.replication.figures import CAUSES, ViewChanges
from bankrmi.replication.view import View
from bankrmi.rmi import Daemon

__all__ = ["WatchedNameserver", "checks_of", "measures_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedNameserver:
    """One such process; `proposals` and `changes` are the witness's, if that is here.

    `view` is the newest view known, `names` how many names are registered.
    """

    daemons: Sequence[Daemon]
    view: View | None
    names: int
    proposals: dict[str, int] | None
    changes: ViewChanges | None
    certificate_days: float | None = None


def measures_of(servers: Collection[str], service: str) -> tuple[Measure[WatchedNameserver], ...]:
    """Return all that is shown of it."""
    return (
        about("nameserver", service),
        certificate(lambda watched: watched.certificate_days),
        Measure(
            name="bankrmi_witness",
            kind="gauge",
            meaning="1 if the witness is in this process, else 0",
            read=lambda watched: watched.proposals is not None,
        ),
        Measure(
            name="bankrmi_view_epoch",
            kind="gauge",
            meaning="The epoch of the newest view that it knows",
            read=_of_view(lambda view: view.epoch),
        ),
        Measure(
            name="bankrmi_copies",
            kind="gauge",
            meaning="Copies that hold every acknowledged entry, by that view",
            read=_of_view(lambda view: len(view.in_sync)),
        ),
        Measure(
            name="bankrmi_in_sync",
            kind="gauge",
            meaning="1 for each server that is in sync by that view, else 0",
            labels={"server": servers},
            read=_of_view(lambda view: {name: float(name in view.in_sync) for name in servers}),
        ),
        Measure(
            name="bankrmi_leads",
            kind="gauge",
            meaning="1 for the server that leads by that view, else 0",
            labels={"server": servers},
            read=_of_view(lambda view: one_of(servers, view.primary)),
        ),
        Measure(
            name="bankrmi_view_changes_total",
            kind="counter",
            meaning="Changes of the view that this process has learned of, by cause",
            labels={"cause": CAUSES},
            read=lambda watched: None if watched.changes is None else watched.changes.counts(),
        ),
        Measure(
            name="bankrmi_proposals_total",
            kind="counter",
            meaning="Of a witness: proposals that were decided, by what came of them",
            labels={"outcome": ("won", "lost")},
            read=lambda watched: watched.proposals,
        ),
        Measure(
            name="bankrmi_names",
            kind="gauge",
            meaning="Names that are registered",
            read=lambda watched: watched.names,
        ),
        refused(lambda _: {}),
        *of_daemons(lambda watched: watched.daemons),
    )


def _of_view(read: Callable[[View], Reading]) -> Callable[[WatchedNameserver], Reading]:
    return lambda watched: None if watched.view is None else read(watched.view)


def checks_of(ready: Callable[[], Health]) -> Checks:
    """Return what may be asked of it; it is neither primary nor standby, and there are no such paths."""
    return {"/health": alive, "/ready": ready}
