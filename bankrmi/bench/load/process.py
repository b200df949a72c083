"""A load process: reads its order, warms up, says so, measures, answers (see the package).

Rule: what it cannot do is one sentence on standard error, and exit code 1.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Awaitable, Callable, Sequence

from bankrmi.bench.load.grpc import grpc
from bankrmi.bench.load.libraries import LIBRARIES, run_library
from bankrmi.bench.load.links import links
from bankrmi.bench.load.loop import LoadCaller, run
from bankrmi.bench.load.methods import keep_calling_methods, measured_methods
from bankrmi.bench.load.order import BEGUN, LoadOrder, LoadResult
from bankrmi.bench.load.own import keep_calling, own_clients
from bankrmi.bench.load.resp import resp

__all__ = ["main"]

CLIENTS: dict[str, Callable[[LoadOrder], Awaitable[Sequence[LoadCaller]]]] = {
    "link": links,
    "redis": resp,
    "etcd": grpc,
}


def main() -> None:
    """Carry out the order on standard input."""
    order = LoadOrder.from_line(sys.stdin.readline())
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        _say(_carry_out(order).to_line())
    except Exception as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        raise SystemExit(1) from None


def _carry_out(order: LoadOrder) -> LoadResult:
    if order.kind == "own":
        return asyncio.run(own_clients(order, _begin))
    if order.kind == "background":
        return asyncio.run(keep_calling(order, _begin))
    if order.kind == "methods":
        return asyncio.run(measured_methods(order, _begin))
    if order.kind == "background-methods":
        return asyncio.run(keep_calling_methods(order, _begin))
    if order.kind in LIBRARIES:
        return run_library(order, _begin)
    return asyncio.run(_lean(order))


async def _lean(order: LoadOrder) -> LoadResult:
    return await run(await CLIENTS[order.kind](order), order, _begin)


def _begin() -> None:
    _say(BEGUN)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
