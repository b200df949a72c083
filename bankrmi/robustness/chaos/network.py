"""What lies between the processes of a run, so that it can be taken away: asked for by name, not by address.

    namespaces      with root: a network of its own for each process, and packets dropped between them
    relays          without: a small relay on each link, that holds back what it should have passed on

Rule 1: nothing between two processes ever refuses a connection in the name of a live one (R3 builds on it).
Rule 2: a link has two directions, and each is cut or slow by itself; it is whole again when the last of the
        faults that hit it is over.
"""

from __future__ import annotations

from typing import Protocol

from bankrmi.relays import Way

__all__ = ["OPERATOR", "ChaosNetwork", "NoNamespaces"]

OPERATOR = "operator"
"""Who sees every process directly, whatever is cut: chaos itself."""


class NoNamespaces(Exception):
    """There can be no network namespaces here; the message says what is missing."""


class ChaosNetwork(Protocol):
    """The ways between the processes of one run."""

    cuts_by: str
    """What does it, for people."""

    alike: bool
    """Whether all find a server under the same address; else a refused connection proves nothing."""

    insecure: bool
    """Whether the addresses are such that bankrmi wants --insecure for them."""

    def address(self, of: str, *, seen_by: str) -> str:
        """Return the address under which one process finds another, or itself."""

    def command(self, process: str, command: list[str]) -> list[str]:
        """Return the command that runs `command` where the process belongs."""

    def inherited(self, process: str) -> tuple[int, ...]:
        """Return the descriptors that this command needs."""

    def begins(self, process: str) -> None:
        """Be told that a process is about to be started."""

    def has_ended(self, process: str) -> None:
        """Be told that a process is gone, and surely so."""

    def cut(self, *ways: Way) -> None:
        """From now on nothing passes these ways; all at once."""

    def heal(self, *ways: Way) -> None:
        """Take back one `cut`."""

    def slow(self, late_ms: int, *ways: Way) -> str:
        """Be slow these ways, by about `late_ms`; return in a few words what was done."""

    def hasten(self, late_ms: int, *ways: Way) -> None:
        """Take back one `slow`."""

    def close(self) -> None:
        """Take everything down."""
