"""What a program uses of the bank: the blocking client, the asyncio one, and the overview of all servers.

attempts      what to try next, how long to wait, when to give up: pure, shared by both clients; with
              `open_attempts`, `rounds`, `pauses`, `enquiries` and `last_words`, which it goes by
requests      what is sent, what is read from the answers: pure, shared
finding       who may be asked, who probably leads, what a failed attempt means: shared
seen          how new the newest answer was (rule R5)
bank_client   blocking, for threads; `blocking_client` is how it waits
aio_client    the same for asyncio (`bankrmi.aio`); `loop_client` is how that waits
service_client, async_service_client    those of a class that is replicated, by `service_requests`
overview      what every server, the witness and the name server say of themselves
view_history  how the view came to be what it is; `earlier_keepers`: what was before it was moved
failover      what it would mean to let this server lead: pure
operating     what operators do: switchover, failover, pause, export, restoring the witness, moving the view
"""

from __future__ import annotations

from bankrmi.client.bank_client import BankClient, connect
from bankrmi.client.earlier_keepers import whole_history
from bankrmi.client.operating import (
    Export,
    change_servers,
    export,
    failover,
    move_view,
    pause,
    plan_failover,
    plan_view_move,
    plan_witness_restore,
    restore_witness,
    resume,
    switchover,
)
from bankrmi.client.overview import overview
from bankrmi.client.view_history import history

__all__ = [
    "BankClient",
    "Export",
    "change_servers",
    "connect",
    "export",
    "failover",
    "history",
    "move_view",
    "overview",
    "pause",
    "plan_failover",
    "plan_view_move",
    "plan_witness_restore",
    "restore_witness",
    "resume",
    "switchover",
    "whole_history",
]
