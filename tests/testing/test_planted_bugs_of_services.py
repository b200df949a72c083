"""Each bug in running a class is found by a seed; those that found it soonest so far are tried first."""

from __future__ import annotations

import pytest

from bankrmi.robustness.mutants import MUTANTS, hunt
from bankrmi.robustness.mutants.of_services import MUTANTS as OF_SERVICES

FIRST = {
    "exception-changes-the-state": (4,),
    "migrate-twice": (14,),
    "migration-is-not-taken-back": (71,),
    "follow-beyond-the-code": (225,),
    "answer-beyond-the-code": (24,),
    "read-the-clock-in-an-update": (4,),
    "query-what-is-not-acknowledged": (0,),
    "tell-a-result-before-it-is-durable": (0,),
    "rows-in-an-order-of-their-own": (25,),
    "undo-forgets-a-table": (31,),
    "record-no-undo": (63,),
    "inner-change-survives-an-exception": (1,),
    "inner-exception-changes-the-state": (9,),
    "inner-call-is-lost": (1,),
    "inner-call-is-done-twice": (4,),
    "half-of-a-call-stays": (1,),
    "undo-forgets-a-service": (71,),
    "migrate-in-another-order": (0,),
    "migrate-before-every-server-can-follow": (10,),
    "migrate-the-tables-of-another-service": (0,),
    "call-a-version-that-is-not-there-yet": (6,),
    "migration-of-another-service-is-not-taken-back": (13,),
    "version-of-another-service-is-not-taken-back": (13,),
}


def test_each_of_them_is_looked_for() -> None:
    assert {mutant.name for mutant in OF_SERVICES} == FIRST.keys()
    assert FIRST.keys() < MUTANTS.keys()


@pytest.mark.but_first_long(3)
@pytest.mark.parametrize("name", FIRST)
def test_it_is_found(name: str) -> None:
    found = hunt(name, seeds=60, first=FIRST[name])
    assert found is not None
