"""What the rules are told by the configuration.  Times in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One server's settings; `servers` are all of the configuration, in its order, this one included."""

    server: str
    servers: tuple[str, ...]
    lease_ms: int = 1000
    drift_ms: int = 20
    beacon_ms: float = 100
    checkpoint_timeout_ms: float = 500
    copies_min: int = 1
    refused_means_gone: bool = True
    first: bool = False
    group_bytes: int = 1 << 20
    catch_up_operations: int = 2048
    switchover_timeout_ms: float = 2000
    epochs_unseen: int = 100
    """So far above what the witness is known to have held an epoch is believed unseen (see `believing`)."""

    @property
    def others(self) -> tuple[str, ...]:
        """All servers but this one."""
        return tuple(name for name in self.servers if name != self.server)

    @property
    def silence_ms(self) -> float:
        """After how long without a word a standby believes a primary gone that it has never heard."""
        return self.lease_ms or 2 * self.checkpoint_timeout_ms
