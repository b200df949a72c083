"""The name server's process: Pyro5's name server object, with roles from the view, and the witness.

names      the name server object
ownership  who may hold which name, and who gets which role: pure
capacity   how much is kept for others: pure
process    both of them served, from start to end
"""

from __future__ import annotations

from bankrmi.nameserver.process import run

__all__ = ["run"]
