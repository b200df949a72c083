"""Small relays between processes, which hold back what they should pass on: a network to be cut by anybody.

    ways        from whom to whom; and which ways are held by how many
    weather     what passes at the moment, and how late
    relay       the connections to one process
    whose       which process a connection comes from, by the word of the kernel
    bank_relays a relay in front of each process of a bank that `up` runs

A cut is a relay that passes nothing on. What it holds goes out when the link is healed, as TCP does it;
connections that begin meanwhile are taken, and get no answer. A slow link passes everything on later.

Rule 1: a relay is honest about death, and only about death (R3): it listens while its target may be alive,
        and refuses only when the target is surely gone and the link is whole. In between it takes connections
        that come to nothing, which proves nothing to anybody.
Rule 2: nothing is lost, changed or reordered on a connection; it may only be late, or never arrive.
"""

from __future__ import annotations

from .bank_relays import BankRelays
from .relay import Relay
from .ways import Hindered, Way
from .weather import Weather

__all__ = ["BankRelays", "Hindered", "Relay", "Way", "Weather"]
