"""Is this server where it is announced?  Looked at once, at a start, where it listens somewhere else.

Whoever wants to lead in a server's place takes the answer of another process at its announced address for a
proof that it is gone, and (with `refused_means_gone`) a refusal there (R3). While we live, neither may come.

Rule 1: a proof that would be wrong ends this process before it speaks to another server.
Rule 2: what is not certain is told, and nothing is waited for longer than `_SECONDS`, twice. So long it may
        refuse: whoever passes connections on may have begun just now, as this server has.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping

import structlog

from bankrmi.errors import OperationFailed
from bankrmi.readiness import AWAITS
from bankrmi.rmi import Address, ProbeAnswer, is_here, probe

__all__ = ["check_own_address"]

log = structlog.get_logger("bankrmi.server")

_SECONDS = 1.0
_AGAIN_SECONDS = 0.05


async def check_own_address(
    announced: Address,
    object_id: str,
    said: Mapping[str, object],
    start_id: str,
    *,
    refused_means_gone: bool,
) -> None:
    """Ask at the announced address who is there; raises OperationFailed where that would prove us gone."""
    deadline = time.monotonic() + _SECONDS
    answer = await _asked(announced, object_id, said)
    while answer == "refused" and refused_means_gone and time.monotonic() < deadline:
        await asyncio.sleep(_AGAIN_SECONDS)
        answer = await _asked(announced, object_id, said)
    if answer == "refused" and refused_means_gone:
        raise OperationFailed(
            f"{announced}, where this server is announced, refuses connections, which would prove to the "
            "others that it is gone: have that address lead here, or set refused_means_gone to false on all "
            "machines",
            **{AWAITS: f"the address {announced}"},
        )
    if not isinstance(answer, str) and answer.get("start_id") != start_id:
        raise OperationFailed(
            f"another process answers at {announced}, where this server is announced, which would prove to "
            "the others that this one is gone: have that address lead here alone, or end the other one"
        )
    if not refused_means_gone:
        return
    # A name may take long to be looked up, and the end of this process does not wait for that.
    threading.Thread(target=_warn_of_translation, args=(announced,), name="own address", daemon=True).start()


async def _asked(announced: Address, object_id: str, said: Mapping[str, object]) -> ProbeAnswer:
    answers: asyncio.Future[ProbeAnswer] = asyncio.get_running_loop().create_future()
    asking = probe(announced, object_id, said, answers.set_result, _SECONDS)
    try:
        return await answers
    finally:
        asking.close()


def _warn_of_translation(announced: Address) -> None:
    if not is_here(announced):
        log.warning(
            "this server is announced at an address that is not of this machine: where something in between "
            "may refuse connections while it lives, refused_means_gone has to be false on all machines",
            announced=announced,
        )
