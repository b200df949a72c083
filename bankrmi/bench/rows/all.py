"""The table of rows."""

from __future__ import annotations

from bankrmi.bench.rows.catching_up import CATCHING_UP
from bankrmi.bench.rows.crowds import CROWDS
from bankrmi.bench.rows.daemon import DAEMON
from bankrmi.bench.rows.engine import ENGINE
from bankrmi.bench.rows.failover import FAILOVER
from bankrmi.bench.rows.growth import GROWTH
from bankrmi.bench.rows.own_clients import OWN_CLIENTS
from bankrmi.bench.rows.row import Row
from bankrmi.bench.rows.slow_disk import SLOW_DISK

__all__ = ["ROWS"]

ROWS: dict[str, Row] = {
    "failover": FAILOVER,
    "growth": GROWTH,
    "slow-disk": SLOW_DISK,
    "catching-up": CATCHING_UP,
    "own-clients": OWN_CLIENTS,
    "crowds": CROWDS,
    "daemon": DAEMON,
    "engine": ENGINE,
}
