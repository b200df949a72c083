"""What the rules are told by the configuration, and of the servers by the view.  Times in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from bankrmi.replication.code_versions import VERSION_1, CodeVersions
from bankrmi.replication.queue import REQUEST_BYTES

__all__ = ["GROUP_SHARE", "Settings"]

GROUP_SHARE = 0.3
"""Of the time after which a standby that has not answered is left behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One server's settings.

    `servers` are all that there are, this one included: those of the configuration, in its order, until the
    view names them (V12); then they may lack this one. `addresses` has where each lives; one that is not
    in it is called by its name.
    """

    server: str
    servers: tuple[str, ...]
    addresses: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    """At which others call this process, as its configuration says; empty: by its name."""
    lease_ms: int = 1000
    drift_ms: int = 20
    heartbeat_ms: float = 100
    checkpoint_timeout_ms: float = 500
    copies_min: int = 1
    refused_means_gone: bool = True
    first: bool = False
    group_bytes: int = 1 << 20
    group_bytes_per_ms: float = 7_500
    request_bytes: int = REQUEST_BYTES
    """What a request costs a group beside its operations (see `queue`)."""
    cost_of_newest: Callable[[], int] | None = None
    """What the newest request has cost, in the same coin, where nobody knows that before it is decided: asked
    after each; when a group's room is used up, the rest waits for the next one. None: it is known before."""
    lag_noticed: int = 8192
    """Entries that a joiner may lag without anybody else being slowed down."""
    usual_per_ms: float = 20
    """New entries that are taken for usual where fewer were measured: see `pace`."""
    catch_up_operations: int = 2048
    catch_up_bytes: int = 1 << 18
    copy_from_operations: int = 500_000
    switchover_timeout_ms: float = 2000
    code: CodeVersions = VERSION_1
    """Which versions of what is replicated this server's code knows (S5)."""
    epochs_unseen: int = 100
    """So far above what the witness is known to have held an epoch is believed unseen (see `believing`)."""

    @property
    def others(self) -> tuple[str, ...]:
        """All servers but this one."""
        return tuple(name for name in self.servers if name != self.server)

    @property
    def home(self) -> str:
        """Where this process lives."""
        return self.address or self.server

    def address_of(self, server: str) -> str:
        """Return where a server is looked for."""
        return self.addresses.get(server, server)

    def where_all_live(self) -> dict[str, str]:
        """Return the address of every server."""
        return {name: self.address_of(name) for name in self.servers}

    def with_servers(self, servers: Mapping[str, str]) -> Settings:
        """Return the same, going by the servers that a view names."""
        return replace(self, servers=tuple(servers), addresses=dict(servers))

    @property
    def silence_ms(self) -> float:
        """After how long without a word a standby believes a primary gone that it has never heard."""
        return self.lease_ms or 2 * self.checkpoint_timeout_ms

    @property
    def tick_ms(self) -> float:
        """How often this server looks at the time: a few times in a heartbeat."""
        return max(5.0, self.heartbeat_ms / 4)

    @property
    def group_room(self) -> int:
        """How many bytes of entries a group may have: done by both copies well before one counts as silent.

        `group_bytes_per_ms` is what they get done in a millisecond, one after the other, on a small machine.
        A request is never split (A4), so one alone may be larger.
        """
        in_time = GROUP_SHARE * self.checkpoint_timeout_ms * self.group_bytes_per_ms
        return max(1, min(self.group_bytes, int(in_time)))
