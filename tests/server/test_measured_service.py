"""What a call of a class has cost is known to the groups, and the folder of a class has no ledger."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

import bankrmi
from bankrmi.config import load
from bankrmi.server.data_directory import DataDirectory
from bankrmi.server.derived_settings import settings_of, settings_of_service
from bankrmi.server.measured_service import CallCosts, MeasuredService
from bankrmi.server.method_figures import MethodFigures
from bankrmi.service.calls import Called, packed_call
from bankrmi.service.declaring import described
from bankrmi.service.served_services import ServedServices
from bankrmi.storage.about import served_class
from bankrmi.storage.database import open_in_memory
from tests.storage.journals import adopted


class Declined(Exception):
    """What is declared."""


class Echo(bankrmi.Service):
    """Says what it is told."""

    @bankrmi.update
    def say(self, text: str, times: int) -> str:
        """Say it so often."""
        return text * times

    @bankrmi.update
    def work(self, steps: int) -> int:
        """Take a while."""
        return sum(range(steps))

    @bankrmi.update(raises=[Declined])
    def decline(self) -> None:
        """Raise what is declared."""
        raise Declined("no")

    @bankrmi.query
    def stumble(self) -> None:
        """Raise what is not."""
        _trip()


def _trip() -> None:
    raise ValueError("a stone")


def test_what_comes_of_a_call_and_how_long_it_took_count_for_its_group(tmp_path: Path) -> None:
    file = tmp_path / "echo.yaml"
    file.write_text("nameserver: 127.0.0.1:1\nservers:\n  s1: 127.0.0.1:2\nserves: echo:Echo\n")
    configuration = load(file, environment={})
    directory = DataDirectory(configuration, "s1", ServedServices(described(Echo)))
    journal = directory.open_journal()
    try:
        journal.open(adopted())
        costs = directory.call_costs
        description = described(Echo)
        settings = settings_of_service(settings_of(configuration, "s1", first=False), costs, description.code)
        assert settings.cost_of_newest is not None

        def cost_of(number: int, method: str, *args: object) -> int:
            journal.decide(1, ("session", number), 1, packed_call(method, args, {}), 1)
            assert settings.cost_of_newest is not None
            return settings.cost_of_newest()

        cost_of(1, "say", "x", 1)
        assert costs.outcome_bytes < 100
        assert cost_of(2, "say", "x", 10_000) > 10_000
        costs.took_ms = 0.0
        assert cost_of(3, "work", 300_000) > costs.outcome_bytes
        assert 0 < costs.took_ms < 60_000
        cost_of(4, "say", 5, 5)  # An exception is an outcome, too.
        assert 0 < costs.outcome_bytes < 1000
        journal.commit()
        assert served_class(journal.database) == "Echo"
    finally:
        journal.close()
        directory.release()


def test_a_millisecond_costs_so_many_bytes() -> None:
    costs = CallCosts()
    costs.took_ms, costs.outcome_bytes = 2.5, 7
    assert costs.in_bytes(1000) == 2507


def test_what_a_method_does_not_declare_is_told_in_the_log_with_its_line_a_few_times() -> None:
    machine = MeasuredService(described(Echo), CallCosts(), limit_ms=5000.0)
    machine.attach(open_in_memory())
    machine.open()
    with capture_logs() as lines:
        machine.apply([("decline", (), {})], 1, (1, ("session", 1)))
        for _ in range(20):
            machine.read(Called("stumble", [], {}))
    assert len(lines) == 5
    [line] = {tuple(sorted(line.items())) for line in lines}
    source = Path(__file__).read_text().splitlines()
    number = 1 + source.index('    raise ValueError("a stone")')
    assert dict(line) == {
        "event": "a method raised what it does not declare",
        "log_level": "warning",
        "method": "Echo.stumble",
        "error": "ValueError: a stone",
        "at": f"test_measured_service.py, line {number}",
    }


def test_of_several_services_the_line_says_which_and_runs_count_for_the_method_of_that_one() -> None:
    """Though both are of one class."""
    services = ServedServices(described(Echo), {"north": described(Echo)}, home_name="south")
    methods = MethodFigures(services)
    machine = MeasuredService(services, CallCosts(), limit_ms=5000.0, methods=methods)
    machine.attach(open_in_memory())
    machine.open()
    with capture_logs() as lines:
        machine.apply([("north.say", ("x", 1), {})], 1, (1, ("session", 1)))
        machine.read(Called("north.stumble", [], {}))
        machine.read(Called("stumble", [], {}))
    assert [(line["service"], line["method"]) for line in lines] == [
        ("north", "Echo.stumble"),
        ("south", "Echo.stumble"),
    ]
    assert {labels for labels, count in methods.runs().items() if count == 1} == {
        ("north", "say"),
        ("north", "stumble"),
        ("south", "stumble"),
    }
    assert methods.seconds()["north", "say"] > 0
