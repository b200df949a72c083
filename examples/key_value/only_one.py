"""Be the only one who does something: run it on as many machines as you like, and one of them is at work.

    python only_one.py NAME [config.yaml] [SECONDS]

Prints `NAME leads (revision N)` once it does, and holds on to that. When it ends, however it ends, another
one follows within SECONDS. N is higher each time: whoever is asked by a leader of an older N should refuse
(fencing).
"""

from __future__ import annotations

import sys
import time

import bankrmi
from bankrmi.errors import Busy, Unreached, Unsettled
from key_value import Conflict, KeyValue, LeaseEnded

KEY = "leader"


def lead(store: KeyValue, name: str, seconds: float) -> None:
    """Wait until nobody leads, lead, and return when that is over."""
    lease = store.grant(seconds)
    while True:
        try:
            revision = store.compare_and_set(KEY, name, 0, lease.id)
            break
        except Conflict:
            time.sleep(seconds / 5)
            lease = store.keep_alive(lease.id)
    print(f"{name} leads (revision {revision})", flush=True)
    while True:
        time.sleep(seconds / 3)  # Here it would do its work.
        store.keep_alive(lease.id)


def main(name: str, configuration: str = "config.yaml", seconds: str = "10") -> None:
    """Lead, again and again, whatever happens to the servers."""
    with bankrmi.connect(KeyValue, configuration, timeout=float(seconds)) as store:
        while True:
            try:
                lead(store, name, float(seconds))
            except (LeaseEnded, Unsettled, Busy, Unreached) as error:
                print(f"{name} does not lead: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
