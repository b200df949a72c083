"""As whom a look at the whole bank is made: as an operator, who sees all; else as a client, and why so.

Rule: what is wrong with an operator's certificate is not passed over in silence because there is a client's.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import Any

from bankrmi.config import Configuration
from bankrmi.errors import ConfigurationError
from bankrmi.own_credentials import own_credentials
from bankrmi.rmi import TlsCredentials

__all__ = ["Onlooker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Onlooker:
    """Who asks."""

    role: str
    credentials: TlsCredentials | None
    own: dict[str, Any] | None
    """Whose certificate is shown, and for how many days it counts."""
    why_client: str = ""
    """Why it is not an operator."""

    @classmethod
    def of(cls, configuration: Configuration) -> Onlooker:
        """Return as whom everybody is asked; raises ConfigurationError without a certificate for that."""
        role, why_client = "operator", ""
        try:
            shown = own_credentials(configuration, role)
        except ConfigurationError as lacking:
            role, why_client = "client", lacking.message
            try:
                shown = own_credentials(configuration, role)
            except ConfigurationError as error:
                both = f"{lacking.message}; nor as a client: {error.message}"
                raise ConfigurationError(both) from error
        own = None if shown is None else {"holder": str(shown.own), "days": floor(shown.days_left)}
        return cls(role=role, credentials=shown, own=own, why_client=why_client)
