"""An etcd of three real members on this machine, for one test or for a file of them.

    with EtcdMembers(folder) as etcd:                     # waits until a leader is elected
        etcd.settings()                                   # as a configuration names it
        etcd.kill("m1"); etcd.pause("m2"); etcd.resume("m2"); etcd.start("m1")

With `tls`, members and clients show each other certificates of an authority made for the test (openssl); with
`user`, etcd's own authentication is on.
Rule: whatever happens, no member outlives the `with`, and none is left paused.
"""

from __future__ import annotations

import base64
import json
import shutil
import signal
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from bankrmi.config import EtcdSettings
from bankrmi.held_port import HeldPort

__all__ = ["EtcdMembers", "certificate_for", "needs_etcd", "new_authority"]

MEMBERS = ("m1", "m2", "m3")
DEADLINE_S = 60.0

needs_etcd = pytest.mark.skipif(
    shutil.which("etcd") is None, reason="etcd is missing: apt-get install etcd-server"
)


class EtcdMembers:
    """Three members of one cluster."""

    def __init__(self, folder: Path, *, tls: bool = False, user: tuple[str, str] | None = None) -> None:
        self.folder = folder
        self.user = user
        self._scheme = "https" if tls else "http"
        self._clients: dict[str, HeldPort] = {}
        self._peers: dict[str, HeldPort] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._paused: set[str] = set()

    def __enter__(self) -> EtcdMembers:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._clients = {member: HeldPort() for member in MEMBERS}
        self._peers = {member: HeldPort() for member in MEMBERS}
        if self._scheme == "https":
            new_authority(self.folder, "ca")
            certificate_for(self.folder, "member", "ca", common_name="")
            certificate_for(self.folder, "client", "ca", common_name="")
        self.start(*MEMBERS)
        self.until(self.is_healthy, "etcd has a leader")
        if self.user is not None:
            self._enable_authentication(*self.user)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill(*self._running)
        for port in (*self._clients.values(), *self._peers.values()):
            port.close()

    # -- what a bank is told -------------------------------------------------------------------------

    def url(self, member: str) -> str:
        return f"{self._scheme}://{self._clients[member].address}"

    def settings(self, **others: Any) -> EtcdSettings:
        return EtcdSettings.model_validate({**self.keys(), **others})

    def keys(self) -> dict[str, Any]:
        """What stands below `witness:` in config.yaml."""
        keys: dict[str, Any] = {"etcd": [self.url(member) for member in MEMBERS]}
        if self._scheme == "https":
            keys["ca"] = str(self.folder / "ca.pem")
            keys["certificate"] = str(self.folder / "client.pem")
            keys["key"] = str(self.folder / "client.key")
        if self.user is not None:
            keys |= {"user": self.user[0], "password": self.user[1]}
        return keys

    # -- members -------------------------------------------------------------------------------------

    def start(self, *members: str) -> None:
        cluster = ",".join(f"{member}=http://{port.address}" for member, port in self._peers.items())
        for member in members:
            peer, client = f"http://{self._peers[member].address}", self.url(member)
            command = ["etcd", "--name", member, "--data-dir", str(self.folder / member)]
            command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
            command += ["--listen-client-urls", client, "--advertise-client-urls", client]
            command += ["--initial-cluster", cluster, "--log-level", "error"]
            # Quicker than usual: elections are what tests wait for.
            command += ["--heartbeat-interval", "50", "--election-timeout", "500"]
            if self._scheme == "https":
                command += ["--cert-file", str(self.folder / "member.pem")]
                command += ["--key-file", str(self.folder / "member.key")]
                command += ["--trusted-ca-file", str(self.folder / "ca.pem"), "--client-cert-auth"]
            with (self.folder / f"{member}.log").open("ab") as log:
                self._running[member] = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self, *members: str) -> None:
        for member in members:
            self.resume(member)
            process = self._running.get(member)
            if process is not None:
                process.kill()
                process.wait()

    def pause(self, member: str) -> None:
        """SIGSTOP; return when all its threads stand still."""
        self._paused.add(member)
        process = self._running[member]
        process.send_signal(signal.SIGSTOP)
        self.until(lambda: all(state in "TZ" for state in _states_of(process.pid)), f"{member} stands still")

    def resume(self, member: str) -> None:
        if member in self._paused:
            self._paused.discard(member)
            self._running[member].send_signal(signal.SIGCONT)

    def leader(self) -> str:
        """Return the member that leads; whichever is asked says it."""
        for member in MEMBERS:
            try:
                told = self.ask("/v3/maintenance/status", {}, member)
            except OSError:
                continue
            if told.get("leader") == told["header"]["member_id"]:
                return member
        raise AssertionError("no member leads")

    # -- questions -----------------------------------------------------------------------------------

    def ask(self, path: str, question: Mapping[str, Any], member: str = "m1", token: str = "") -> Any:
        """Ask as a client of no library of ours does; raises OSError."""
        headers = {"Authorization": token} if token else {}
        request = urllib.request.Request(self.url(member) + path, json.dumps(question).encode(), headers)
        context = None
        if self._scheme == "https":
            context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
            context.load_cert_chain(self.folder / "client.pem", self.folder / "client.key")
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:
            return json.load(answer)

    def put(self, key: str, value: str) -> None:
        self.ask("/v3/kv/put", {"key": coded(key), "value": coded(value)})

    def delete_all(self) -> None:
        self.ask("/v3/kv/deleterange", {"key": coded("/"), "range_end": coded("0")})

    def is_healthy(self) -> bool:
        try:
            return all(self.ask("/v3/kv/range", {"key": coded("x")}, member) for member in MEMBERS)
        except OSError:
            return False

    def until(self, condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"it did not come about that {what}"
            time.sleep(0.02)

    def _enable_authentication(self, name: str, password: str) -> None:
        self.ask("/v3/auth/user/add", {"name": "root", "password": "of root"})
        self.ask("/v3/auth/user/grant", {"user": "root", "role": "root"})
        self.ask("/v3/auth/role/add", {"name": "bank"})
        permission = {"permType": "READWRITE", "key": coded("/bankrmi/"), "range_end": coded("/bankrmi0")}
        self.ask("/v3/auth/role/grant", {"name": "bank", "perm": permission})
        self.ask("/v3/auth/user/add", {"name": name, "password": password})
        self.ask("/v3/auth/user/grant", {"user": name, "role": "bank"})
        self.ask("/v3/auth/enable", {})


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# -- certificates ------------------------------------------------------------------------------------


def new_authority(folder: Path, name: str) -> None:
    """Make an authority: `name`.pem and `name`.key."""
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-days", "2", "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        *("-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")),
    )


def certificate_for(folder: Path, name: str, authority: str, *, common_name: str) -> None:
    """Make `name`.pem and `name`.key for 127.0.0.1, by an authority; for both ends of a connection."""
    request = folder / f"{name}.csr"
    subject = f"/O=test/CN={common_name}" if common_name else "/O=test"
    _openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-subj", subject, "-keyout", str(folder / f"{name}.key"), "-out", str(request)),
    )
    extensions = folder / f"{name}.ext"
    extensions.write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    _openssl(
        *("x509", "-req", "-days", "2", "-in", str(request), "-extfile", str(extensions)),
        *("-CA", str(folder / f"{authority}.pem"), "-CAkey", str(folder / f"{authority}.key")),
        *("-CAcreateserial", "-out", str(folder / f"{name}.pem")),
    )


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _states_of(pid: int) -> list[str]:
    """Return the state of each thread, as proc(5) has it."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            found.append((thread / "stat").read_text().rpartition(")")[2].split()[0])
    return found


@contextmanager
def paused(etcd: EtcdMembers, *members: str) -> Iterator[None]:
    """Let members stand still for a while."""
    for member in members:
        etcd.pause(member)
    try:
        yield
    finally:
        for member in members:
            etcd.resume(member)
