"""What the process of name server and witness shows to whoever watches it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from bankrmi.metrics.health import Checks, Health, alive
from bankrmi.metrics.measure import Measure
from bankrmi.metrics.of_daemons import about, certificate, of_daemons, refused
from bankrmi.metrics.of_views import of_views
from bankrmi.replication.figures import ViewChanges
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
        *of_views(servers, lambda watched: watched.view, _changes_of_views),
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


def _changes_of_views(watched: WatchedNameserver) -> dict[str, int] | None:
    return None if watched.changes is None else watched.changes.counts()


def checks_of(ready: Callable[[], Health]) -> Checks:
    """Return what may be asked of it; it is neither primary nor standby, and there are no such paths."""
    return {"/health": alive, "/ready": ready}
