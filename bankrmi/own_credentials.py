"""What a process shows, and whom it believes: by its role, from the folder that the configuration names.

Where the configuration names no certificates there is nothing to show, and nobody is asked for any. What
reads certificates takes a while to import, and is imported only where there are some.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bankrmi.config import Configuration

if TYPE_CHECKING:
    from bankrmi.certificates import Credentials

__all__ = ["own_credentials"]


def own_credentials(configuration: Configuration, role: str, name: str = "") -> Credentials | None:
    """Return the credentials of a server (of that name), a client or an operator; None without certificates.

    Raises ConfigurationError if they cannot be used.
    """
    settings = configuration.certificates
    if settings is None:
        return None
    from bankrmi.certificates import Credentials

    named = {"client": settings.client, "operator": settings.operator}.get(role)
    return Credentials.of(settings.folder, role, name or named or "")
