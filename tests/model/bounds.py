"""How much may happen in a search, and which parts of the world there are."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Bounds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Within these every order of events is tried."""

    servers: int = 2
    epochs: int = 3
    """The highest epoch that can be won."""
    requests: int = 2
    crashes: int = 1
    disks: int = 0
    """How often a server starts with another disk than before: an empty one, or the one put aside."""
    changes: int = 0
    """How often an operator adds, removes or moves a server. Then one that crashes may start at its other
    address; each has two."""
    restores: int = 0
    """How often the witness loses its memory and is restored."""
    forces: int = 0
    """How often an operator has a server lead that is not in sync."""
    movers: int = 0
    """How often somebody begins to move the bank to a database, or goes on with that."""
    cancels: int = 0
    """How often that is taken back."""
    members: int | None = None
    """How many servers are in sync at first; None: all. The first one leads."""
    copies_min: int = 1
    switchover: bool = True
    leases: tuple[int, ...] = ()
    """The lengths that a process may draw for its lease, in moments; none: every read is confirmed."""
    pipelined: bool = False
    """Commits are events (ADR 22): the loop goes on while the disk writes."""
    writes: int = 2
    """How many may be on their way to a disk at once, if pipelined."""
    latent: bool = True
    """A copy in sync that lacks something is a loss already, before it leads."""
