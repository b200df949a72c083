"""Who has the ports that a bank on this machine wants: this bank, that of another folder, or something else.

Rule: nothing is done to anybody here; a person is told whose the ports are, and what to do.
Assumption: Linux, whose /proc tells the owner of a port, if it is this user's; elsewhere, and of others, less
is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bankrmi.config import METRICS_OF_NAMESERVER, METRICS_OF_WITNESS, Configuration, split_address
from bankrmi.socket_owners import socket_owners, tcp_sockets

__all__ = ["who_has_the_ports"]

_OWN_COMMANDS = ("server", "nameserver", "up")
"""`up` listens in the place of the others where it puts relays before them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Occupant:
    """A process that listens; `config` if it is one of a bank, `up` the process that keeps that bank."""

    pid: int
    words: tuple[str, ...]
    config: Path | None
    up: int | None


def who_has_the_ports(configuration: Configuration) -> list[str]:
    """Return a sentence for each bank or process that has ports of this one."""
    processes = [METRICS_OF_NAMESERVER, *configuration.servers]
    if configuration.witness_address is not None:
        processes.append(METRICS_OF_WITNESS)
    addresses = [configuration.listens_at(process) for process in processes]
    addresses += configuration.metrics.values()
    ports = {split_address(address)[1]: address for address in addresses}
    held: dict[str, list[str]] = {}
    for port, pid in _listeners(set(ports)):
        occupant = _occupant(pid)
        held.setdefault(_sentence(occupant, configuration), []).append(ports[port])
    return [sentence.format(addresses=", ".join(sorted(which))) for sentence, which in held.items()]


def _sentence(occupant: _Occupant | None, configuration: Configuration) -> str:
    own_ports = f"or give this bank ports of its own in {_braced(str(configuration.path))}"
    if occupant is None:
        return f"{{addresses}}: taken by a process of another user: end it, {own_ports}"
    stop = f"'kill {occupant.up or occupant.pid}'"
    if occupant.config is None:
        name = _braced(" ".join(occupant.words)[:80])
        return f"{{addresses}}: taken by process {occupant.pid} ({name}): end it, {own_ports}"
    if occupant.config == configuration.path.resolve():
        return f"{{addresses}}: this bank runs already: 'bankrmi menu' opens another menu, {stop} stops it"
    theirs = _braced(str(occupant.config))
    return f"{{addresses}}: taken by the bank of {theirs}: stop that one with {stop}, {own_ports}"


def _braced(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _listeners(ports: set[int]) -> Iterator[tuple[int, int | None]]:
    """Yield each of these ports on which somebody listens, and who; None if that cannot be seen."""
    listeners = {one.inode: one.local[1] for one in tcp_sockets(ports) if one.listens}
    owners = socket_owners(listeners)
    for inode, port in listeners.items():
        yield port, owners.get(inode)


def _occupant(pid: int | None) -> _Occupant | None:
    if pid is None:
        return None
    process = Path(f"/proc/{pid}")
    try:
        words = tuple((process / "cmdline").read_text(errors="replace").strip("\0").split("\0"))
        folder = (process / "cwd").readlink()
        environment = (process / "environ").read_text(errors="replace").split("\0")
    except OSError:
        return None
    is_ours = any("bankrmi" in word for word in words) and any(word in _OWN_COMMANDS for word in words)
    config = None
    if is_ours:
        named = _option(words, "--config")
        inherited = [entry.partition("=")[2] for entry in environment if entry.startswith("BANKRMI_CONFIG=")]
        config = (folder / (named or next(iter(inherited), "") or "config.yaml")).resolve()
    up = _option(words, "--parent-pid")
    return _Occupant(pid=pid, words=words, config=config, up=int(up) if up and up.isdigit() else None)


def _option(words: tuple[str, ...], name: str) -> str | None:
    for word, following in zip(words, (*words[1:], ""), strict=True):
        if word == name:
            return following
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None
