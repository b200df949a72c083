"""All judges, one after the other; what should be done comes first.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bankrmi.doctor.certificates_judged import judge_certificates
from bankrmi.doctor.configuration_judged import judge_configuration
from bankrmi.doctor.facts import Facts
from bankrmi.doctor.findings import DoctorFinding, Weight, note, to_do
from bankrmi.doctor.machines_judged import judge_machines
from bankrmi.doctor.processes_judged import judge_processes
from bankrmi.foreign_text import foreign

__all__ = ["judge"]


def judge(facts: Facts) -> list[DoctorFinding]:
    """Return all findings."""
    found = [
        *judge_configuration(facts),
        *judge_processes(facts),
        *judge_machines(facts),
        *judge_certificates(facts),
        *_judge_own_machine(facts),
    ]
    return sorted(dict.fromkeys(found), key=lambda one: one.weight is not Weight.TO_DO)


def _judge_own_machine(facts: Facts) -> Iterator[DoctorFinding]:
    own = facts.own_machine
    if facts.why_not_asked:
        yield _not_asked(facts)
    elif not facts.is_running:
        yield _nothing_runs(facts)
    for host in own.unresolved:
        yield to_do(
            "host-names",
            "this machine",
            f"no name server knows {host}",
            "correct the name in the file, or make it known (/etc/hosts, DNS), on all machines",
        )
    for sentence in own.ports:
        yield to_do(
            "ports", "this machine", foreign(sentence, 400), "a process of this bank could not listen there"
        )
    if own.writing:
        yield to_do(
            "data-directory", "this machine", own.writing, "make it writable, or name another data_dir"
        )
    for sentence in own.files:
        yield to_do("files", "this machine", sentence, "a start on this machine would fail, or go without it")


def _not_asked(facts: Facts) -> DoctorFinding:
    """On a machine of servers nothing is wrong with that."""
    say = note if facts.is_for_servers else to_do
    return say(
        "not-asked",
        "all machines",
        f"nobody was asked: {facts.why_not_asked}",
        "look again with an operator's certificate: `bankrmi cert create-operator NAME`",
    )


def _nothing_runs(facts: Facts) -> DoctorFinding:
    """A bank that was never started here is only not begun; any other one is down."""
    own = facts.own_machine
    if not own.is_idle:
        return to_do(
            "nothing-runs",
            "all machines",
            "no process of this bank answers, though one runs on this machine",
            "look into its log: it may stand still, or wait for an address",
        )
    say = note if own.is_new else to_do
    return say(
        "nothing-runs",
        "all machines",
        "no process of this bank answers: only the file and this machine were looked at",
        "start the bank, and look again",
    )
