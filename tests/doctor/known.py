"""Facts of a bank of three machines that is well, and of which tests spoil one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from bankrmi.config import Configuration, load
from bankrmi.coordination.keepers import keeper_in_words
from bankrmi.doctor.facts import ClockSeen, Facts, Looked, OwnMachine, ProcessFacts
from bankrmi.rmi import NamedObject
from bankrmi.server.agreement import stated

VERSIONS = {
    "bankrmi": "1",
    "protocol": "1",
    "python": "3.11",
    "pyro5": "5.17",
    "sqlite": "3.54",
    "system": "x",
}
APART = """\
nameserver: 10.0.0.10:9090
servers:
  s1: 10.0.0.11:9101
  s2: 10.0.0.12:9101
certificates:
  folder: certificates
"""


def configured(folder: Path, text: str = APART) -> Configuration:
    """Return what a file says."""
    (folder / "config.yaml").write_text(text)
    return load(folder / "config.yaml", insecure=True, environment={})


def process(configuration: Configuration, name: str, **more: Any) -> ProcessFacts:
    """Return what a process that is well tells."""
    if name == "nameserver":
        settings: dict[str, Any] = {
            "service": configuration.service,
            "servers": dict(configuration.servers),
            "nameserver": configuration.nameserver,
            "witness": keeper_in_words(configuration),
        }
    else:
        settings = stated(configuration)
    address = configuration.servers.get(name, configuration.nameserver)
    return ProcessFacts.model_validate(
        {
            "process": name,
            "machine": f"machine of {name}",
            "versions": VERSIONS,
            "settings": settings,
            "listens_at": [address],
            "folder": f"/var/lib/bank/{name}",
            "free_bytes": 100 << 30,
            "syncs": {"bounds_s": [0.001, 0.01, 0.1, 1.0], "counts": [900, 100, 0, 0, 0]},
            "round_trips_ms": {other: 0.5 for other in configuration.servers if other != name},
            "keeper_ms": 0.5,
            "certificate": {"days_left": 200.0, "hosts": [address.rpartition(":")[0]], "problems": []},
            **more,
        }
    )


def clock(**more: float) -> ClockSeen:
    """Return a clock that goes right, measured well."""
    return ClockSeen(**{"rate": 0.0, "rate_within": 1e-4, "wall_ahead_s": 0.0, "wall_within_s": 1e-4, **more})


def looked(configuration: Configuration, name: str, **more: Any) -> Looked:
    """Return what became of asking it."""
    return Looked(facts=process(configuration, name, **more), clock=clock(), round_trip_ms=0.4)


def well(configuration: Configuration) -> Facts:
    """Return the facts of this bank when nothing is to be said about it."""
    names = ("nameserver", *configuration.servers)
    view = {
        "history": "h",
        "epoch": 2,
        "primary": "s1",
        "in_sync": sorted(configuration.servers),
        "cause": None,
        "written_us": None,
    }
    standing = {"reachable": True, "slow_ms": None}
    return Facts(
        configuration=configuration,
        own_machine=OwnMachine(versions=VERSIONS),
        status={
            "view": view,
            "servers": [
                {"server": name, "address": address, "why": None, "certificate_days": 200, **standing}
                for name, address in configuration.servers.items()
            ],
            "witness": {"address": configuration.nameserver, **standing},
            "nameserver": {"address": configuration.nameserver, **standing},
        },
        looked={name: looked(configuration, name) for name in names},
        names=tuple(
            NamedObject(
                name=f"bankrmi.account.{name}",
                object_id=f"bankrmi.account.{name}",
                address=address,
                tags=frozenset({f"server:{name}", "role:primary" if name == "s1" else "role:standby"}),
            )
            for name, address in configuration.servers.items()
        ),
    )


def with_told(facts: Facts, name: str, **more: Any) -> Facts:
    """Return the same where this process tells something else."""
    return replace(facts, looked={**facts.looked, name: looked(facts.configuration, name, **more)})


def with_denied(facts: Facts, *names: str, why: str = "it denied the connection: revoked") -> Facts:
    """Return the same where these are there, and there is no handshake with them."""
    for name in names:
        facts = with_away(facts, name, why)
    status = dict(facts.status) | {"denials": [{"who": list(names), "why": why}]}
    status["servers"] = [
        one | {"denied": why} if one["server"] in names else one for one in facts.status["servers"]
    ]
    for name in ("witness", "nameserver"):
        status[name] = facts.status[name] | ({"denied": why} if name in names else {})
    return replace(facts, status=status)


def with_away(facts: Facts, name: str, reason: str = "nobody listens there") -> Facts:
    """Return the same where this process does not answer."""
    gone = {"reachable": False, "silent": False, "reason": reason}
    status = dict(facts.status)
    if name in facts.configuration.servers:
        status["servers"] = [one | gone if one["server"] == name else one for one in facts.status["servers"]]
    else:
        status[name] = facts.status[name] | gone
    return replace(facts, status=status, looked={**facts.looked, name: Looked(why_not=reason)})
