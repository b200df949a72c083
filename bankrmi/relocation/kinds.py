"""What can be moved: accounts, and nothing else."""

from __future__ import annotations

from bankrmi.config import Configuration
from bankrmi.errors import InvalidRequest

__all__ = ["check_kind"]


def check_kind(configuration: Configuration) -> None:
    """Raise InvalidRequest if servers keep something else than the accounts of a bank."""
    if configuration.serves is not None:
        raise InvalidRequest(
            f"{configuration.path} serves a class of one's own, and a database keeps accounts only: "
            "`bankrmi backup` and `restore` move such a bank to other servers"
        )
