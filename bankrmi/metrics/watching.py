"""The port for whoever watches a process, if the process is to have one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from bankrmi.metrics.health import Checks
from bankrmi.metrics.measure import Measure, read
from bankrmi.rmi.addresses import Address

if TYPE_CHECKING:
    from bankrmi.metrics.port import MetricsPort

__all__ = ["Watching"]

Source = TypeVar("Source")


class Watching(Generic[Source]):
    """Serves `measures` of what `source` returns, and `checks`, at `address`; None: nowhere."""

    def __init__(
        self,
        address: Address | None,
        measures: Callable[[], Sequence[Measure[Source]]],
        source: Callable[[], Source],
        checks: Checks,
    ) -> None:
        self._address = address
        self._measures = measures
        self._source = source
        self._checks = checks
        self._port: MetricsPort | None = None

    async def listen(self) -> int:
        """Begin to serve; return how many files that may take.

        Raises OperationFailed if the port is taken, ConfigurationError if the address cannot be had.
        """
        if self._address is None:
            return 0
        from bankrmi.metrics.port import FILES, MetricsPort  # With prometheus-client, for those who want it.

        measures = self._measures()
        self._port = MetricsPort(lambda: read(measures, self._source()), self._checks)
        await self._port.listen(self._address)
        return FILES

    def close(self) -> None:
        """Serve nobody any more."""
        if self._port is not None:
            self._port.close()
