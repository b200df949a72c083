"""A bank of ours: two servers (or three) and the witness, with its usual settings, but no rate limits.

And the same behind certificates, as another system: what they cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import bankrmi
from bankrmi.bench.bank import WITNESS, MeasuredBank
from bankrmi.bench.figures import OURS
from bankrmi.bench.load.order import LoadOrder
from bankrmi.bench.shapes import Shape
from bankrmi.bench.systems.system import System
from bankrmi.certificates.authority import create, create_authority

__all__ = ["Ours", "OursOverTls"]

_DAYS = 90
"""Long enough for nobody to warn of their end."""


class Ours(System):
    """bankrmi."""

    name = OURS

    def __init__(self, folder: Path, *, servers: int = 2, modules: Path | None = None) -> None:
        super().__init__(folder)
        settings = self._settings(servers)
        self._bank = MeasuredBank(folder, servers=servers, settings=settings, modules=modules)
        self._primary = ""

    def _settings(self, servers: int) -> Mapping[str, object]:
        """Return what its configuration has besides; `servers` is how many there will be."""
        del servers
        return {}

    @classmethod
    def missing(cls) -> str | None:
        return None

    @classmethod
    def version(cls) -> str:
        return bankrmi.__version__

    def start(self) -> None:
        self._bank.start_all()
        self._primary = self._bank.primary()

    def processes(self) -> Mapping[str, int]:
        standbys = [name for name in self._bank.servers if name != self._primary]
        roles = (
            ["standby"] if len(standbys) == 1 else [f"standby {place}" for place, _ in enumerate(standbys, 1)]
        )
        named = {"primary": self._primary, **dict(zip(roles, standbys, strict=True)), "witness": WITNESS}
        return {role: self._bank.process(name).pid for role, name in named.items()}

    def order(self, shape: Shape, seconds: float) -> LoadOrder:
        where = {"configuration": str(self._bank.configuration.path)}
        if not shape.library:
            where["address"] = self._bank.configuration.servers[self._primary]
            where["object"] = f"bankrmi.account.{self._primary}"
            if self._bank.configuration.certificates is not None:
                where["certificates"] = str(self._bank.configuration.certificates.folder)
        kind = "bankrmi" if shape.library else "link"
        return LoadOrder(kind=kind, where=where, shape=shape, seconds=seconds)

    def stop(self) -> None:
        super().stop()
        self._bank.close()


class OursOverTls(Ours):
    """bankrmi, behind certificates."""

    name = "tls"
    note = "bankrmi itself, behind certificates"

    def _settings(self, servers: int) -> Mapping[str, object]:
        certificates = self.folder / "certificates"
        create_authority(certificates, days=2 * _DAYS)
        for server in (WITNESS, *(f"s{number}" for number in range(1, servers + 1))):
            create(certificates, "server", server, days=_DAYS, addresses=["127.0.0.1"])
        for role in ("client", "operator"):
            create(certificates, role, "bench", days=_DAYS)
        return {"certificates": {"folder": str(certificates)}}
