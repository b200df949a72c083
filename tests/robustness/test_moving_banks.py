"""In some worlds operators move the bank to a database, and take that back.  Rule V14."""

from __future__ import annotations

import pytest

from bankrmi.errors import OperationFailed
from bankrmi.replication.record import Position
from bankrmi.robustness.mutants import leaving
from bankrmi.robustness.simulator.pretend_database import PretendDatabase, PretendRow
from bankrmi.robustness.simulator.simulation import Simulation

pytestmark = pytest.mark.timeout(300)

BEGINNING = Position(0, 0, b"")


def test_the_bank_opens_in_the_database_and_moves_are_cancelled_and_all_is_well_in_the_end() -> None:
    opened = cancelled = 0
    for seed in range(2, 12):
        simulation = Simulation(seed, workload=leaving.MUTANTS[0].workload_for(seed))
        simulation.run()
        opened += simulation.mover.opened
        cancelled += simulation.mover.cancelled
        if opened and cancelled:
            return
    raise AssertionError(f"{opened} times open in the database, {cancelled} times cancelled")


def row(attempt: str) -> PretendRow:
    return PretendRow(attempt=attempt, history="h", begins_at=BEGINNING)


def test_of_two_commands_one_works_on_what_is_arriving() -> None:
    database = PretendDatabase()
    assert database.begin("one"), "nothing is there yet"
    with pytest.raises(OperationFailed, match="just now"):
        database.begin("two")
    database.commit(row("one"))
    database.claim("two", "one")
    with pytest.raises(OperationFailed, match="only one can"):
        database.bring_more("one", [], opens=True)
    database.bring_more("two", [], opens=True)
    with pytest.raises(OperationFailed, match="only one can"):
        database.drop("two")
    with pytest.raises(OperationFailed, match="meanwhile"):
        database.begin("three")


def test_what_is_taken_away_is_begun_anew() -> None:
    database = PretendDatabase()
    database.begin("one")
    database.commit(row("one"))
    assert not database.begin("two"), "it replaces what is there"
    database.roll_back("two")
    database.drop("one")
    with pytest.raises(OperationFailed, match="only one can"):
        database.bring_more("one", [], opens=True)
    assert database.begin("three")
