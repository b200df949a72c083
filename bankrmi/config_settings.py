"""The settings that there are: their defaults, and what each may be by itself.

Rule 1: nothing here compares one setting with another; what has to fit together is in `config`.
Rule 2: whatever is refused says what would be right; where it was written, `config_source` knows.
Assumption: host names are not looked up, so two names of one machine count as two addresses.
"""

from __future__ import annotations

import ipaddress
import keyword
import os
import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from bankrmi.database_url import checked_database_url

__all__ = [
    "BANK",
    "LONGEST_MS",
    "METRICS_OF_NAMESERVER",
    "METRICS_OF_WITNESS",
    "NOT_THE_DAEMONS",
    "Address",
    "CertificateSettings",
    "ClientSettings",
    "ConfigSettings",
    "EtcdSettings",
    "JournalSettings",
    "LimitSettings",
    "LogSettings",
    "checked_address",
    "checked_bound_address",
    "checked_served_class",
    "checked_server_name",
    "home_service",
    "is_bank",
    "is_every_address",
    "is_loopback",
    "one_endpoint",
    "split_address",
    "split_url",
]

Address = str

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_NAME = 64
# What resolvers take for a part of a host's name, and how long a name may be for them.
_HOST_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_HOST = 253
_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,9})")
# Folders and logs of these names stand beside those of the servers.
_TAKEN_NAMES = frozenset({"log", "nameserver", "witness"})
# What may stand in a server's place in `bankrmi server ...`.
_COMMANDS = frozenset({"add", "move", "remove"})
_LONGEST_TARGET = 200
_SERVICES_AT_MOST = 32
_MEMBERS_AT_MOST = 9
_PREFIX = re.compile(r"/([!-.0-~]+/)*")  # Printable ASCII without blanks, in parts that end with a slash.
_LONGEST_PREFIX = 100
LONGEST_MS = 3_600_000
_LOG_BYTES_AT_LEAST = 1 << 16
_ANSWER_BYTES_AT_MOST = 16 << 20  # Clients take no larger ones, whoever sends them.


def split_address(address: Address) -> tuple[str, int]:
    """Return host and port of `host:port` or `[IPv6]:port`; raise ValueError, saying what is wrong."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise ValueError(f"{address!r} is not an address: write host:port, like 127.0.0.1:9101")
    port = int(found["port"])
    if not 1 <= port <= 65535:
        raise ValueError(f"{address} has a port that is not between 1 and 65535")
    return found["ipv6"] or found["host"], port


def checked_address(address: Address) -> Address:
    """Return an address that others can call; raise ValueError, saying what is wrong with it."""
    host, port = split_address(address)
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        if ":" in host or host.replace(".", "").isdigit():
            raise ValueError(f"{host} in {address} is not an IP address") from None
        _check_host_name(host, address)
        return address
    if isinstance(number, ipaddress.IPv6Address) and number.ipv4_mapped is not None:
        written = f"{number.ipv4_mapped}:{port}"
        raise ValueError(f"{address} is an IPv4 address written as IPv6: write {written}")
    if isinstance(number, ipaddress.IPv6Address) and number.is_link_local:
        raise ValueError(
            f"{address} is a link-local address, which says nothing without its interface: "
            "write another one of the machine, or its name"
        )
    if number.is_unspecified or number.is_multicast or str(number) == "255.255.255.255":
        raise ValueError(
            f"{address} is not an address that others could call: write the machine's own (where it is to "
            "listen at all of them, `listen` says so)"
        )
    return address


def checked_bound_address(address: Address) -> Address:
    """Return an address at which a process can listen, all of its machine's included; raise ValueError."""
    split_address(address)
    return address if is_every_address(address) else checked_address(address)


def is_every_address(address: Address) -> bool:
    """Whether it stands for all addresses of a machine: `0.0.0.0:9101`, `[::]:9101`."""
    host, _ = split_address(address)
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _check_host_name(host: str, address: Address) -> None:
    labels = host.removesuffix(".").split(".")
    if len(host) > _LONGEST_HOST or not all(_HOST_LABEL.fullmatch(label) for label in labels):
        raise ValueError(
            f"{host!r:.80} in {address!r:.80} is not a name that a resolver takes: parts of 1 to 63 letters, "
            f"digits and - (not at an end), with dots between them, {_LONGEST_HOST} characters at most"
        )


def _checked_name(name: str) -> str:
    if len(name) > _LONGEST_NAME or name.startswith("-"):
        raise ValueError(
            f"{name!r:.80} is not a name: at most {_LONGEST_NAME} characters, the first one no -"
        )
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name: letters, digits, - and _ are allowed")
    return name


def _checked_path(path: Path) -> Path:
    try:
        if b"\0" in os.fsencode(path):
            raise ValueError("a path cannot hold the character NUL")
    except UnicodeEncodeError:
        raise ValueError(f"{str(path)!a:.80} holds what cannot be in the name of a file") from None
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError(f"{str(path)!r:.80}: there is no such user; write it in full") from None


def checked_server_name(name: str) -> str:
    """Return a name that a server can have; raise ValueError, saying what is wrong with it."""
    if name in _TAKEN_NAMES:
        raise ValueError(
            f"a server cannot be called {name}: the data directory has another use for that name"
        )
    if name in _COMMANDS:
        raise ValueError(f"a server cannot be called {name}: `bankrmi server {name}` is a command")
    return _checked_name(name)


def checked_served_class(target: str) -> str:
    """Return the name of a class as it can be served; raise ValueError, saying what is wrong with it."""
    module, _, name = target.partition(":")
    parts = [*module.split("."), name]
    if len(target) > _LONGEST_TARGET or not all(map(_is_name_in_python, parts)):
        raise ValueError(
            f"{target!r:.80} is not a class that can be served: write module:Class, like inventory:Inventory"
        )
    return target


def _is_name_in_python(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


def is_loopback(address: Address) -> bool:
    """Whether only this machine can reach it."""
    host, _ = split_address(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def one_endpoint(address: Address) -> tuple[str, int]:
    """Return what two spellings of one address have in common, as far as known without a look-up."""
    host, port = split_address(address)
    try:
        return str(ipaddress.ip_address(host)), port
    except ValueError:
        return "127.0.0.1" if host.lower() == "localhost" else host.lower(), port


def _checked_members(urls: list[str]) -> list[str]:
    """Return the addresses of etcd's members; raise ValueError, saying what is wrong with one."""
    if not 1 <= len(urls) <= _MEMBERS_AT_MOST:
        raise ValueError(f"etcd must name 1 to {_MEMBERS_AT_MOST} members, and names {len(urls)}")
    schemes = {scheme for scheme, _ in map(split_url, urls)}
    if len(schemes) > 1:
        raise ValueError("etcd's members are all to be asked with https, or all with http")
    endpoints = [one_endpoint(address) for _, address in map(split_url, urls)]
    for number, endpoint in enumerate(endpoints):
        if endpoint in endpoints[:number]:
            raise ValueError(f"etcd names {urls[number]} twice: name each member once")
    return urls


def split_url(url: str) -> tuple[str, Address]:
    """Return scheme and address of `https://host:port`; raise ValueError, saying what is wrong."""
    scheme, _, rest = url.partition("://")
    if scheme not in ("http", "https") or not rest:
        raise ValueError(f"{url!r:.80} is not the address of a member of etcd: write https://host:port")
    return scheme, checked_address(rest.removesuffix("/"))


def _checked_prefix(prefix: str) -> str:
    if len(prefix) > _LONGEST_PREFIX or not _PREFIX.fullmatch(prefix):
        raise ValueError(
            f"{prefix!r:.80} is not a prefix of keys: write it like /bankrmi/, with a slash at both ends, "
            f"no blanks, {_LONGEST_PREFIX} characters at most"
        )
    return prefix


BANK = "bankrmi:Account"
"""What is served where nothing is said of that: the bank."""

_NAMES_OF_BANK = (BANK, "bankrmi.bank.account:Account")


def is_bank(serves: object, service: object) -> bool:
    """Whether this says that the bank is served, and nothing beside it; `service` is what it is called, None
    where nobody says that."""
    if isinstance(serves, dict) and len(serves) == 1:
        [(name, target)] = serves.items()
        return target in _NAMES_OF_BANK and service in (None, name)
    return isinstance(serves, str) and serves in _NAMES_OF_BANK


def _serves_what(value: object) -> str:
    return "[bank]" if value is None else "[classes]" if isinstance(value, dict) else "[class]"


def home_service(serves: object) -> str:
    """Return which service is the first one, where the file does not say it."""
    return next(iter(serves), "account") if isinstance(serves, dict) else "account"


_Address = Annotated[str, AfterValidator(checked_address)]
_BoundAddress = Annotated[str, AfterValidator(checked_bound_address)]
_Name = Annotated[str, AfterValidator(_checked_name)]
_DatabaseUrl = Annotated[str, AfterValidator(checked_database_url)]
_ServedClass = Annotated[str, AfterValidator(checked_served_class)]
_Served = dict[_Name, _ServedClass]
_Serves = Annotated[
    Annotated[None, Tag("[bank]")]
    | Annotated[_ServedClass, Tag("[class]")]
    | Annotated[_Served, Field(min_length=1, max_length=_SERVICES_AT_MOST), Tag("[classes]")],
    Discriminator(_serves_what),
]
_ServerName = Annotated[str, AfterValidator(checked_server_name)]
_Duration = Annotated[int, Field(ge=1, le=LONGEST_MS)]
_Margin = Annotated[int, Field(ge=0, le=LONGEST_MS)]
_Count = Annotated[int, Field(ge=1, le=1_000_000)]
_Bytes = Annotated[int, Field(ge=256, le=1 << 30)]
# What is compared with these (see `config`) may be as large as these need it to be.
_MessageBytes = Annotated[int, Field(ge=256, le=1 << 29)]
_GroupBytes = Annotated[int, Field(ge=256, le=1 << 27)]
_Operations = Annotated[int, Field(ge=1, le=1 << 16)]
# What a start applies again, in a second or two; and what one commit then writes at once.
_Behind = Annotated[int, Field(ge=0, le=1 << 16)]
_Kept = Annotated[int, Field(ge=0, le=1_000_000_000_000)]
_Days = Annotated[float, Field(ge=0, le=36_500, allow_inf_nan=False)]
_Rate = Annotated[int, Field(ge=0, le=1_000_000_000)]
_File = Annotated[Path, Field(strict=False), AfterValidator(_checked_path)]


METRICS_OF_NAMESERVER, METRICS_OF_WITNESS = "nameserver", "witness"
"""The keys in `metrics` and `listen` of the process of name server and witness, and of a witness without a
name server; no server is called that."""


class _Checked(BaseModel):
    """Frozen, no unknown keys, no conversions: `lease_ms: "1000"` and `lease_ms: true` are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class CertificateSettings(_Checked):
    """Where the certificates are, and which of them are ours; a server's is the one of its name."""

    folder: _File = Path("certificates")
    """Where certificates and keys are. A file without this section, or with an empty one, does without TLS:
    nobody has to prove who he is.
    """
    client: _Name | None = None
    """Whose certificate a client shows: of those that the folder has of clients."""
    operator: _Name | None = None
    """The same for an operator's commands."""


class ClientSettings(_Checked):
    """What a client does unless it is told otherwise."""

    timeout_ms: _Duration = 10_000
    """An operation ends by then, whatever happens."""
    patience_ms: _Duration = 300
    """A server that gives no sign of life for this long is not waited for alone; it is pinged after half
    of that.
    """
    calls_at_once: _Count = 128
    """Of one client (in one process; of the asyncio client in one event loop), which has a connection for
    each of them; further calls wait for their turn, and end with `Busy`, nothing sent, if it does not
    come in 45 % of their time.
    """


class JournalSettings(_Checked):
    """How far accounts and index of requests may lag behind the journal on the disk (see `storage.journal`),
    and how much of it is kept (see `storage.folding`).

    What lags is kept in memory meanwhile, and applied again at a start.
    """

    records_behind: _Behind = 512
    """A commit writes only the journal; accounts and the index of requests are written when this many
    requests are not in them yet. A start applies these again. `0`: at each commit.
    """
    operations_behind: _Behind = 32_768
    """The same in operations: what they change is kept in memory until then."""
    keep_operations: _Kept = 0
    """Only so many of the newest operations stay in the journal, about: older ones are *folded* while the
    bank goes on, and the file shrinks. `0`: no such bound. With `keep_days`, what is beyond both.
    """
    keep_days: _Days = 0.0
    """Only operations of so many days stay (`0.5` is possible). `0` here and above: the journal is kept
    whole. What is folded cannot be had back: no backup, `--since`, `--to` or `--at` reaches below it. With
    `engine`: entries and requests are deleted from the database after so many days.
    """
    session_days: _Days = 7.0
    """For so long at least it is known what came of the newest request of each session, when it is
    folded. Later the answer to a retry is `Forgotten`. `0`: for good.
    """


def _checked_log_size(size: int) -> int:
    if 0 < size < _LOG_BYTES_AT_LEAST:
        raise ValueError(
            f"file_bytes is {size}, and must be 0 (without limit) or at least {_LOG_BYTES_AT_LEAST}"
        )
    return size


class LogSettings(_Checked):
    """How large the log file of a process becomes, where it has one of its own (`--log-file`, `up`)."""

    file_bytes: Annotated[int, Field(ge=0, le=1 << 40), AfterValidator(_checked_log_size)] = 32 << 20
    """A log file that a process has of its own (`--log-file`, `up`) is set aside when it would become
    larger, as `NAME.log.1`, and that as `.2`; 0: never. Where it cannot be, it is written on; a full disk
    costs lines, and nothing else.
    """
    files_kept: Annotated[int, Field(ge=1, le=1000)] = 5
    """How many of those that were set aside are kept."""


class LimitSettings(_Checked):
    """What a server takes from others (design.md section 5: nobody is trusted before the handshake)."""

    connections: _Count = 1000
    """Connections of callers to one server. When all are taken, one without a call in progress makes room
    (where all have one: one of the address that has most, for an address that has less than its share):
    stock Pyro5 clients first, then whoever is from an address that has more than its share, then whoever
    has been idle for longest; our own clients stay if they called in the last 3 s, or came in the last
    second; whoever finds no seat is told `busy`, and when to come again. Servers and operators have a
    reserve beside these. If the process may not open that many files (`ulimit -n`), there are fewer.
    """
    unfinished: _Count = 1000
    """Connections that have not introduced themselves yet; over it, those that say nothing make room."""
    handshake_bytes: _MessageBytes = 4096
    """The first message."""
    serpent_bytes: _MessageBytes = 1 << 16
    """A message in `serpent`, Pyro5's usual serializer."""
    message_bytes: _MessageBytes = 1 << 20
    """A message in `msgpack`; in `json` at most half of a MiB."""
    server_message_bytes: _MessageBytes = 16 << 20
    """A message between servers."""
    held_bytes: _Bytes = 64 << 20
    """Of messages that have arrived in part or wait for their turn, of all connections together; one half
    is for servers. Over it, who waits is told `busy`, and who has sent a part is cut, whoever holds most
    first.
    """
    message_deadline_ms: Annotated[int, Field(ge=100, le=LONGEST_MS)] = 5000
    """A message that has begun has to be complete by then."""
    operations_per_request: _Operations = 8192
    """Operations in one `submit`."""
    group_bytes: _GroupBytes = 1 << 20
    """What is committed and sent to the standby together."""
    waiting_bytes: _Bytes = 64 << 20
    """Memory for all that waits in a server; over it, callers are told `Busy` at once."""
    entries_per_second: _Rate = 200_000
    """Entries that one caller may add to the journals; `0`: without limit. Over it: `Busy`, with
    `retry_ms`.
    """
    entries_per_second_per_address: _Rate = 500_000
    """The same for all callers of one address together."""
    stranger_entries_per_second: _Rate = 10_000
    """The same for one stock Pyro client."""
    stranger_entries_per_second_per_address: _Rate = 20_000
    """The same for all stock Pyro clients of one address together."""
    answer_bytes: Annotated[int, Field(ge=1 << 16, le=_ANSWER_BYTES_AT_MOST)] = 4 << 20
    """One answer; a batched call is ended when its answers have this many."""
    strangers_percent: Annotated[int, Field(ge=1, le=100)] = 25
    """Of one core's time, for all callers together that are not bankrmi's own clients (unmodified Pyro5
    clients).
    """


NOT_THE_DAEMONS = frozenset(
    {
        "operations_per_request",
        "group_bytes",
        "waiting_bytes",
        "entries_per_second",
        "entries_per_second_per_address",
        "stranger_entries_per_second",
        "stranger_entries_per_second_per_address",
    }
)
"""Those of `LimitSettings` that are for servers of the bank, not for every daemon."""


class EtcdSettings(_Checked):
    """How etcd is reached, where it keeps the view in the place of a witness."""

    etcd: Annotated[list[str], AfterValidator(_checked_members)]
    """The members: `https://host:port`, or `http://` on one machine."""
    prefix: Annotated[str, AfterValidator(_checked_prefix)] = "/bankrmi/"
    """What the keys begin with; the service follows."""
    user: str | None = None
    """Who we are to etcd; left out if its authentication is off."""
    password: str | None = Field(default=None, repr=False)
    """The password of `user`."""
    password_file: _File | None = None
    """A file with nothing but the password in it, in the place of `password`."""
    ca: _File | None = None
    """Who signed the certificates of etcd's members, a file of PEM; nobody else is trusted. Needed with
    `https`.
    """
    certificate: _File | None = None
    """Our own, shown to etcd, which takes one through its JSON gateway only if it has no common name."""
    key: _File | None = None
    """The key of `certificate`; both or neither."""

    @property
    def is_encrypted(self) -> bool:
        """Whether it is spoken to by TLS."""
        return self.etcd[0].startswith("https://")

    def addresses(self) -> list[Address]:
        """Return `host:port` of each member."""
        return [split_url(url)[1] for url in self.etcd]

    def in_words(self) -> str:
        """Return where that is, to end a sentence that begins with "etcd at"."""
        return ", ".join(self.etcd)

    def relative_to(self, folder: Path) -> Self:
        """Return the same with its files' paths resolved."""
        names = ("password_file", "ca", "certificate", "key")
        given = {name: folder / file for name in names if (file := getattr(self, name)) is not None}
        return self.model_copy(update=given)


def _keeper_kind(value: object) -> str:
    return "[etcd]" if isinstance(value, dict | EtcdSettings) else "[address]"


_Keeper = Annotated[
    Annotated[_Address, Tag("[address]")] | Annotated[EtcdSettings, Tag("[etcd]")],
    Discriminator(_keeper_kind),
]


class ConfigSettings(_Checked):
    """The content of `config.yaml`; the shipped file explains each key."""

    serves: _Serves = None
    """Which class is replicated, as `module:Class`; or several, indented below it, each by its name. None:
    the accounts of a bank, as with `bankrmi:Account`.
    """
    service: _Name = Field(default_factory=lambda known: home_service(known.get("serves")))
    """What clients ask for: the attribute `service:account`. Of several services it is the first one: under
    its name the view is kept.
    """
    engine: _DatabaseUrl | None = Field(default=None, repr=False)
    """The database that keeps the accounts: `postgresql://user:password@host:port/database`. None: the
    servers keep them.
    """
    nameserver: _Address
    """Address `host:port` of the name server."""
    witness: _Keeper = Field(default_factory=lambda known: known.get("nameserver", ""))
    """Address of the witness; served by the name server's process, at its own address if that is another
    one. Or, indented below it, the etcd that keeps the view in its place.
    """
    servers: Annotated[dict[_ServerName, _Address], Field(min_length=1, default_factory=dict)]
    """Names and addresses, any number; two are usual. The order counts: the first one makes the first
    view. A file for clients only may leave it out: they learn the servers from the name server.
    """
    listen: dict[str, _BoundAddress] = {}
    """Where a process listens, if not where others find it: `host:port` by its name (`nameserver`,
    `witness` where that has an address of its own, and servers). `0.0.0.0` and `"[::]"` are all addresses
    of a machine (the second one those of IPv4, too).
    """
    metrics: dict[str, _BoundAddress] = {}
    """Addresses at which processes show figures and health, by name: `nameserver` (the process of name
    server and witness), `witness` (a witness that has an address of its own, without the name server) and
    those of servers; those left out show none.
    """
    ledger: _File = Path("ledger.csv")
    """What the bank opens with: lines `account-id,balance`."""
    data_dir: _File = Path("data")
    """Databases and logs."""
    lease_ms: _Margin = 1000
    """A primary that is silent for this long is replaced; for just as long it may answer reads by itself.
    0: no lease, every read asks the standby first (for machines that are suspended).
    """
    heartbeat_ms: _Duration = 100
    """How often primary and standby hear of each other when there is nothing to do."""
    checkpoint_timeout_ms: Annotated[int, Field(ge=2, le=LONGEST_MS)] = 500
    """A standby that has not answered for this long is left behind."""
    drift_ms: _Margin = 20
    """How much two clocks may drift apart in the course of a lease; may be 0."""
    copies_min: int = 1
    """Fewer copies than this acknowledge nothing. 2: wait, rather than go on with a single copy."""
    refused_means_gone: bool = True
    """A refused connection proves that a process is gone, so a crash is noticed in milliseconds. Set it
    to `false` where something between the servers may refuse in a live server's name (a rejecting
    firewall, a load balancer).
    """
    certificates: CertificateSettings | None = None
    """With which certificates each end proves who it is. None: nobody has to, and there is no TLS."""
    client: ClientSettings = ClientSettings()
    """What a client does unless it is told otherwise."""
    journal: JournalSettings = JournalSettings()
    """How much of the journal is kept, and how far accounts may lag behind it on the disk."""
    log: LogSettings = LogSettings()
    """How large a log file becomes."""
    limits: LimitSettings = LimitSettings()
    """What a server takes from others."""

    @model_validator(mode="before")
    @classmethod
    def _bank_is_what_nothing_says(cls, values: Any) -> Any:
        """The bank by its name is the same as no name at all; but what it is called stays."""
        if not isinstance(values, dict) or not is_bank(serves := values.get("serves"), values.get("service")):
            return values
        named = {"service": home_service(serves)} if isinstance(serves, dict) else {}
        return {**named, **values, "serves": None}

    @property
    def services(self) -> dict[str, str]:
        """The classes that are replicated, by the names of the services, the first one first; none for a
        bank."""
        if not isinstance(self.serves, dict):
            return {} if self.serves is None else {self.service: self.serves}
        return {self.service: self.serves[self.service]} | self.serves

    @property
    def has_several(self) -> bool:
        """Whether there is more than one service."""
        return len(self.services) > 1

    @property
    def serves_in_words(self) -> str:
        """What is replicated, for people."""
        named = self.services
        if not self.has_several:
            return next(iter(named.values()), "the accounts of a bank")
        return ", ".join(f"{name} ({target})" for name, target in named.items())

    @property
    def witness_address(self) -> Address | None:
        """Where the witness is; None if etcd keeps the view, or there is none (`engine`)."""
        return self.witness if isinstance(self.witness, str) and self.engine is None else None

    @property
    def etcd(self) -> EtcdSettings | None:
        """The etcd that keeps the view; None if the witness does."""
        return self.witness if isinstance(self.witness, EtcdSettings) else None
