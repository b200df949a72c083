"""What a new bank begins with: its configuration, a ledger, and what starts its processes.

Rule 1: what is written is the commented sample that comes with the package, with other addresses in it.
Rule 2: the texts are made before the first file is written, and no file that is there is touched.
"""

from __future__ import annotations

import os
import pwd
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import bankrmi
from bankrmi.config_settings import checked_address, checked_server_name, is_loopback, split_address
from bankrmi.errors import ConfigurationError

__all__ = ["CERTIFICATES", "NewBank", "conflicts", "read_address", "read_servers"]

CERTIFICATES = "certificates"
_NAMESERVER_PORT, _SERVER_PORT = 9090, 9101
_SERVICE_USER = "bankrmi"
_LONGEST_NAME = 64
_HARDENING = """\
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={folder}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBank:
    """What was asked for."""

    servers: Mapping[str, str]
    """Their addresses by name."""
    witness: str
    """The address of the name server and the witness."""
    certificates: bool = True
    contained: bool = False
    """Whether each process is in a container, which has an address of its own for as long as it runs."""
    serves: str | None = None
    """Which class is replicated, in the place of accounts."""

    def texts(self) -> dict[str, str]:
        """Return the files that every bank has, by name; those of a class have no ledger."""
        ledger = {} if self.serves is not None else {"ledger.csv": _sample("ledger.csv")}
        return {"config.yaml": self._configuration(), **ledger}

    def units(self, folder: Path) -> dict[str, str]:
        """Return systemd's units for a bank that lies in `folder`."""
        kept = {
            "user": pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() else _SERVICE_USER,
            "folder": _in_unit(folder),
            "command": f"{_quoted(sys.executable)} -m bankrmi{self._insecure}",
            "config": _quoted(folder / "config.yaml"),
            "hardening": _HARDENING.format(folder=_quoted(folder)),
        }
        names = ("bankrmi-nameserver.service", "bankrmi-server@.service")
        return {f"systemd/{name}": _filled(_sample(name), kept) for name in names}

    def compose(self) -> dict[str, str]:
        """Return a file for `docker compose`, in which each process is called by its name."""
        services = [self._container("nameserver", "nameserver")]
        services += [self._container(name, f"server {name}") for name in self.servers]
        kept = {
            "version": bankrmi.__version__,
            "user": f"{os.geteuid()}:{os.getegid()}",  # Who else may read the keys?
            "menu": f"docker compose exec nameserver bankrmi{self._insecure} menu",
        }
        return {"compose.yaml": _filled(_sample("compose.yaml"), kept) + "".join(services)}

    def _container(self, name: str, command: str) -> str:
        command = f"bankrmi{self._insecure} {command}"
        return f"  {name}:\n    <<: *bankrmi\n    hostname: {name}\n    command: {command}\n"

    def in_containers(self) -> NewBank:
        """Return the same with the addresses that containers have for each other."""
        return NewBank(
            servers={name: f"{name}:{_SERVER_PORT}" for name in self.servers},
            witness=f"nameserver:{_NAMESERVER_PORT}",
            certificates=self.certificates,
            contained=True,
        )

    def hosts(self) -> dict[str, list[str]]:
        """Return what each process is reached by, for its certificate."""
        addresses = {"nameserver": self.witness, **self.servers}
        return {name: _names_of(split_address(address)[0]) for name, address in addresses.items()}

    @property
    def is_on_one_machine(self) -> bool:
        """Whether all its addresses are this machine's own."""
        return all(map(is_loopback, (self.witness, *self.servers.values())))

    @property
    def needs_insecure(self) -> bool:
        """Whether its commands want `--insecure`: others can reach it, and nobody proves who he is."""
        return not (self.certificates or self.is_on_one_machine)

    @property
    def _insecure(self) -> str:
        return " --insecure" if self.needs_insecure else ""

    def _configuration(self) -> str:
        servers = "".join(f"  {name}: {_in_yaml(address)}\n" for name, address in self.servers.items())
        text = _sample("config.yaml")
        if not self.is_on_one_machine:
            text = _put(
                text,
                r"# A bank on one machine, for trying it out\.",
                "# One file for all machines.",
            )
        text = _put(text, r"(?m)^nameserver: \S+", f"nameserver: {_in_yaml(self.witness)}")
        text = _put(text, r"(?m)^witness: \S+", f"witness: {_in_yaml(self.witness)}")
        text = _put(text, r"(?m)(^servers:.*\n)(?:  \S+: \S+\n)+", rf"\g<1>{servers}")
        if self.contained:
            bound = {"nameserver": self.witness, **self.servers}
            everywhere = "".join(
                f"  {name}: 0.0.0.0:{split_address(address)[1]}\n" for name, address in bound.items()
            )
            text = _put(text, r"(?m)^listen: \{\}(.*\n(?: +#.*\n)+)", rf"listen:   \g<1>{everywhere}")
            text = _put(text, r"(?m)^refused_means_gone: true ", "refused_means_gone: false")
        if self.serves is not None:
            name = self.serves.partition(":")[2].lower()
            if name.isascii() and len(name) <= _LONGEST_NAME:
                text = _put(text, r"(?m)^service: account", f"service: {name}")
            text = _put(text, r"(?m)^serves: +", f"serves: {self.serves}  ")
        if self.certificates:
            text = _put(text, r"(?m)^# folder: certificates  ", "  folder: certificates  ")
        return text


def read_servers(written: str | None) -> dict[str, str]:
    """Return the servers of `s1=HOST[:PORT],s2=...`; raises ConfigurationError."""
    if written is None:
        return {"s1": "127.0.0.1:9101", "s2": "127.0.0.1:9102"}
    servers: dict[str, str] = {}
    for one in written.split(","):
        name, found, host = one.strip().partition("=")
        if not found:
            raise ConfigurationError(f"{one.strip()!r:.80} is not NAME=HOST: write --servers s1=HOST,s2=HOST")
        try:
            checked_server_name(name)
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        if name in servers:
            raise ConfigurationError(f"there are two servers called {name}")
        port = _SERVER_PORT + (len(servers) if _is_this_machine(host) else 0)
        servers[name] = read_address(host, port)
    return servers


def read_address(written: str, port: int = _NAMESERVER_PORT) -> str:
    """Return the address of HOST or HOST:PORT; raises ConfigurationError."""
    has_port = re.search(r"[^:\]]:[^:]*$|\]:", written)
    host = f"[{written}]" if written.count(":") > 1 and not written.startswith("[") else written
    try:
        return checked_address(written if has_port and host == written else f"{host}:{port}")
    except ValueError as wrong:
        raise ConfigurationError(str(wrong)) from None


def _is_this_machine(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _names_of(host: str) -> list[str]:
    """Return what a process is called by whoever calls it by this; of this machine, all that is usual too."""
    return list(dict.fromkeys([host, "127.0.0.1", "localhost"] if _is_this_machine(host) else [host]))


def _sample(name: str) -> str:
    return files("bankrmi.cli").joinpath("samples", name).read_text(encoding="utf-8")


def _put(text: str, pattern: str, new: str) -> str:
    text, times = re.subn(pattern, new, text, count=1)
    assert times == 1, f"the sample has no {pattern}"
    return text


def _filled(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _in_yaml(address: str) -> str:
    """Return it as YAML takes it: a bracket begins a list there."""
    return f'"{address}"' if address.startswith("[") else address


def _in_unit(path: str | Path) -> str:
    """Return it as units write it: a percent sign begins a specifier there."""
    return str(path).replace("%", "%%")


def _quoted(path: str | Path) -> str:
    """Return it as one word of a command line in a unit."""
    written = _in_unit(path)
    if re.fullmatch(r"[\w%/.,:@+=-]+", written, re.ASCII):
        return written
    escaped = written.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{escaped}"'


def conflicts(folder: Path, names: Iterable[str]) -> list[Path]:
    """Return the files that are there already."""
    return [folder / name for name in names if os.path.lexists(folder / name)]
