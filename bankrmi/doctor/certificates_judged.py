"""Do certificates last, are they for the right addresses, and can what says so be read?  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bankrmi.config import split_address
from bankrmi.doctor.facts import Facts, ProcessFacts
from bankrmi.doctor.findings import DoctorFinding, note, to_do
from bankrmi.foreign_text import foreign
from bankrmi.moments import end_in_words

__all__ = ["AUTHORITY", "DAYS", "judge_certificates", "renewal"]

DAYS = 30
"""An end that is nearer should be dealt with."""
AUTHORITY = "ca"
"""What a process says that ends first, if it is the bank's authority."""


def judge_certificates(facts: Facts) -> Iterator[DoctorFinding]:
    """Yield what ends soon, and what does not fit."""
    if facts.configuration.certificates is None:
        return
    for name, told in facts.told.items():
        yield from _of_process(facts, name, told)
    if not facts.told:  # What everybody is told at least, in the status.
        for server in facts.status.get("servers", ()):
            days = server.get("certificate_days")
            if type(days) is int:
                yield from _of_days(server["server"], days, None)


def _of_process(facts: Facts, name: str, told: ProcessFacts) -> Iterator[DoctorFinding]:
    certificate = told.certificate
    if certificate is None:
        return
    yield from _of_days(name, certificate.days_left, certificate.ends_first)
    for problem in certificate.problems:
        yield to_do(
            "certificate-files",
            name,
            f"what {name} was started with is in use, and would not be found now: {foreign(problem, 300)}",
            "mend the file on its machine: without that its next start fails",
        )
    for address in _announced(facts, name):
        host = split_address(address)[0]
        if host.lower() not in {one.lower() for one in certificate.hosts}:
            yield note(
                "certificate-hosts",
                name,
                f"its certificate is for {foreign(', '.join(certificate.hosts) or 'no address', 200)}, and "
                "it is "
                f"found at {host}: our own clients do not mind, others that compare host names do",
                f"`bankrmi cert renew server-{_holder(name)} --address {host}`, and copy the .pem there",
            )


def _of_days(name: str, days: float, ends_first: str | None) -> Iterator[DoctorFinding]:
    if days >= DAYS:
        return
    stem = f"server-{_holder(name)}"
    whose = f"the certificate of {name}"
    remedy = f"{renewal(stem)} to its machine: it is taken without a restart"
    if ends_first == AUTHORITY:
        whose = f"the bank's authority, as {name} has it,"
        remedy = f"{renewal(AUTHORITY)} to every machine: it is taken without a restart"
    elif ends_first is None:
        whose += ", or its authority's,"
        remedy = f"`bankrmi cert list` says which (of the authority: `bankrmi cert renew ca`); {remedy}"
    ends = f"{end_in_words(days)}{'' if days >= 0 else ': nobody takes it any more'}"
    yield to_do("certificate-days", name, f"{whose} {ends}", remedy)


def renewal(stem: str) -> str:
    """Return how it is renewed, as the beginning of a sentence."""
    return f"`bankrmi cert renew {stem}` where ca.key is, and copy {stem}.pem"


def _holder(name: str) -> str:
    """Return whose certificate a process shows: the witness has that of the name server's process."""
    return "nameserver" if name == "witness" else name


def _announced(facts: Facts, name: str) -> list[str]:
    configuration = facts.configuration
    if name == "nameserver":
        return [configuration.nameserver]
    if name == "witness":
        return [] if configuration.witness_address is None else [configuration.witness_address]
    return [facts.addresses[name]]
