"""What every server, the witness and the name server say of themselves, asked side by side.

Rule 1: whoever is down is reported as such and keeps nobody waiting for longer than `_SECONDS`; who has much
        to do and answers after a while is slow, and not down. An interruption does not wait for them either.
Rule 2: the view is the witness's; where it cannot be asked, that of the server that leads in the newest one,
        or, if another one of its history knows of a newer one, of that; `view_from` says whose it is.
Rule 3: who is there, and with whom there is no handshake, is not silent: `denied` says why.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import floor
from typing import Any, ParamSpec, TypeVar

from bankrmi.client.asking import ask_once
from bankrmi.client.finding import MOST_SERVERS
from bankrmi.client.onlooker import Onlooker
from bankrmi.client.requests import ACCOUNT_ID
from bankrmi.config import Configuration, EtcdSettings, check_learned, keeper_as_stated
from bankrmi.coordination.keepers import every_member, keeper_in_words
from bankrmi.coordination.witness import WITNESS_ID
from bankrmi.errors import BankError
from bankrmi.foreign_text import foreign
from bankrmi.replication.cause import Cause
from bankrmi.replication.pause import Pause
from bankrmi.rmi import (
    NAMESERVER_NAME,
    ConnectDenied,
    DeniedByOther,
    Failure,
    NotConnected,
    TlsCredentials,
    TlsIdentity,
)

__all__ = ["as_it_is_now", "overview", "view_fields"]

_SECONDS = 2.5
_SLOW_SECONDS = 0.5

_Told = Mapping[str, Any]
_Asked = ParamSpec("_Asked")
_Said = TypeVar("_Said")

_UNKNOWN = dict.fromkeys(
    (
        "role",
        "why",
        "pid",
        "listens_at",
        "epoch",
        "action_id",
        "newest_us",
        "acknowledged",
        "digest",
        "lag",
        "read_lease_ms",
        "role_for_ms",
        "view_epoch",
        "copies",
        "acknowledges",
        "connected",
        "witness_silent_ms",
        "certificate_days",
        "state_version",
        "class_version",
        "migration",
        "services",
    )
)


def overview(configuration: Configuration, *, still: Collection[str] = ()) -> dict[str, Any]:
    """Return the status of the whole bank, in the shape of `bankrmi status --json`.

    Servers that are known to stand `still`, by who sees their processes, are not asked, and not waited for.
    """
    onlooker = Onlooker.of(configuration)
    asked = {
        name: _beside(_ask, onlooker, address, ACCOUNT_ID + name, "status")
        for name, address in configuration.servers.items()
        if name not in still
    }
    witness = _beside(_ask_keeper, configuration, onlooker)
    names = _beside(_ask, onlooker, configuration.nameserver, NAMESERVER_NAME, "ping")
    told = {name: _Answer(said="it stands still", seconds=0.0) for name in configuration.servers}
    told |= {name: one.result() for name, one in asked.items()}
    keeper, keeper_standing = _checked_keeper(configuration, *witness.result(), told)
    said = {name: one.said for name, one in told.items()}
    servers = _servers_now(configuration, keeper, said)
    told = _asked_where_they_live(configuration, servers, onlooker, told)
    view, view_from = _view(keeper, {name: told[name].said for name in servers})
    rows = [_server(name, address, told[name], view) for name, address in servers.items()]
    nameserver = _reachable(configuration.nameserver, names.result())
    keeper_standing |= _there_for_others(keeper_standing, rows, nameserver)
    return {
        "service": configuration.service,
        "services": dict(configuration.services),
        "view": view,
        "view_from": view_from,
        "copies_min": configuration.copies_min,
        "open_to_strangers": configuration.open_to_strangers(),
        "denials": _denials(
            [
                *((one["server"], one) for one in rows),
                ("witness", keeper_standing),
                ("nameserver", nameserver),
            ]
        ),
        "servers": rows,
        "witness": keeper_standing,
        "nameserver": nameserver,
        "own_certificate": onlooker.own,
        "why_client": onlooker.why_client or None,
    }


def _denials(parts: list[tuple[str, _Told]]) -> list[dict[str, Any]]:
    """Return who is there and lets nobody in who shows what we do, or is not let in by us; and why."""
    by_reason: dict[str, list[str]] = {}
    for name, part in parts:
        if "denied" in part and not part.get("lets_us_in", part["reachable"]):
            why = foreign(str(part["denied"]).replace(str(part["address"]), "it"))
            by_reason.setdefault(why, []).append(name)
    return [{"who": names, "why": why} for why, names in by_reason.items()]


def as_it_is_now(configuration: Configuration) -> Configuration:
    """Return the configuration with the servers that there are by now, and where they live (V12)."""
    shown = overview(configuration)["servers"]
    return configuration.with_servers({row["server"]: row["address"] for row in shown})


def _servers_now(
    configuration: Configuration, keeper: _Told | str, said: Mapping[str, _Told | str]
) -> Mapping[str, str]:
    """Return the servers of the view, as its keeper has it, or whoever knows the newest; else those of the
    configuration (V12): who leads may be none of these.

    What a file could not name is not believed.
    """
    trusts_any = configuration.insecure or configuration.certificates is not None
    newest = sorted(said.values(), key=_view_epoch, reverse=True)
    for told in (keeper, *newest):
        servers = None if isinstance(told, str) else told.get("servers")
        if not isinstance(servers, Mapping) or not 0 < len(servers) <= MOST_SERVERS:
            continue
        if all(_is_possible(name, address, insecure=trusts_any) for name, address in servers.items()):
            return servers
    return configuration.servers


def _view_epoch(told: _Told | str) -> int:
    epoch = None if isinstance(told, str) else told.get("view_epoch")
    return epoch if type(epoch) is int else -1


def _is_possible(name: object, address: object, *, insecure: bool) -> bool:
    is_text = isinstance(name, str) and isinstance(address, str)
    return is_text and not check_learned(str(name), str(address), insecure=insecure)


def _asked_where_they_live(
    configuration: Configuration,
    servers: Mapping[str, str],
    onlooker: Onlooker,
    told: Mapping[str, _Answer],
) -> dict[str, _Answer]:
    """Return the answers of all; those are asked now who live elsewhere than the configuration says."""
    elsewhere = {
        name: address for name, address in servers.items() if configuration.servers.get(name) != address
    }
    if not elsewhere:
        return dict(told)
    asked = {
        name: _beside(_ask, onlooker, address, ACCOUNT_ID + name, "status")
        for name, address in elsewhere.items()
    }
    return {**told, **{name: one.result() for name, one in asked.items()}}


def _beside(ask: Callable[_Asked, _Said], *args: _Asked.args, **named: _Asked.kwargs) -> Future[_Said]:
    """Ask in a thread that nobody has to wait for: who is interrupted meanwhile, or ends, does so at once."""
    answer: Future[_Said] = Future()

    def run() -> None:
        try:
            answer.set_result(ask(*args, **named))
        except BaseException as error:  # It is raised where the answer is wanted.
            answer.set_exception(error)

    threading.Thread(target=run, name="overview", daemon=True).start()
    return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What was answered, or why nothing was.

    `nobody`: it is certain that nobody listens there; `denied`: somebody does, and one of the two does not
    want the other; `by_other`: that is not us.
    """

    said: _Told | str
    seconds: float
    nobody: bool = False
    denied: bool = False
    by_other: bool = False
    certificate_days: int | None = None
    """How long the certificate lasts that was shown."""
    keeper: str = ""
    """Of a server: where the view is kept that it goes by, if that answers it."""

    def standing(self) -> dict[str, Any]:
        """Return what this says about whoever was asked."""
        if isinstance(self.said, str):
            told = {
                "reachable": False,
                "silent": not (self.nobody or self.denied),
                "reason": self.said,
                **({"denied": self.said} if self.denied else {}),
            }
        else:
            slow = self.seconds > _SLOW_SECONDS
            told = {"reachable": True, "slow_ms": round(1000 * self.seconds) if slow else None}
        return {**told, "certificate_days": self.certificate_days}


class _Noting:
    """Credentials that note until when the certificate counts that was shown to them."""

    def __init__(self, credentials: TlsCredentials) -> None:
        self._credentials = credentials
        self.days: int | None = None

    def server_context(self) -> ssl.SSLContext:
        return self._credentials.server_context()

    def client_context(self) -> ssl.SSLContext:
        return self._credentials.client_context()

    def identity_of(self, der: bytes) -> TlsIdentity:
        identity = self._credentials.identity_of(der)
        self.days = floor((identity.not_after - datetime.now(UTC)) / timedelta(days=1))
        return identity


def _ask(onlooker: Onlooker, address: str, object_id: str, method: str, *args: object) -> _Answer:
    began = time.monotonic()
    nobody = denied = by_other = False
    noting = None if onlooker.credentials is None else _Noting(onlooker.credentials)
    greetings: list[Mapping[str, Any]] = []
    try:
        answer = ask_once(
            address,
            object_id,
            method,
            args,
            seconds=_SECONDS,
            role=onlooker.role,
            credentials=noting,
            on_greeting=greetings.append,
        )
        said: _Told | str = answer if isinstance(answer, dict) else {}
    except BankError as error:
        failure = error.__cause__
        nobody = isinstance(failure, NotConnected) and failure.reason == "refused"
        denied = isinstance(failure, ConnectDenied) and failure.retry_ms is None  # Else it is only full.
        by_other = denied and isinstance(failure, DeniedByOther)
        said = error.message
        if isinstance(failure, Failure) and failure.reason == "timeout":
            said = f"no answer from {address} in {_SECONDS:g} s: stopped, cut off, or with far too much to do"
    return _Answer(
        said=said,
        seconds=time.monotonic() - began,
        nobody=nobody,
        denied=denied,
        by_other=by_other,
        certificate_days=None if noting is None else noting.days,
        keeper=_keeper_met(greetings),
    )


def _keeper_met(greetings: Sequence[Mapping[str, Any]]) -> str:
    """Return where the view is kept that a server goes by; nothing if it does not say that it answers."""
    match greetings:
        case [{"settings": {"witness": str(place), "witness_id": str()}}]:
            return place
    return ""


def _ask_keeper(configuration: Configuration, onlooker: Onlooker) -> tuple[_Told | str, dict[str, Any]]:
    """Return what the keeper of the view says, or why it says nothing; and what is told about it itself."""
    if configuration.etcd is not None:
        return _ask_etcd(configuration.etcd, configuration.service)
    assert configuration.witness_address is not None
    answer = _ask(onlooker, configuration.witness_address, WITNESS_ID, "read", configuration.service)
    standing = _reachable(configuration.witness_address, answer)
    if answer.denied:
        standing["lets_us_in"] = onlooker.role == "client" and f"{WITNESS_ID} is for " in str(answer.said)
    return answer.said, standing


def _there_for_others(
    keeper: Mapping[str, Any], servers: Sequence[Mapping[str, Any]], nameserver: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what is known of a keeper that denies us: it is there, if no server that we reach misses it."""
    reached = [one for one in servers if one["reachable"]]
    if "denied" not in keeper or not (reached or nameserver["reachable"]):
        return {}
    silences = [one.get("witness_silent_ms") for one in reached]
    if any(isinstance(ms, int | float) and ms > 0 for ms in silences):
        return {}
    return {"reachable": True, "slow_ms": None}


def _checked_keeper(
    configuration: Configuration,
    said: _Told | str,
    standing: dict[str, Any],
    servers: Mapping[str, _Answer],
) -> tuple[_Told | str, dict[str, Any]]:
    """Return the same, unless it holds no view because the servers run with another keeper than this one.

    That one has lost nothing: it was never theirs, or not yet.
    """
    ours = keeper_as_stated(configuration)
    elsewhere = {name: one.keeper for name, one in servers.items() if one.keeper not in ("", ours)}
    if isinstance(said, str) or said or not elsewhere:
        return said, standing
    run = "runs" if len(elsewhere) == 1 else "run"
    places = ", ".join(dict.fromkeys(foreign(place, 200) for place in elsewhere.values()))
    keeper, who = keeper_in_words(configuration), ", ".join(elsewhere)
    reason = f"{keeper} holds no view, and {who} {run} with another keeper ({places})"
    return reason, {**standing, "reachable": False, "silent": False, "reason": reason, "elsewhere": True}


def _ask_etcd(settings: EtcdSettings, service: str) -> tuple[_Told | str, dict[str, Any]]:
    """Ask every member: any that answers knows the view, and who is silent is told."""
    try:
        members = every_member(settings, service, seconds=_SECONDS)
    except BankError as error:  # A file that is needed on the way.
        return error.message, {"reachable": False, "silent": False, "reason": error.message, "address": None}
    heard = [one for one in members if one.reason is None]
    newest = max((one.view for one in heard if one.view), key=lambda view: view.epoch, default=None)
    said: _Told | str = newest.to_wire() if newest is not None else {}
    if not heard:
        said = "; ".join(dict.fromkeys(str(one.reason) for one in members))
    answer = _Answer(said=said, seconds=min(one.seconds for one in heard or members))
    standing = _reachable(f"etcd at {settings.in_words()}", answer)
    standing["members"] = [
        {"address": one.url, "reachable": one.reason is None, "reason": one.reason} for one in members
    ]
    return said, standing


def _reachable(address: str, answer: _Answer) -> dict[str, Any]:
    return {**answer.standing(), "address": address}


def _view(
    witness: _Told | str, servers: Mapping[str, _Told | str]
) -> tuple[dict[str, Any] | None, str | None]:
    if isinstance(witness, dict):
        # It was reached, so that it holds none is the truth, whatever the servers remember.
        return (view_fields(witness), "witness") if witness else (None, "witness")
    views = {
        name: view_fields(told)
        for name, told in servers.items()
        if isinstance(told, dict) and told.get("role") == "primary" and isinstance(told.get("epoch"), int)
    }
    if not views:
        return None, None
    name = max(views, key=lambda one: views[one]["epoch"])
    views[name]["primary"] = name
    newer = {
        other: {**view_fields(told), "epoch": told["view_epoch"]}
        for other, told in servers.items()
        if isinstance(told, dict)
        and isinstance(told.get("view_epoch"), int)
        and told["view_epoch"] > views[name]["epoch"]
        and told.get("history") == views[name]["history"]
    }
    if newer:
        name = max(newer, key=lambda one: newer[one]["epoch"])
    return {**views, **newer}[name], name


def view_fields(told: _Told) -> dict[str, Any]:
    """Return what a view is made of, each of its kind, whatever was told."""
    view: dict[str, Any] = {name: _scalar(told.get(name)) for name in ("history", "epoch", "primary")}
    in_sync = told.get("in_sync")
    view["in_sync"] = sorted(map(str, in_sync)) if isinstance(in_sync, list | tuple) else []
    cause, written_us = Cause.from_wire(told.get("cause")), told.get("written_us")
    view["cause"] = None if cause is None else cause.to_wire()
    view["paused"] = _pause(told.get("paused"))
    view["written_us"] = written_us if type(written_us) is int else None
    return view


def _pause(form: object) -> dict[str, Any] | None:
    """Return a pause as it should be; one that cannot be read is one all the same."""
    try:
        pause = Pause.from_wire(form)
    except ValueError:
        return {"by": None, "since_us": None, "reason": None}
    return None if pause is None else pause.to_wire()


def _scalar(value: object) -> str | int | None:
    """Return the value if it is one that a view has; what only claims to be a server may say anything."""
    return value if value is None or isinstance(value, str | int) else foreign(value)


def _server(name: str, address: str, answer: _Answer, view: _Told | None) -> dict[str, Any]:
    known = {"server": name, **_UNKNOWN}
    if not isinstance(answer.said, str):
        known |= {key: value for key, value in answer.said.items() if key != "servers"}
    told_days = known["certificate_days"]
    known |= {"server": name, **answer.standing()}
    if told_days is not None:  # Its authority's end is in that, too.
        known["certificate_days"] = told_days
    if view is not None:
        known["in_sync"] = name in view["in_sync"]
    elif not isinstance(known.get("in_sync"), bool):
        known["in_sync"] = None
    return {**known, "address": address}
