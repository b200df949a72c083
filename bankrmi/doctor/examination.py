"""Everybody asked, side by side.

Rule 1: nobody is waited for longer than a few seconds, and those who are dead are waited for together.
Rule 2: what runs is asked, and never measured from outside: only an idle machine's disk is tried.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from bankrmi.client.asking import Ask, asking
from bankrmi.client.onlooker import Onlooker
from bankrmi.client.overview import overview
from bankrmi.config import Configuration, one_endpoint
from bankrmi.coordination.keepers import every_member
from bankrmi.diagnosis import DIAGNOSIS_ID
from bankrmi.doctor.facts import ClockSeen, Facts, Looked, MemberState, read_facts
from bankrmi.doctor.own_machine import look_at_own_machine
from bankrmi.errors import BankError, ConfigurationError, OperationFailed
from bankrmi.rmi import Failure, NamedObject, RemoteError, look_up

__all__ = ["examine"]

_AskNow = Callable[[str], Any]

_SECONDS = 2.5
_APART_S = 1.0
"""Between the two looks at a clock: an error of a millisecond is one in a thousand then."""
_LOOKS = 5
"""The quickest of so many answers says best what a clock shows."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """What another clock showed when ours showed `at_s`, give or take `within_s`."""

    at_s: float
    within_s: float
    monotonic_s: float
    wall_ahead_s: float


def examine(configuration: Configuration, who_has_the_ports: Callable[[Configuration], list[str]]) -> Facts:
    """Return what can be found out from here; takes a few seconds, whoever is dead."""
    try:
        onlooker = Onlooker.of(configuration)
    except ConfigurationError as error:  # As on the machine of a server, which needs neither.
        machine = look_at_own_machine(configuration, who_has_the_ports, is_running=False)
        return Facts(
            configuration=configuration,
            own_machine=machine,
            why_not_asked=error.message,
            is_for_servers=_is_for_servers(configuration),
        )
    addresses = _processes(configuration)
    with ThreadPoolExecutor(len(addresses) + 3) as pool:
        shown = pool.submit(overview, configuration)
        looks = {name: pool.submit(_look, onlooker, name, address) for name, address in addresses.items()}
        names = pool.submit(_names, configuration, onlooker)
        members = pool.submit(_members, configuration)
    status = shown.result()
    servers = {row["server"]: row["address"] for row in status["servers"]}
    now = _processes(configuration.with_servers(servers))
    elsewhere = {name: address for name, address in now.items() if addresses.get(name) != address}
    if elsewhere:  # By the view, and not by the file (V12).
        with ThreadPoolExecutor(len(elsewhere)) as pool:
            looks |= {
                name: pool.submit(_look, onlooker, name, address) for name, address in elsewhere.items()
            }
    found = Facts(
        configuration=configuration,
        own_machine=look_at_own_machine(configuration, who_has_the_ports, is_running=True),
        status=status,
        looked={name: looks[name].result() for name in now},
        names=names.result(),
        members=_result(members),
        why_client=onlooker.why_client,
    )
    if found.is_running:
        return found
    machine = look_at_own_machine(configuration, who_has_the_ports, is_running=False)
    return replace(found, own_machine=machine)


def _result(members: Future[tuple[MemberState, ...]]) -> tuple[MemberState, ...]:
    try:
        return members.result()
    except BankError:  # A file that the way to etcd needs: the status says so.
        return ()


def _is_for_servers(configuration: Configuration) -> bool:
    """Return whether there are certificates of servers here, and of nobody else."""
    if configuration.certificates is None:
        return False
    from bankrmi.certificates.folder import holders_in

    try:
        return {role for role, _ in holders_in(configuration.certificates.folder)} == {"server"}
    except ConfigurationError:
        return False


def _processes(configuration: Configuration) -> dict[str, str]:
    """Return where each process is found; the witness only if it has an address of its own."""
    witness = configuration.witness_address
    apart = witness is not None and one_endpoint(witness) != one_endpoint(configuration.nameserver)
    others = {"nameserver": configuration.nameserver} | ({"witness": str(witness)} if apart else {})
    return others | dict(configuration.servers)


def _look(onlooker: Onlooker, name: str, address: str) -> Looked:
    process = "nameserver" if name == "witness" else name  # Of which it is a part, wherever that is.
    if onlooker.role != "operator":
        return Looked(is_denied=True)
    try:
        with asking(
            address, DIAGNOSIS_ID + process, seconds=_SECONDS, credentials=onlooker.credentials
        ) as any_time:
            ask = _within(_SECONDS + _APART_S, any_time)
            first, facts = _reading(ask), read_facts(ask("facts"))
            time.sleep(max(0.0, first.at_s + _APART_S - time.monotonic()))
            second = _reading(ask)
    except BankError as error:
        return Looked(why_not=error.message)
    if isinstance(facts, str):
        return Looked(why_not=facts)
    trip_ms = 2000 * min(first.within_s, second.within_s)
    return Looked(facts=facts, clock=_clock(first, second), round_trip_ms=trip_ms)


def _within(seconds: float, ask: Ask) -> _AskNow:
    """Return the same question without arguments; all of them together have so long."""
    until = time.monotonic() + seconds

    def ask_now(method: str) -> Any:
        left = until - time.monotonic()
        if left <= 0:
            raise OperationFailed(f"it answers so slowly that {seconds:g} s were not enough")
        return ask(method, [], seconds=left)

    return ask_now


def _reading(ask: _AskNow) -> _Reading:
    return min((_one_reading(ask) for _ in range(_LOOKS)), key=lambda one: one.within_s)


def _one_reading(ask: _AskNow) -> _Reading:
    before_s, wall_s = time.monotonic(), time.time()
    answer = ask("clock")
    within_s = (time.monotonic() - before_s) / 2
    match answer:
        case [float(monotonic_s), float(there_s)] if math.isfinite(monotonic_s) and math.isfinite(there_s):
            return _Reading(before_s + within_s, within_s, monotonic_s, there_s - wall_s - within_s)
    raise OperationFailed("it answered what is no clock")


def _clock(first: _Reading, second: _Reading) -> ClockSeen:
    passed_s = second.at_s - first.at_s
    nearer = min(first, second, key=lambda one: one.within_s)
    return ClockSeen(
        rate=(second.monotonic_s - first.monotonic_s) / passed_s - 1,
        rate_within=(first.within_s + second.within_s) / passed_s,
        wall_ahead_s=nearer.wall_ahead_s,
        wall_within_s=nearer.within_s,
    )


def _names(configuration: Configuration, onlooker: Onlooker) -> tuple[NamedObject, ...] | None:
    tags = [f"service:{configuration.service}"]
    try:
        return tuple(look_up(configuration.nameserver, tags, _SECONDS, onlooker.credentials))
    except (BankError, Failure, RemoteError):
        return None


def _members(configuration: Configuration) -> tuple[MemberState, ...]:
    if configuration.etcd is None:
        return ()
    members = every_member(configuration.etcd, configuration.service, seconds=_SECONDS)
    return tuple(MemberState(url=one.url, reason=one.reason) for one in members)
