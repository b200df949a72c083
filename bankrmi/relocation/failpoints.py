"""Places at which a test has `bankrmi migrate` kill itself, as a power cut would: BANKRMI_FAILPOINT=PLACE:1.

    migrate:copied             what there was is copied; the one that gives the bank away serves on
    migrate:before-retiring    it is about to be retired
    migrate:retired            it is, and nothing is there yet that opens
    migrate:before-opening     all is there but the last commit (or, of servers, the first view)
    migrate:opened             the bank is open there, and nobody was told
    migrate:taken-away         what was copied is taken away by a --cancel, and the servers are still retired

Rule: without the variable nobody watches for places.
"""

from __future__ import annotations

import os
import signal

__all__ = ["PLACES", "reached"]

_VARIABLE = "BANKRMI_FAILPOINT"
PLACES = ("copied", "before-retiring", "retired", "before-opening", "opened", "taken-away")


def reached(place: str) -> None:
    """Die here, if that is wanted."""
    assert place.removeprefix("migrate:") in PLACES, place
    if os.environ.get(_VARIABLE) == f"{place}:1":
        os.kill(os.getpid(), signal.SIGKILL)
