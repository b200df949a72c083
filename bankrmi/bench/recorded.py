"""A whole run as one JSON document: everything that was measured, on what, and by which code."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from bankrmi.bench.class_plan import ClassPlan
from bankrmi.bench.figures import OURS, Results
from bankrmi.bench.plan import Plan

__all__ = ["Run", "document"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run was."""

    plan: Plan | ClassPlan
    begun: datetime
    command: str
    machine: dict[str, str | int | float]
    versions: dict[str, str]
    commit: str
    interrupted: bool = False


def document(run: Run, results: Results) -> dict[str, Any]:
    """Return what `--json` writes."""
    return {
        "begun": run.begun.astimezone(UTC).isoformat(timespec="seconds"),
        "command": run.command,
        "commit": run.commit,
        "interrupted": run.interrupted,
        "machine": run.machine,
        "versions": run.versions,
        "plan": asdict(run.plan),
        "rows": {
            row: {
                system: [asdict(sample) | {"operations_per_second": sample.rate} for sample in samples]
                for system, samples in systems.items()
            }
            for row, systems in results.samples.items()
        },
        "ratios": {
            row: {
                system: asdict(compared)
                for system in systems
                if system != OURS and (compared := results.ratio_to(row, system)) is not None
            }
            for row, systems in results.samples.items()
        },
        "findings": [asdict(finding) for finding in results.findings],
        "notes": results.notes,
        "skipped": results.skipped,
        "failed": results.failed,
    }
