"""The passwords of a database that is ours: made once, and kept in a file that only we can read.

Whoever is on this machine can reach its ports; without a password he is not let in.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from bankrmi.errors import ConfigurationError
from bankrmi.storage.database import private_opener

__all__ = ["Passwords", "kept_passwords"]

_BYTES = 18


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Passwords:
    """Of each user of the database, and of Patroni's own door."""

    superuser: str
    replication: str
    bank: str
    rest: str


def kept_passwords(file: Path) -> Passwords:
    """Return those in a file; they are made if it is not there. Raises ConfigurationError."""
    names = [field.name for field in fields(Passwords)]
    try:
        found = json.loads(file.read_text())
        return Passwords(**{name: str(found[name]) for name in names})
    except FileNotFoundError:
        made = Passwords(**{name: secrets.token_urlsafe(_BYTES) for name in names})
        with open(file, "x", opener=private_opener) as new:
            new.write(json.dumps(asdict(made)))
        return made
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigurationError(f"{file} cannot be read: it has the passwords of the database") from None
