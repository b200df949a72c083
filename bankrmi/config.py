"""What a bank is told: `config.yaml` and the environment, checked in full before anything starts.

Rule 1: every mistake is reported, all at once, each with its place and what would be right.
Rule 2: what cannot work is refused here, so that no other room checks settings again.
Rule 3: `BANKRMI_<KEY>` in the environment overrides a scalar setting, `BANKRMI_CONFIG` names the file.
Rule 4: what each setting may be by itself is in `config_settings`, what has to fit together is here; and of
        addresses in `config_addresses`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator

from bankrmi.config_addresses import (
    bound_address,
    exposed,
    impossible_addresses,
    is_apart,
    shown_to_others,
)
from bankrmi.config_settings import (
    LONGEST_MS,
    METRICS_OF_NAMESERVER,
    METRICS_OF_WITNESS,
    NOT_THE_DAEMONS,
    Address,
    CertificateSettings,
    ClientSettings,
    ConfigSettings,
    EtcdSettings,
    JournalSettings,
    LimitSettings,
    checked_address,
    checked_bound_address,
    checked_server_name,
    is_loopback,
    one_endpoint,
    split_address,
    split_url,
)
from bankrmi.config_source import Key, Mistake, Source, mistake_of, read_source
from bankrmi.database_url import reached_without_proof
from bankrmi.errors import ConfigurationError

__all__ = [
    "METRICS_OF_NAMESERVER",
    "METRICS_OF_WITNESS",
    "NOT_THE_DAEMONS",
    "Address",
    "CertificateSettings",
    "ClientSettings",
    "ConfigSettings",
    "Configuration",
    "EtcdSettings",
    "LimitSettings",
    "bytes_needed",
    "check_learned",
    "configuration_file",
    "keeper_as_stated",
    "load",
    "of_nameserver",
    "one_endpoint",
    "split_address",
]

# What replication does, which this room does not know; tests hold these against it.
_ENTRIES_AT_ONCE = 2048  # A standby that catches up is sent this many, and the rest of a request.
_ENTRY_BYTES = 256  # The most that an operation takes between servers, however long its session's name is.
_RESULT_BYTES = 256  # The most that the outcome of one operation takes in an answer, in any serializer.
_HELD_FOR_SERVERS = 2  # One half of what is held is for servers (`rmi.daemon`).
_MESSAGES = ("server_message_bytes", "message_bytes", "serpent_bytes", "handshake_bytes")
_FORM_BYTES = 64  # The most that an operation takes from a client, in JSON.
_GREETING_BYTES = 512  # The most that a handshake of ours takes, with the longest names.
_GROUP_TAKES = 2  # A group is measured generously, but short names are assumed.
_A_CLASS_NEEDS = 1 << 20  # What is sent at once to who catches up, and the longest call with its result.
# What a server's waiting room counts, likewise.
_QUESTION_BYTES = 2048
_OPERATION_BYTES = 88
_REACHED = (
    "can be reached by others, and nobody there has to prove who they are: make certificates "
    "(`bankrmi cert`), or say --insecure if that is meant"
)
_READ = "can be read by others, and nobody there has to prove who they are: say --insecure if that is meant"
# In the place of what is missing or broken, while the rest is looked at.
_STAND_INS = {"nameserver": "localhost:1", "servers": {"stand-in": "localhost:2"}}


class Configuration(ConfigSettings):
    """Settings that work together, with paths resolved relative to the file they came from."""

    path: Path
    insecure: bool = False
    """Whether addresses beyond loopback are meant: those of the file, and those that a client learns."""
    relayed: bool = False
    """Whether `up` has put a relay of its own before this process (`behind_relay`)."""

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        mistakes = [mistake.message for mistake in _impossible(self)]
        if mistakes:
            raise ConfigurationError("\n".join(f"{self.path}: {mistake}" for mistake in mistakes))
        return self

    def check_servers(self) -> None:
        """Raise ConfigurationError if it names no servers, as only a client may."""
        if not self.servers:
            raise ConfigurationError(
                f"{self.path}: servers is missing: with the name server alone one can be a client "
                "(balance, withdraw, deposit, outcome, menu), and nothing else"
            )

    def beyond_loopback(self) -> list[Address]:
        """Return the addresses that other machines can reach, announced or bound."""
        return list(dict.fromkeys(address for _, address in exposed(self)))

    def open_to_strangers(self) -> list[Address]:
        """Return those of them where nobody has to prove who he is; `load` wants `--insecure` for them."""
        return self.beyond_loopback() if self.certificates is None else []

    def metrics_beyond_loopback(self) -> list[Address]:
        """Return the addresses of metrics that other machines can read; `load` wants `--insecure` then."""
        return [address for _, address in shown_to_others(self)]

    def listens_at(self, process: str) -> Address:
        """Return where it listens: "nameserver", "witness", or a server (see `config_addresses`)."""
        return bound_address(self, process)

    def with_servers(self, servers: Mapping[str, Address]) -> Self:
        """Return the same, with the servers that there are by now (V12); nothing of it is checked anew."""
        return self.model_copy(update={"servers": dict(servers)})

    def behind_relay(self, process: str, bound: Address) -> Self:
        """Return the same for a process that listens where `up` says, and has a relay where it is announced.

        Nothing of it is checked anew: that relay is the one thing in between that never refuses in the name
        of who lives, so a refusal there proves what R3 takes it for (see `relays`).
        """
        if process == METRICS_OF_WITNESS and not is_apart(self):
            process = METRICS_OF_NAMESERVER
        return self.model_copy(update={"listen": {**self.listen, process: bound}, "relayed": True})

    def with_metrics(self, of: str, address: Address) -> Self:
        """Return the same, with the figures of one process at this address; raises ConfigurationError."""
        try:
            checked_bound_address(address)
        except ValueError as error:
            raise ConfigurationError(f"--metrics: {error}") from None
        if not (self.insecure or is_loopback(address)):
            raise ConfigurationError(f"--metrics: {address} {_READ}")
        return type(self).model_validate(dict(self) | {"metrics": {**self.metrics, of: address}})


def keeper_as_stated(configuration: Configuration) -> str:
    """Return where the view is kept, so that two who mean the same say the same."""
    etcd = configuration.etcd
    return str(configuration.witness) if etcd is None else f"etcd {' '.join(sorted(etcd.etcd))} {etcd.prefix}"


def load(
    path: Path | None = None, *, insecure: bool = False, environment: Mapping[str, str] = os.environ
) -> Configuration:
    """Return the configuration of `path`, else of `BANKRMI_CONFIG`, else of `./config.yaml`."""
    file = configuration_file(path, environment)
    source = read_source(file, ConfigSettings, environment)
    settings = _settings_of(source, insecure=insecure)
    folder = file.absolute().parent
    etcd = settings.etcd
    return _configuration(
        settings,
        insecure=insecure,
        witness=settings.witness if etcd is None else etcd.relative_to(folder),
        path=file.absolute(),
        ledger=folder / settings.ledger,
        data_dir=folder / settings.data_dir,
        certificates=_resolved(settings.certificates, folder),
    )


def of_nameserver(
    nameserver: Address, *, insecure: bool = False, certificates: Path | None = None
) -> Configuration:
    """Return the configuration of a client that is told the name server's address, and nothing else.

    But where certificates are, if there are any: with a client's in it.
    """
    values: dict[str, Any] = {"nameserver": nameserver}
    if certificates is not None:
        values["certificates"] = {"folder": str(certificates.absolute())}
    source = Source(file=Path("nameserver"), values=values, lines={}, variables={})
    settings = _settings_of(source, insecure=insecure)
    return _configuration(settings, path=source.file, insecure=insecure)


def configuration_file(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the file that `load` would read: `path`, else that of `BANKRMI_CONFIG`, else `./config.yaml`."""
    file = Path(path or environment.get("BANKRMI_CONFIG") or "config.yaml")
    if "\0" in str(file):
        raise ConfigurationError(f"{str(file)!r:.80} is not the name of a file")
    return file


def _resolved(certificates: CertificateSettings | None, folder: Path) -> CertificateSettings | None:
    if certificates is None:
        return None
    return certificates.model_copy(update={"folder": folder / certificates.folder})


def _configuration(
    settings: ConfigSettings, **resolved: Path | bool | CertificateSettings | Address | EtcdSettings | None
) -> Configuration:
    values = dict(settings) | resolved
    if not settings.servers:
        del values["servers"]  # They may be left out, but not be an empty list.
    return Configuration.model_validate(values)


def check_learned(name: str, address: Address, *, insecure: bool) -> str:
    """Return what is wrong with a server that others say there is; nothing if a file could name it, too."""
    try:
        checked_server_name(name)
        checked_address(address)
    except ValueError as error:
        return str(error)
    if insecure or is_loopback(address):
        return ""
    return f"{name} is at {address}, which {_REACHED}"


def _settings_of(source: Source, *, insecure: bool) -> ConfigSettings:
    """Return the settings if nothing at all is wrong with them."""
    mistakes: list[Mistake] = []
    settings: ConfigSettings | None = None
    try:
        settings = ConfigSettings.model_validate(source.values)
    except ValidationError as error:
        # A default that could not be derived is the fault of what it is derived from.
        own = [details for details in error.errors() if details["type"] != "default_factory_not_called"]
        mistakes = [mistake_of(details, ConfigSettings) for details in own]
        settings = _settings_without(source, [mistake.key for mistake in mistakes])
    if settings is not None:
        found = [*_impossible(settings), *([] if insecure else _reached_by_others(settings))]
        mistakes += [new for new in found if not any(new.touches(known.key) for known in mistakes)]
    if mistakes or settings is None:
        raise source.refusal(mistakes)
    return settings


def _settings_without(source: Source, broken: list[Key]) -> ConfigSettings | None:
    """Return what the rest says, so that its mistakes are told too; None if that is not enough to go by."""
    try:
        return ConfigSettings.model_validate(_STAND_INS | source.without(broken))
    except ValidationError:
        return None


def _impossible(settings: ConfigSettings) -> Iterator[Mistake]:
    """Yield what is fine one by one and cannot work together."""
    yield from _impossible_times(settings)
    yield from _impossible_patience(settings)
    yield from impossible_addresses(settings)
    if settings.servers and not 1 <= settings.copies_min <= len(settings.servers):
        yield Mistake(
            key=("copies_min",),
            others=(("servers",),),
            message=f"copies_min is {settings.copies_min}, and must be between 1 and the number of servers "
            f"({len(settings.servers)}), or nothing could ever be acknowledged",
        )
    if settings.etcd is not None:
        yield from _impossible_etcd(settings.etcd)
    if settings.engine is not None:
        yield from _impossible_with_an_engine(settings)
    if settings.serves is not None:
        yield from _impossible_for_a_class(settings.journal, settings.limits)
    if isinstance(settings.serves, dict):
        yield from _impossible_names(settings.serves, settings.service)
    yield from _impossible_sizes(settings.limits)
    yield from _impossible_loads(settings.limits)
    yield from _impossible_answers(settings.limits)


def _impossible_with_an_engine(settings: ConfigSettings) -> Iterator[Mistake]:
    """Yield what is of servers that keep the accounts themselves."""
    of_a_pair: tuple[tuple[str, object, str], ...] = (
        ("serves", None, "is a class of one's own, which servers keep themselves"),
        ("witness", settings.nameserver, "keeps the view of who leads, and here nobody does"),
        ("copies_min", 1, "counts the copies of servers: how many the database has, it says itself"),
        ("journal", JournalSettings(), "is that of servers that keep the accounts themselves"),
        ("metrics", {}, "are not there yet for servers whose accounts are in a database"),
    )
    for name, usual, why in of_a_pair:
        if getattr(settings, name) != usual:
            yield Mistake(
                key=(name,), others=(("engine",),), message=f"{name} {why}: leave it out, or engine"
            )


def _impossible_names(serves: Mapping[str, str], home: str) -> Iterator[Mistake]:
    """Yield what of the names of several services does not fit together."""
    if home not in serves:
        yield Mistake(
            key=("service",),
            others=(("serves",),),
            message=f"service is {home}, and must be one of those below serves ({', '.join(serves)}): the "
            "one that was there first",
        )
    names: dict[str, str] = {}
    for name in serves:
        other = names.setdefault(name.lower(), name)
        if other != name:
            yield Mistake(
                key=("serves", name),
                message=f"{other} and {name} are the same but for capitals, and so would their tables be",
            )


def _impossible_for_a_class(journal: JournalSettings, limits: LimitSettings) -> Iterator[Mistake]:
    """Yield what a bank's journal can do, and that of a class of one's own can not."""
    for name in ("keep_operations", "keep_days"):
        if getattr(journal, name):
            yield Mistake(
                key=("journal", name),
                others=(("serves",),),
                message=f"{name} shortens a bank's journal; that of a class (`serves`) is kept whole: "
                "leave it out",
            )
    if limits.server_message_bytes < _A_CLASS_NEEDS:
        yield Mistake(
            key=("limits", "server_message_bytes"),
            others=(("serves",),),
            message=f"server_message_bytes is {limits.server_message_bytes}, and must be at least "
            f"{_A_CLASS_NEEDS} where a class is replicated, or a standby could not be sent its longest calls",
        )


def _impossible_etcd(etcd: EtcdSettings) -> Iterator[Mistake]:
    """Yield what of the way to etcd does not fit together."""

    def wrong(key: str, message: str, *others: str) -> Mistake:
        return Mistake(
            key=("witness", key), others=tuple(("witness", other) for other in others), message=message
        )

    if etcd.is_encrypted and etcd.ca is None:
        yield wrong("etcd", "etcd is asked with https, and ca must name whose certificates are believed")
    for name in ("ca", "certificate", "key"):
        if not etcd.is_encrypted and getattr(etcd, name) is not None:
            yield wrong(name, f"{name} is for https, and etcd is asked with http", "etcd")
    if etcd.is_encrypted and (etcd.certificate is None) != (etcd.key is None):
        yield wrong("certificate", "certificate and key belong together: name both, or neither", "key")
    if etcd.password is not None and etcd.password_file is not None:
        yield wrong("password", "password and password_file: name one of them", "password_file")
    elif (etcd.user is None) != (etcd.password is None and etcd.password_file is None):
        yield wrong("user", "user and password (or password_file) belong together: name both, or neither")


def _impossible_loads(limits: LimitSettings) -> Iterator[Mistake]:
    needed = _QUESTION_BYTES + _OPERATION_BYTES * limits.operations_per_request
    if limits.waiting_bytes < needed:
        yield Mistake(
            key=("limits", "waiting_bytes"),
            others=(("limits", "operations_per_request"),),
            message=f"waiting_bytes is {limits.waiting_bytes}, and must be at least {needed} "
            f"({_OPERATION_BYTES} bytes for each of operations_per_request, and {_QUESTION_BYTES}), "
            "or a full batch could never be taken",
        )
    for whose in ("", "stranger_"):
        own, all_together = f"{whose}entries_per_second", f"{whose}entries_per_second_per_address"
        one, address = getattr(limits, own), getattr(limits, all_together)
        if address and not address >= one > 0:
            yield Mistake(
                key=("limits", all_together),
                others=(("limits", own),),
                message=f"{all_together} is {address}, and must be at least {own} "
                f"({one or 'without limit'}), or no caller could ever have what is its own; "
                "0 is without limit",
            )


def bytes_needed(group_bytes: int, operations_per_request: int) -> int:
    """Return how large a message a primary with such limits may have to send to a standby."""
    request = _ENTRY_BYTES * operations_per_request
    return max(_GROUP_TAKES * group_bytes, _ENTRY_BYTES * _ENTRIES_AT_ONCE) + request


def _impossible_sizes(limits: LimitSettings) -> Iterator[Mistake]:
    """A4: what is sent together ends with a whole request, and has to fit into a message."""
    needed = bytes_needed(limits.group_bytes, limits.operations_per_request)
    if limits.server_message_bytes < needed:
        yield Mistake(
            key=("limits", "server_message_bytes"),
            others=(("limits", "group_bytes"), ("limits", "operations_per_request")),
            message=f"server_message_bytes is {limits.server_message_bytes}, and must be at least {needed} "
            f"({_GROUP_TAKES} * group_bytes, or {_ENTRIES_AT_ONCE} entries, and one request more; "
            f"{_ENTRY_BYTES} bytes an operation), or a standby could not be sent what it has to hold",
        )
    needed = _FORM_BYTES * limits.operations_per_request + 1024
    if limits.message_bytes < needed:
        yield Mistake(
            key=("limits", "message_bytes"),
            others=(("limits", "operations_per_request"),),
            message=f"message_bytes is {limits.message_bytes}, and must be at least {needed} "
            f"({_FORM_BYTES} * operations_per_request, and 1024), or no client could send what it may",
        )
    if limits.handshake_bytes < _GREETING_BYTES:
        yield Mistake(
            key=("limits", "handshake_bytes"),
            message=f"handshake_bytes is {limits.handshake_bytes}, and must be at least {_GREETING_BYTES}, "
            "or the servers could not greet each other",
        )
    largest = max(_MESSAGES, key=lambda name: getattr(limits, name))
    needed = _HELD_FOR_SERVERS * getattr(limits, largest)
    if limits.held_bytes < needed:
        yield Mistake(
            key=("limits", "held_bytes"),
            others=tuple(("limits", name) for name in _MESSAGES),
            message=f"held_bytes is {limits.held_bytes}, and must be at least {needed} (twice {largest}, the "
            "largest message: one half is for servers, the other for everybody else), or that message could "
            "never arrive",
        )


def _impossible_answers(limits: LimitSettings) -> Iterator[Mistake]:
    """What was done has to be told: an answer that is refused for its size must be to a mere question."""
    needed = _RESULT_BYTES * limits.operations_per_request
    if limits.answer_bytes < needed:
        yield Mistake(
            key=("limits", "answer_bytes"),
            others=(("limits", "operations_per_request"),),
            message=f"answer_bytes is {limits.answer_bytes}, and must be at least {needed} "
            f"({_RESULT_BYTES} bytes for each of operations_per_request), or a caller could not be told "
            "what became of its operations",
        )


def _impossible_times(settings: ConfigSettings) -> Iterator[Mistake]:
    margin_ms = 2 * settings.drift_ms + 2 * settings.heartbeat_ms
    if settings.lease_ms > 0 and margin_ms >= LONGEST_MS:
        yield Mistake(
            key=("drift_ms",) if settings.drift_ms > settings.heartbeat_ms else ("heartbeat_ms",),
            others=(("lease_ms",), ("drift_ms",), ("heartbeat_ms",)),
            message=f"drift_ms and heartbeat_ms are {margin_ms // 2} together, and must be under "
            f"{LONGEST_MS // 2} (half of the longest lease), or no lease would outlast two heartbeats; "
            "lease_ms: 0 does without one",
        )
    elif 0 < settings.lease_ms <= margin_ms:
        yield Mistake(
            key=("lease_ms",),
            others=(("drift_ms",), ("heartbeat_ms",)),
            message=f"lease_ms is {settings.lease_ms}, and must be over {margin_ms} (twice drift_ms plus "
            "twice heartbeat_ms), or it would run out between two heartbeats; 0 does without a lease",
        )
    if settings.heartbeat_ms >= settings.checkpoint_timeout_ms:
        yield Mistake(
            key=("heartbeat_ms",),
            others=(("checkpoint_timeout_ms",),),
            message=f"heartbeat_ms is {settings.heartbeat_ms}, and must be under checkpoint_timeout_ms "
            f"({settings.checkpoint_timeout_ms}), or an idle standby would count as silent",
        )


def _impossible_patience(settings: ConfigSettings) -> Iterator[Mistake]:
    client = settings.client
    if client.patience_ms > client.timeout_ms:
        yield Mistake(
            key=("client", "patience_ms"),
            others=(("client", "timeout_ms"),),
            message=f"patience_ms is {client.patience_ms}, and must be at most timeout_ms "
            f"({client.timeout_ms}), or an operation would end before another server is asked",
        )


def _reached_by_others(settings: ConfigSettings) -> Iterator[Mistake]:
    for host in reached_without_proof(settings.engine) if settings.engine is not None else ():
        yield Mistake(
            key=("engine",),
            message=f"the database at {host} is on another machine, and need not prove who it is: say "
            "sslmode=verify-full behind a question mark, or --insecure if that is meant",
        )
    if settings.etcd is not None and not settings.etcd.is_encrypted:
        for url in settings.etcd.etcd:
            if not is_loopback(split_url(url)[1]):
                yield Mistake(
                    key=("witness", "etcd"),
                    message=f"{url} is on another machine, and what is said to it can be read and changed on "
                    "the way: use https, or say --insecure if that is meant",
                )
    for key, address in shown_to_others(settings):
        yield Mistake(key=key, message=f"{address} {_READ}")
    for key, address in exposed(settings) if settings.certificates is None else ():
        yield Mistake(
            key=key,
            message=f"{address} {_REACHED}",
        )
