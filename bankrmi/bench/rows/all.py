"""The table of rows."""

from __future__ import annotations

from bankrmi.bench.rows.catching_up import catching_up
from bankrmi.bench.rows.crowds import crowds
from bankrmi.bench.rows.daemon import daemon
from bankrmi.bench.rows.failover import failover
from bankrmi.bench.rows.growth import growth
from bankrmi.bench.rows.own_clients import own_clients
from bankrmi.bench.rows.row import Row
from bankrmi.bench.rows.slow_disk import slow_disk

__all__ = ["ROWS"]

ROWS: dict[str, Row] = {
    "failover": failover,
    "growth": growth,
    "slow-disk": slow_disk,
    "catching-up": catching_up,
    "own-clients": own_clients,
    "crowds": crowds,
    "daemon": daemon,
}
