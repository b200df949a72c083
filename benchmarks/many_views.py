"""What does a change of the view cost the witness after ten views, and after a million?

    python benchmarks/many_views.py [--views 1000000]

The CPU time of this process, medians; the history is filled in by SQL, and only its last view is a real one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import apsw

from bankrmi.coordination.view_store import ViewStore
from bankrmi.replication.view import View

_FILL = """
WITH RECURSIVE past(epoch) AS (VALUES (1) UNION ALL SELECT epoch + 1 FROM past WHERE epoch < ?1)
INSERT INTO views (service, history, epoch, view, checksum)
SELECT 'account', 'h1', epoch, iif(epoch = ?1, ?2, 'an old view'), ?3 FROM past
"""


def main() -> None:
    """Measure both, and print them one below the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--views", type=int, default=1_000_000)
    many = parser.parse_args().views
    print(f"{'views':>9} {'start, ms':>10} {'read, us':>9} {'propose, us':>12}")
    for views in (10, many):
        with tempfile.TemporaryDirectory(prefix="bankrmi-views-") as folder:
            _fill(Path(folder), views)
            began = time.process_time()
            store = ViewStore(Path(folder))
            start_s = time.process_time() - began
            read_us = _median_us(partial(store.current, "account"))
            propose_us = _median_us(partial(_change, store))
            store.close()
        print(f"{views:>9} {1e3 * start_s:>10.2f} {read_us:>9.0f} {propose_us:>12.0f}")


def _fill(folder: Path, views: int) -> None:
    ViewStore(folder).close()
    first = View.first(history="h1", server="s1", start_id="a", incarnation="disk")
    newest = json.dumps(first.to_wire() | {"epoch": views}, sort_keys=True)
    checksum = hashlib.blake2b(newest.encode(), digest_size=16).hexdigest()
    database = apsw.Connection(str(folder / "view.db"))
    database.execute(_FILL, (views, newest, checksum))
    database.close()


def _change(store: ViewStore) -> None:
    view = store.current("account")
    assert view is not None
    won, _ = store.propose("account", (view.history, view.epoch), view.started_again(f"start{view.epoch}"))
    assert won


def _median_us(work: Callable[[], object]) -> float:
    took = []
    for _ in range(100):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return 1e6 * statistics.median(took)


if __name__ == "__main__":
    main()
