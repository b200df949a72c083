"""The primary is cut off from everybody, under load: how long until a client is answered by another one?

The links are small relays of ours (`robustness/chaos/relays.py`), which need no rights. A call that is under
way when nothing passes any more is lost with the primary, and is asked again elsewhere. Then all is healed,
and the old primary is in sync again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bankrmi import connect
from bankrmi.bench.bank import own_folder, write_ledger
from bankrmi.bench.children import Children
from bankrmi.bench.load.order import LoadOrder
from bankrmi.bench.load_process import LoadProcess
from bankrmi.bench.rows.row import BESIDE, FOR_EVER_S, RowOptions
from bankrmi.config import load
from bankrmi.config_settings import ClientSettings, ConfigSettings, JournalSettings
from bankrmi.errors import OperationFailed
from bankrmi.relays import Way
from bankrmi.robustness.chaos.bank import WITNESS, ChaosBank, is_whole
from bankrmi.robustness.chaos.relays import Relays
from bankrmi.robustness.chaos.schedule import Timing

__all__ = ["cuts"]

_CLIENT, _BESIDE = "client", "beside"
_CALLS_BETWEEN = 5
_WHOLE_WITHIN_S = 60.0


def cuts(asked: RowOptions) -> list[float]:
    """Return, for each time, the milliseconds from the cut to the next acknowledged withdrawal."""
    with own_folder() as folder, _running_bank(folder, asked.servers) as bank:
        children = Children(folder)
        where = {"configuration": str(bank.configuration_of(_BESIDE))}
        order = LoadOrder(kind="background", where=where, shape=BESIDE, seconds=FOR_EVER_S)
        try:
            with LoadProcess(children, order, _BESIDE):
                return _one_after_the_other(bank, asked)
        finally:
            children.stop()


def _one_after_the_other(bank: ChaosBank, asked: RowOptions) -> list[float]:
    took_ms = []
    with connect(load(bank.configuration_of(_CLIENT), environment={})) as client:
        for number in range(1, asked.failovers + 1):
            asked.progress.show(f"failover: cut off, {number} of {asked.failovers}")
            ways = _all_ways_of(_wait_until_whole(bank), bank.servers)
            for _ in range(_CALLS_BETWEEN):
                client.withdraw(1, 0)
            begun = time.perf_counter()
            bank.network.cut(*ways)
            client.withdraw(1, 0)
            took_ms.append((time.perf_counter() - begun) * 1000)
            bank.network.heal(*ways)
    return took_ms


@contextmanager
def _running_bank(folder: Path, count: int) -> Iterator[ChaosBank]:
    servers = [f"s{number}" for number in range(1, count + 1)]
    links = [(server, other) for server in servers for other in (*servers, WITNESS) if server != other]
    links += [(client, server) for client in (_CLIENT, _BESIDE) for server in servers]
    network = Relays(tuple(links))
    try:
        bank = ChaosBank(folder, servers, (_CLIENT, _BESIDE), network, _usual_timing())
        write_ledger(folder / "ledger.csv")
        try:
            for process in (WITNESS, *servers):
                bank.start(process)
            _wait_until_whole(bank)
            yield bank
        finally:
            for process in (*servers, WITNESS):
                bank.processes.kill(process)
    finally:
        network.close()


def _usual_timing() -> Timing:
    usual, client = ConfigSettings.model_fields, ClientSettings()
    return Timing(
        lease_ms=usual["lease_ms"].default,
        heartbeat_ms=usual["heartbeat_ms"].default,
        checkpoint_timeout_ms=usual["checkpoint_timeout_ms"].default,
        client_timeout_ms=client.timeout_ms,
        patience_ms=client.patience_ms,
        records_behind=JournalSettings().records_behind,
    )


def _all_ways_of(primary: str, servers: tuple[str, ...]) -> list[Way]:
    """Return the ways between the primary and everybody else, there and back."""
    others = [other for other in (*servers, WITNESS, _CLIENT, _BESIDE) if other != primary]
    return [way for other in others for way in ((primary, other), (other, primary))]


def _wait_until_whole(bank: ChaosBank) -> str:
    """Return who leads, when everybody else is in sync."""
    deadline = time.monotonic() + _WHOLE_WITHIN_S
    while not is_whole(situation := bank.situation(), bank.servers):
        if time.monotonic() > deadline:
            raise OperationFailed(f"the bank was not in sync again {_WHOLE_WITHIN_S:g} s after a cut")
        time.sleep(0.02)
    assert situation.primary is not None
    return situation.primary
