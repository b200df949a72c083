"""Which programs a PostgreSQL under Patroni takes, where they are, and as whom they run.

Rule: what is missing is said at once, all of it, with the command that installs it.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
from pathlib import Path

from bankrmi.errors import ConfigurationError

__all__ = [
    "bin_folder",
    "check_installed",
    "check_reached",
    "missing_packages",
    "program",
    "unprivileged_user",
    "versions",
]

_OF_POSTGRESQL = ("initdb", "postgres", "pg_basebackup", "pg_rewind", "pg_controldata", "psql")
_PACKAGES = {
    **dict.fromkeys(_OF_POSTGRESQL, "postgresql"),
    "patroni": "patroni",
    "etcd": "etcd-server",
}
_CLUSTERS = Path("/usr/lib/postgresql")
"""Where Debian keeps the programs of each version."""
_USERS = ("postgres", "nobody")
_VERSION = re.compile(r"\d+(\.\d+)+")
_SAYS_S = 20.0


def program(name: str) -> str | None:
    """Return where a program is: the real one before Debian's wrapper, of the newest version."""
    found = [str(path) for path in _CLUSTERS.glob("*/bin")]
    found.sort(key=lambda path: [int(part) for part in path.split("/") if part.isdecimal()], reverse=True)
    return shutil.which(name, path=os.pathsep.join(found)) or shutil.which(name)


def bin_folder() -> Path:
    """Return the folder with PostgreSQL's programs; they are installed."""
    found = program("postgres")
    assert found is not None, "it was looked for before"
    return Path(found).parent


def missing_packages() -> list[str]:
    """Return Debian's packages whose programs are not on this machine."""
    return sorted({package for name, package in _PACKAGES.items() if program(name) is None})


def check_installed() -> None:
    """Raise ConfigurationError if a program is missing, or psycopg; it tells what installs it."""
    missing = missing_packages()
    if missing:
        raise ConfigurationError(
            "a PostgreSQL under Patroni takes programs that are not installed here: "
            f"apt-get install {' '.join(missing)}"
        )
    if importlib.util.find_spec("psycopg") is None:
        raise ConfigurationError(
            "servers whose accounts are in a database need psycopg: pip install 'bankrmi[postgresql]'"
        )


def versions() -> tuple[tuple[str, str], ...]:
    """Return which versions there are, as the programs say; they are installed."""
    said = []
    for title, name in (("PostgreSQL", "postgres"), ("Patroni", "patroni"), ("etcd", "etcd")):
        done = subprocess.run(
            [str(program(name)), "--version"], capture_output=True, text=True, check=False, timeout=_SAYS_S
        )
        found = _VERSION.search(done.stdout)
        said.append((title, found[0] if found else "of an unknown version"))
    return tuple(said)


def unprivileged_user() -> str | None:
    """Return the user that PostgreSQL has to run as if we are root; None: it runs as we do."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _USERS if name in known)


def check_reached(folder: Path, user: str | None) -> None:
    """Raise ConfigurationError unless this user gets to a folder, through all that are above it."""
    for above in folder.parents if user is not None else ():
        if not above.stat().st_mode & stat.S_IXOTH:
            raise ConfigurationError(
                f"PostgreSQL does not run as root, and its user {user} cannot enter {above}: choose another "
                f"folder, or run this as yourself"
            )
