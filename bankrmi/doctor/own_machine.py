"""This machine: can what is to run here start, and is its disk one for a bank?

Rule 1: the disk is tried only where no process of the bank runs: a sync in between delays an update.
Rule 2: what is tried leaves nothing behind, and takes a few seconds at most.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from bankrmi.config import Configuration, split_address
from bankrmi.diagnosis import free_bytes, own_versions
from bankrmi.doctor.certificates_judged import AUTHORITY, DAYS, renewal
from bankrmi.doctor.facts import OwnMachine
from bankrmi.errors import ConfigurationError
from bankrmi.moments import end_in_words
from bankrmi.own_credentials import own_credentials
from bankrmi.rmi import is_here
from bankrmi.server.data_directory import ledger_of
from bankrmi.service.loading import load_served
from bankrmi.storage.database import lock_owner

__all__ = ["look_at_own_machine"]

_LOOK_UP_SECONDS = 2.5
_SYNCS, _SYNC_BYTES, _SYNC_SECONDS = 30, 4096, 3.0


def look_at_own_machine(
    configuration: Configuration,
    who_has_the_ports: Callable[[Configuration], list[str]],
    *,
    is_running: bool,
) -> OwnMachine:
    """Return what is to be seen here; with `is_running`, nothing but what disturbs nobody."""
    unresolved = _unresolved(configuration)
    if is_running or _runs_here(configuration):
        return OwnMachine(versions=own_versions(), unresolved=unresolved)
    folder = _nearest(configuration.data_dir)
    syncs, writing = _syncs(folder)
    here = list(_here(configuration))
    taken = any(not _is_free(configuration.listens_at(name)) for name in here)
    return OwnMachine(
        versions=own_versions(),
        is_idle=True,
        is_new=bool(here) and not any(_has_run(configuration, name) for name in here),
        unresolved=unresolved,
        ports=tuple(who_has_the_ports(configuration)) if taken else (),
        folder=str(folder),
        free_bytes=free_bytes(folder),
        sync_s=syncs,
        writing=writing,
        files=tuple(_files(configuration, here)),
    )


def _unresolved(configuration: Configuration) -> tuple[str, ...]:
    """Return the hosts that nobody knows; a look-up that takes too long counts as one."""
    announced = [configuration.nameserver, *configuration.servers.values()]
    announced += [configuration.witness_address] if configuration.witness_address else []
    hosts = dict.fromkeys(split_address(address)[0] for address in announced)
    known: set[str] = set()

    def look_up(host: str) -> None:
        with suppress(OSError, UnicodeError):
            socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
            known.add(host)

    # Threads that nobody waits for at the end: a look-up may take half a minute.
    looking = [threading.Thread(target=look_up, args=(host,), daemon=True) for host in hosts]
    until = time.monotonic() + _LOOK_UP_SECONDS
    for thread in looking:
        thread.start()
    for thread in looking:
        thread.join(max(0.0, until - time.monotonic()))
    return tuple(host for host in hosts if host not in known)


def _runs_here(configuration: Configuration) -> bool:
    """Return whether a process of this bank has one of its folders."""
    return any(_has_owner(configuration.data_dir / name) for name in (*configuration.servers, "witness"))


def _has_owner(folder: Path) -> bool:
    # The lock itself is not tried: a server that starts just now would find it taken.
    try:
        pid = lock_owner(folder)
        if pid is None:
            return False
        os.kill(pid, 0)
    except (OSError, OverflowError) as error:
        return isinstance(error, PermissionError)
    try:
        return b"bankrmi" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def _has_run(configuration: Configuration, name: str) -> bool:
    """Return whether this process has left a disk here."""
    of_witness = configuration.data_dir / "witness" / "view.db"
    return (of_witness if name == "nameserver" else configuration.data_dir / name / "bank.db").exists()


def _here(configuration: Configuration) -> Iterator[str]:
    """Yield the processes that could run on this machine, as far as their addresses say."""
    for name in ("nameserver", *configuration.servers):
        if is_here(configuration.listens_at(name)):
            yield name


def _is_free(address: str) -> bool:
    host, port = split_address(address)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trying:
            trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trying.bind(where)
    except (OSError, UnicodeError):
        return False
    return True


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder


def _syncs(folder: Path) -> tuple[tuple[float, ...], str]:
    """Return how long syncs take there; or why nothing can be written."""
    took: list[float] = []
    until = time.monotonic() + _SYNC_SECONDS
    try:
        with tempfile.TemporaryFile(prefix=".bankrmi-doctor-", dir=folder) as file:
            while len(took) < _SYNCS and time.monotonic() < until:
                file.write(b"\0" * _SYNC_BYTES)
                file.flush()
                began = time.perf_counter()
                os.fsync(file.fileno())
                took.append(time.perf_counter() - began)
    except OSError as error:
        return (), f"nothing can be written in {folder}: {error.strerror or error}"
    return tuple(took), ""


def _files(configuration: Configuration, here: list[str]) -> Iterator[str]:
    """Yield what is wrong with what the processes need that could run here."""
    for name in here:
        try:
            credentials = own_credentials(configuration, "server", name)
        except ConfigurationError as error:
            yield error.message
            continue
        if credentials is not None and credentials.days_left < DAYS:
            stem = credentials.ends_first
            whose = "the bank's authority" if stem == AUTHORITY else f"the certificate of {name}"
            yield f"{whose} {end_in_words(credentials.days_left)}: {renewal(stem)} here"
    servers = [name for name in here if name in configuration.servers]
    if servers and not any(_has_run(configuration, name) for name in servers):
        try:
            ledger = ledger_of(configuration, load_served(configuration))
            if ledger is not None:
                ledger.balances()
        except ConfigurationError as error:
            yield error.message
