"""What the parts of a server go by, made of its configuration: the rules, the daemon, the door."""

from __future__ import annotations

from dataclasses import replace

from bankrmi.config import NOT_THE_DAEMONS, Configuration
from bankrmi.replication.code_versions import CodeVersions
from bankrmi.replication.queue import OPERATION_BYTES
from bankrmi.replication.settings import Settings
from bankrmi.rmi import Limits
from bankrmi.server.measured_service import CallCosts
from bankrmi.server.rates import EntryRates, Rate
from bankrmi.server.waiting import SLOW_SHARE

__all__ = ["limits_of", "rates_of", "settings_of", "settings_of_service"]

_CALLS_AT_ONCE = 16
"""Of a class, that one who catches up is sent: each may take as long as a call may."""

_CALLS_TO_COPY_FROM = 10_000
"""Who lacks so many gets a copy: they are not run again."""

_ITEMS_PER_OPERATION, _ITEMS_PER_ENTRY = 6, 22
"""Values that an operation of a request and an entry of a checkpoint take in a message."""
_JSON_BYTES_PER_OPERATION = 64


def settings_of(configuration: Configuration, name: str, *, first: bool) -> Settings:
    """Return what the rules of this server go by."""
    return Settings(
        server=name,
        servers=tuple(configuration.servers),
        addresses=dict(configuration.servers),
        address=configuration.servers[name],
        lease_ms=configuration.lease_ms,
        drift_ms=configuration.drift_ms,
        heartbeat_ms=configuration.heartbeat_ms,
        checkpoint_timeout_ms=configuration.checkpoint_timeout_ms,
        copies_min=configuration.copies_min,
        refused_means_gone=configuration.refused_means_gone,
        first=first,
        group_bytes=configuration.limits.group_bytes,
    )


def settings_of_service(settings: Settings, call_costs: CallCosts, code: CodeVersions) -> Settings:
    """Return the same for a class, of whose calls nobody knows what they cost before they are done."""
    return replace(
        settings,
        cost_of_newest=lambda: call_costs.in_bytes(settings.group_bytes_per_ms),
        catch_up_operations=_CALLS_AT_ONCE,
        copy_from_operations=_CALLS_TO_COPY_FROM,
        code=code,
    )


def limits_of(configuration: Configuration) -> Limits:
    """Return what callers may have of this server's daemon, and how large its messages are."""
    limits, least = configuration.limits, Limits()
    operations = limits.operations_per_request
    entries = max(limits.group_bytes // OPERATION_BYTES, Settings(server="", servers=()).catch_up_operations)
    return Limits(
        **limits.model_dump(exclude=set(NOT_THE_DAEMONS)),
        items=max(least.items, _ITEMS_PER_OPERATION * operations + 1000),
        json_bytes=max(least.json_bytes, _JSON_BYTES_PER_OPERATION * operations),
        server_call_items=_ITEMS_PER_ENTRY * (operations + entries) + 8000,
        unread_ms=SLOW_SHARE * configuration.client.timeout_ms,
    )


def rates_of(configuration: Configuration) -> EntryRates:
    """Return how fast callers may make the journals grow."""
    limits = configuration.limits
    return EntryRates(
        Rate(per_caller=limits.entries_per_second, per_address=limits.entries_per_second_per_address),
        Rate(
            per_caller=limits.stranger_entries_per_second,
            per_address=limits.stranger_entries_per_second_per_address,
        ),
        full_batch=limits.operations_per_request,
    )
