"""What a server says of itself: plain values for people and for `bankrmi status`.

Rule 1: `why` is a sentence for whoever waits for this server: what it waits for itself, while it is neither
primary nor standby; of a primary, whom it cannot take along, and that it answers nothing before its
state is migrated.
Rule 2: `connected` are those that answer: a connection to a machine that is cut off stands for seconds yet.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Set
from math import floor
from typing import Any, NamedTuple

from bankrmi.config import Configuration
from bankrmi.replication.code_versions import StateVersion, version_in_words, version_of
from bankrmi.replication.condition import Condition
from bankrmi.replication.roles import Role
from bankrmi.replication.viewing import REMEDY
from bankrmi.server.clock import now_ms
from bankrmi.service.served_services import HOME, ServedServices
from bankrmi.service.versions import FailedMigration

__all__ = ["NO_MIGRATION", "Fetched", "MigrationShown", "migration_shown", "status_of", "why_not_in_sync"]

_LATELY_MS = 5_000
"""Who needs the witness asks it more often; who was answered by others meanwhile asks no more."""

Fetched = tuple[int, int]
"""Bytes of a copy that are here, and bytes of the whole."""


class MigrationShown(NamedTuple):
    """What there is to say of the versions of classes."""

    words: str | None
    """What keeps the state from the newest ones, or that nothing does; None if it has them."""

    is_to_come: bool
    """Whether a service gets a newer version as soon as it may: not one of which the migration has failed."""


NO_MIGRATION = MigrationShown(None, is_to_come=False)


def status_of(
    shown: Condition,
    configuration: Configuration,
    fetched: Fetched | None,
    silent: Set[str],
    certificate_days: float | None = None,
    decided_us: Callable[[int], int | None] = lambda _: None,
    *,
    migration: Callable[[Condition], MigrationShown] = lambda _: NO_MIGRATION,
) -> dict[str, Any]:
    """Return the status of one server; `fetched` is of the copy that it is fetching, if any.

    `silent` are servers to which there is a connection, and that say nothing on it; `certificate_days` is for
    how long its certificate counts yet, if it has one; `decided_us` tells when an entry was decided, and
    `migration` what there is to say of the version of the class that is served.
    """
    view, tip, left_ms = shown.view, shown.tip, shown.read_lease_ms
    migrating = migration(shown)
    witness_silent_ms = shown.witness_silent_ms if shown.witness_asked_ms_ago <= _LATELY_MS else 0.0
    return {
        "server": shown.server,
        "service": configuration.service,
        "role": shown.role.value,
        "why": why_not_in_sync(shown, fetched),
        "pid": os.getpid(),
        "address": configuration.servers[shown.server],
        "listens_at": configuration.listens_at(shown.server),
        "history": view.history if view is not None else None,
        "epoch": shown.epoch or 0,
        "action_id": tip.action_id,
        "newest_us": decided_us(tip.action_id),
        "state_version": None if configuration.serves is None else version_of(shown.state_version, HOME),
        "class_version": None if configuration.serves is None else shown.code.newest,
        "services": _services(configuration, shown) or None,
        "migration": migrating.words,
        "migrates": migrating.is_to_come,
        "journal_from": shown.anchor.action_id + 1,
        "acknowledged": shown.acknowledged,
        "digest": tip.digest.hex(),
        "servers": dict(shown.addresses),
        "in_sync": sorted(view.in_sync) if view is not None else [],
        "lag": max(0, tip.action_id - shown.acknowledged),
        "read_lease_ms": None if left_ms is None else round(max(0.0, left_ms)),
        "role_for_ms": round(now_ms() - shown.role_since_ms),
        "primary": view.primary if view is not None else None,
        "view_epoch": view.epoch if view is not None else 0,
        "cause": view.cause.to_wire() if view is not None and view.cause is not None else None,
        "written_us": view.written_us if view is not None else None,
        "paused": view.paused.to_wire() if view is not None and view.paused is not None else None,
        "retired_for": view.retired_for if view is not None else None,
        "copies": len(view.in_sync) if view is not None else 0,
        "acknowledges": shown.acknowledges,
        "connected": sorted(shown.connected - silent),
        "witness_silent_ms": round(witness_silent_ms),
        "start_id": shown.start_id,
        "incarnation": shown.incarnation,
        "certificate_days": None if certificate_days is None else floor(certificate_days),
    }


def _services(configuration: Configuration, shown: Condition) -> dict[str, dict[str, Any]]:
    """Return of which version each service is, and its class; a state of version 0 is not there yet."""
    told: dict[str, dict[str, Any]] = {}
    for service, target in configuration.services.items():
        known_as = HOME if service == configuration.service else service
        code = shown.code.of(known_as)
        told[service] = {
            "serves": target,
            "state_version": version_of(shown.state_version, known_as),
            "class_version": None if code is None else code.newest,
        }
    return told


def why_not_in_sync(shown: Condition, fetched: Fetched | None) -> str | None:
    """Return what this server waits for, None if it is primary or standby, and can do what is asked of
    that; a primary that others follow may have one of them left behind."""
    if (other := _why_of_another_version(shown)) is not None:
        return other
    match shown.role:
        case Role.STARTING:
            return _why_starting(shown)
        case Role.JOINING:
            return _why_joining(shown, fetched)
        case Role.PRIMARY:
            left = [copy.too_old for copy in shown.copies if copy.too_old]
            return f"it cannot send all that its journal holds: {'; '.join(left)}" if left else None
        case _:
            return None


def _why_of_another_version(shown: Condition) -> str | None:
    """S5: this server's code does not know the version of the state, here or at the primary."""
    code, view = shown.code, shown.view
    held = f"its state is of version {version_in_words(shown.state_version)}"
    if not code.may_lead(shown.state_version):
        return _has_another_version(shown, held)
    if shown.role is Role.PRIMARY and not code.runs(shown.state_version):
        return f"{_code_in_words(shown)}, and {held}: nothing is answered before that is migrated"
    if shown.role is not Role.JOINING or view is None or view.primary not in shown.state_versions:
        return None
    if shown.is_copying or shown.is_admitted:
        return None  # The primary knows its own version of now, and that this server can follow.
    there = shown.state_versions[view.primary]
    if code.runs(there):
        return None
    what = f"{view.primary} leads with a state of version {version_in_words(there)}"
    if not code.migrates(there):
        return _has_another_version(shown, what)
    primary = shown.codes[view.primary]
    if not primary.runs(there):
        return None  # The primary makes the next version first of all.
    then = f"replace the module there, too, or name the class before as `previous` here (on {shown.server})"
    if primary.migrates(there):
        then = f"this server is let in once that is migrated, and {view.primary} says what it waits for"
    return f"{_code_in_words(shown)}, and {what}: {then}"


def _has_another_version(shown: Condition, what: str) -> str:
    then = "replace the module, and start this server again"
    if _has_several(shown):
        then = "name all services below `serves`, replace the modules, and start this server again"
    return f"{_code_in_words(shown)}, and {what}: {then}"


def _code_in_words(shown: Condition) -> str:
    is_ = "the classes here are" if _has_several(shown) else "the class here is"
    return f"{is_} of version {shown.code.in_words}"


def _has_several(shown: Condition) -> bool:
    return bool(shown.code.beside) or not isinstance(shown.state_version, int)


def migration_shown(
    services: ServedServices, shown: Condition, failures: Mapping[str, FailedMigration]
) -> MigrationShown:
    """Return what there is to say; `failures` are those of services that were not migrated since.

    One that this code does not want any more is none: after it, people went back to the code before.
    """
    wanted = set(shown.code.steps(shown.state_version))
    failures = {name: one for name, one in failures.items() if name in wanted}
    left = [one for one in shown.migrations if one[0] not in failures]
    said = [_failed_in_words(services, shown.state_version, failure) for failure in failures.values()]
    said += [_migration_in_words(services, shown.state_version, *one) for one in left[:1]]
    return MigrationShown("; ".join(said) or None, is_to_come=bool(left))


def _failed_in_words(services: ServedServices, held: StateVersion, failure: FailedMigration) -> str:
    name, version = _named(services, failure.service), version_of(held, failure.service)
    if not version:
        return f"{name} is not there, since `create` failed: {failure.words}"
    return (
        f"{name} stays at version {version}, since migrate_{version}_to_{version + 1} failed: {failure.words}"
    )


def _migration_in_words(services: ServedServices, held: StateVersion, service: str, why: str) -> str:
    name, version = _named(services, service), version_of(held, service)
    if not version:
        return f"{name} is not there yet: {why or 'it is about to be created'}"
    return f"{name} is at version {version}; version {version + 1}: {why or 'it is about to be made'}"


def _named(services: ServedServices, service: str) -> str:
    one = services.find(service)
    name = service if one is None else one.name
    return f"{name} ({services.called(service)})" if services.beside else name


def _why_starting(shown: Condition) -> str:
    if shown.fenced:
        return f"the witness has lost its memory: {REMEDY}"
    if shown.witness_silent_ms > 0:
        return "waiting for the witness, which does not answer"
    if shown.has_won:
        return "leads as soon as the leases that it granted are over"
    if shown.missing is not None:
        if shown.missing:
            return f"a new bank: waiting for {', '.join(shown.missing)} to say that it is empty, too"
        return f"a new bank: waiting for {shown.servers[0]} to make the first view"
    return "asking the witness who leads"


def _why_joining(shown: Condition, fetched: Fetched | None) -> str:
    view = shown.view
    if view is None:
        return "asking the witness who leads"
    primary = view.primary
    if primary == shown.server:
        others = ", ".join(sorted(view.in_sync - {primary})) or "nobody else"
        return f"the view names the disk that this server has lost: waiting for {others}"
    if shown.is_copying:
        if fetched is None:
            return f"waiting for {primary} to make a copy"
        here, whole = fetched
        return f"fetching a copy from {primary}, {100 * here // max(whole, 1)} %"
    if shown.server not in shown.servers:
        return (
            f"none of the bank's servers yet ({', '.join(shown.servers)}): run "
            f"`bankrmi server add {shown.server} ADDRESS`"
        )
    if primary not in shown.connected:
        return f"no connection to the primary {primary}"
    if shown.is_admitted:
        return f"catching up with {primary}"
    return f"asking {primary} to be let in"
