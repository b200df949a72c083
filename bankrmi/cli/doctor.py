"""The command that looks at everything, and says what should be done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.invocation import Invocation, say, show_json, tell
from bankrmi.cli.occupied import who_has_the_ports

if TYPE_CHECKING:
    from bankrmi.doctor import DoctorFinding
    from bankrmi.doctor.facts import Facts

__all__ = ["COMMANDS"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def doctor(invocation: Invocation, as_json: bool) -> int:
    """Look at the whole bank, and say what should be done.

    Compares the configuration with what every process runs with, and looks at versions, clocks, disks,
    certificates, round trips, names, and what is on which machine. Needs an operator's certificate
    where there are certificates; a client is told less. Where nothing runs, looks at this machine: can the
    bank start here? Changes nothing.

    \b
    Exit codes: 0 nothing has to be done (notes may be there), 1 something should be, 2 it could not look.
    """
    from bankrmi.doctor import Weight, examine, judge

    facts = examine(invocation.configuration(), who_has_the_ports)
    findings = judge(facts)
    to_do = [one for one in findings if one.weight is Weight.TO_DO]
    if as_json:
        show_json(_form(facts, findings))
    else:
        for one in findings:
            _tell(one, "!" if one in to_do else "-")
        say(_summary(facts, len(to_do), len(findings) - len(to_do)))
    return ExitCode.ERROR if to_do else ExitCode.DONE


def _tell(finding: DoctorFinding, mark: str) -> None:
    tell(f"{mark} {finding.about}: {finding.says}")
    tell(f"    {finding.remedy}")


def _summary(facts: Facts, to_do: int, notes: int) -> str:
    asked = ", ".join(facts.told) or "no process"
    machine = ", and this machine" if facts.own_machine.is_idle else ""
    things = f"to do: {to_do}" if to_do else "nothing has to be done"
    noted = f"; notes: {notes}" if notes else ""
    return f"{things}{noted} (the configuration, {asked}{machine})"


def _form(facts: Facts, findings: list[DoctorFinding]) -> dict[str, Any]:
    return {
        "findings": [one.form() for one in findings],
        "told": sorted(facts.told),
        "not_told": {name: one.why_not for name, one in facts.looked.items() if one.facts is None},
        "own_machine": facts.own_machine.is_idle,
        "versions": dict(facts.own_machine.versions),
        "processes": {
            name: {
                "versions": told.versions,
                "free_bytes": told.free_bytes,
                "round_trips_ms": told.round_trips_ms,
                "keeper_ms": told.keeper_ms,
                "round_trip_ms": facts.looked[name].round_trip_ms,
            }
            for name, told in facts.told.items()
        },
    }


COMMANDS = (doctor,)
