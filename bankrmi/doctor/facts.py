"""What was found out, as values: judges know nothing else.

Rule: what a process tells is foreign; it is taken in known forms, of bounded sizes, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bankrmi.config import Configuration
from bankrmi.foreign_text import foreign
from bankrmi.rmi import NamedObject

__all__ = [
    "ClockSeen",
    "Facts",
    "Looked",
    "MemberState",
    "OwnMachine",
    "ProcessFacts",
    "SyncTimes",
    "read_facts",
]

_MOVED = "and is not kept here any more"
"""As both keepers say it (see `errors.ViewMoved`)."""

_Text = Annotated[str, Field(max_length=1000)]
_Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e12, le=1e12)]
_Count = Annotated[int, Field(ge=0, le=1 << 62)]


class _Told(BaseModel):
    """Frozen; keys of a newer version are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class SyncTimes(_Told):
    """How often the disk took how long: `counts[i]` up to `bounds_s[i]`, the last one longer than all."""

    bounds_s: Annotated[list[_Number], Field(min_length=1, max_length=100)]
    counts: Annotated[list[_Count], Field(max_length=101)]

    def at_share(self, share: float) -> float | None:
        """Return within which time, in seconds, this share of all was done; None if there are too few."""
        total, seen = sum(self.counts), 0
        if total == 0:
            return None
        for bound, count in zip([*self.bounds_s, float("inf")], self.counts, strict=False):
            seen += count
            if seen >= share * total:
                return bound
        return None


class CertificateFacts(_Told):
    """Of the certificate that a process shows."""

    days_left: _Number
    ends_first: _Text | None = None
    """What has to be renewed before: `ca`, or the certificate itself. A version before does not tell."""
    hosts: Annotated[list[_Text], Field(max_length=100)]
    problems: Annotated[list[_Text], Field(max_length=10)]


class ProcessFacts(_Told):
    """What one process tells of itself (see `diagnosis`)."""

    process: _Text
    machine: _Text | None = None
    versions: Annotated[dict[_Text, _Text], Field(max_length=20)] = {}
    settings: Annotated[dict[_Text, Any], Field(max_length=100)] = {}
    listens_at: Annotated[list[_Text], Field(max_length=10)] = []
    relayed: bool = False
    """Whether what stands in between is a relay of `up`'s, which refuses for nobody who lives."""
    folder: _Text = ""
    free_bytes: _Count | None = None
    syncs: SyncTimes | None = None
    round_trips_ms: Annotated[dict[_Text, _Number | None], Field(max_length=100)] = {}
    keeper_ms: _Number | None = None
    certificate: CertificateFacts | None = None


def read_facts(answer: object) -> ProcessFacts | str:
    """Return what was answered; or, if it cannot be read, why."""
    try:
        return ProcessFacts.model_validate(answer)
    except ValidationError as error:
        [first, *_] = error.errors()
        where = ".".join(map(str, first["loc"])) or "it"
        return f"it answered what cannot be read ({foreign(where, 80)}: {first['msg']})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSeen:
    """One process's clocks as seen from here: the true value is within what is said."""

    rate: float
    """By how much its monotonic clock is faster than ours: 0.001 is a millisecond a second."""
    rate_within: float
    wall_ahead_s: float
    wall_within_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What became of asking one process: its facts, or why there are none."""

    facts: ProcessFacts | None = None
    clock: ClockSeen | None = None
    round_trip_ms: float | None = None
    """From here."""
    why_not: str = ""
    is_denied: bool = False
    """It answers, but tells only operators."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberState:
    """One member of etcd; `reason` if it does not answer."""

    url: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnMachine:
    """What was looked at here, where nothing of the bank runs on this machine; else only the versions."""

    versions: Mapping[str, str]
    is_idle: bool = False
    """Whether no process of this bank runs here."""
    is_new: bool = False
    """Whether something of this bank is to run here, and nothing ever did."""
    unresolved: tuple[str, ...] = ()
    """Hosts that no name server of this machine knows."""
    ports: tuple[str, ...] = ()
    """Sentences about who has the ports."""
    folder: str = ""
    free_bytes: int | None = None
    sync_s: tuple[float, ...] = ()
    """How long syncs of a small file took."""
    writing: str = ""
    """Why nothing could be written, if so."""
    files: tuple[str, ...] = ()
    """What is wrong with files that a start needs: certificates, ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything."""

    configuration: Configuration
    own_machine: OwnMachine
    status: Mapping[str, Any] = field(default_factory=dict)
    """As `bankrmi status --json`."""
    looked: Mapping[str, Looked] = field(default_factory=dict)
    """By process: servers, `nameserver`, and `witness` where that has an address of its own."""
    names: tuple[NamedObject, ...] | None = None
    """What the name server says of this bank; None if it says nothing."""
    members: tuple[MemberState, ...] = ()
    """Of etcd, if that keeps the view."""
    why_not_asked: str = ""
    """Why nobody could be asked at all, if so."""
    is_for_servers: bool = False
    """Whether that is for this machine has certificates of servers only, as it should be."""
    why_client: str = ""
    """Why everybody was asked as a client, and not as an operator, if so."""

    @property
    def addresses(self) -> dict[str, str]:
        """Which servers the bank has by now, and where (V12); as the file says, where nobody was asked."""
        rows = self.status.get("servers", ())
        return {one["server"]: one["address"] for one in rows} or dict(self.configuration.servers)

    @property
    def servers(self) -> dict[str, ProcessFacts]:
        """What servers tell of themselves, as far as they do."""
        return {name: facts for name, facts in self.told.items() if name in self.addresses}

    @property
    def told(self) -> dict[str, ProcessFacts]:
        """What all processes tell of themselves, as far as they do."""
        return {name: one.facts for name, one in self.looked.items() if one.facts is not None}

    @property
    def was_moved(self) -> bool:
        """Whether the keeper of this file says that the view is kept elsewhere: the file is an old one."""
        return bool(self.status) and _MOVED in str(self.status["witness"].get("reason"))

    @property
    def is_kept_elsewhere(self) -> bool:
        """Whether the keeper of this file holds no view, and the servers run with another one."""
        return bool(self.status) and bool(self.status["witness"].get("elsewhere"))

    @property
    def has_another_keeper(self) -> bool:
        """Whether the view is kept elsewhere than this file says, and it is told so already."""
        return self.was_moved or self.is_kept_elsewhere

    @property
    def is_running(self) -> bool:
        """Whether any process of the bank is there, and if it does not let us in."""
        return self.lets_us_in or bool(self.status.get("denials"))

    @property
    def lets_us_in(self) -> bool:
        """Whether any process of the bank answers."""
        return any(one["reachable"] for one in self._standings())

    def _standings(self) -> list[Mapping[str, Any]]:
        status = self.status
        if not status:
            return []
        keeper = [status["witness"]] if self.configuration.etcd is None else []
        return [*status["servers"], *keeper, status["nameserver"]]
