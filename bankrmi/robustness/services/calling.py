"""One process of clients of a service, or of several of one pair, as chaos starts it:
`python -m …services.calling ORDER`.

Each session does what its workload says, with the production clients, and writes down what it asks and what
it is told. A line on standard output says, twice a second, how far they are.

Rule 1: a request is written down before it is sent, under an id chosen here.
Rule 2: nothing is assumed of a request without an answer: it is asked for, sent again, or left unknown.
Rule 3: one process of several repeats queries, once it knows some: what it is told rests on nothing that it
        has asked for itself.
Rule 4: of several services, a session's requests go on from one to the other (O2 is of the pair); and what
        became of one, any of them is asked.
Rule 5: SIGTERM: no new calls; those on their way end as they do. The process ends with chaos, however that
        ends.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from bankrmi import config
from bankrmi.client.async_service_client import WholeAnswers
from bankrmi.client.requests import Request
from bankrmi.client.service_requests import asked, asked_outcome_of_call, declared_error
from bankrmi.errors import BankError, ServiceError, Unsettled
from bankrmi.replication.sessions import new_session
from bankrmi.robustness.chaos.ordered_clients import (
    ClientOrder,
    ClientProgress,
    reported,
    run_as_ordered,
    told_to_stop,
)
from bankrmi.robustness.chaos.workload import Doubt
from bankrmi.robustness.services.call_history import (
    OUTCOME,
    QUERY,
    UPDATE,
    CallRecorder,
    outcome_of_answer,
)
from bankrmi.robustness.services.conversations import Conversation
from bankrmi.robustness.services.found import FoundService, found_service
from bankrmi.robustness.services.wanted import WantedCall
from bankrmi.service.declaring import Method
from bankrmi.service.plain_values import NotPlain
from bankrmi.service.served_services import HOME, ServedServices, plain_name

_ASK_MEANWHILE = 0.004
_ASK_MEANWHILE_S = 0.003
_QUERIES_KEPT = 64
_QUERIES_TO_REPEAT = 4


class _Clients:
    """The client of each service; those that stand beside the first one have their service in the names of
    methods."""

    def __init__(self, services: ServedServices, of: Mapping[str, WholeAnswers]) -> None:
        self._services = services
        self._of = of
        self.names = list(of)

    async def asked(self, service: str, request: Request) -> dict[str, Any]:
        """Ask the object of a service."""
        return await self._of[service].whole(request)

    def found(self, wanted: WantedCall) -> tuple[str, Method]:
        """Return of which service a call is, and its method as that calls it."""
        service, plain = plain_name(wanted.method.name)
        one = self._services.find(service)
        assert one is not None
        return service, one.methods[plain]


class _Caller:
    """One session: one call after the other."""

    def __init__(
        self,
        name: str,
        clients: _Clients,
        recorder: CallRecorder,
        found: FoundService,
        order: ClientOrder,
    ) -> None:
        self.progress = ClientProgress()
        self._name = name
        self._clients = clients
        self._recorder = recorder
        self._order = order
        self._chance = random.Random(f"{order.seed}/{name}")
        chance = random.Random(f"{order.seed}/{name}/calls")
        self._conversation = Conversation(found.description, found.script, chance, whole=not order.changes)
        self._queries: dict[WantedCall, None] = {}
        self._begin()

    def _begin(self) -> None:
        self._session, self._sequence = new_session(), 0

    async def work(self, stop: asyncio.Event) -> None:
        """Make calls until told to stop."""
        while not stop.is_set():
            if self._order.reads_only and len(self._queries) >= _QUERIES_TO_REPEAT:
                await self._ask(self._chance.choice(list(self._queries)))
            else:
                await self._go_on(stop)
            pause_s = self._chance.uniform(0, 2 * self._order.pause_ms) / 1000
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause_s)

    async def _go_on(self, stop: asyncio.Event) -> None:
        """Make the next call of the workload, and tell it what came of that."""
        wanted = self._conversation.next()
        if wanted.is_update:
            answer, error = await self._change(wanted, stop)
        else:
            if len(self._queries) < _QUERIES_KEPT:
                self._queries[wanted] = None
            answer, error = await self._ask(wanted)
        if isinstance(error, ServiceError):
            error = declared_error(error, [wanted.method])
        if error is None:
            try:
                value = wanted.method.returned(answer["value"])
            except NotPlain as unlike:  # Another version of the class returns something else.
                error = unlike
        if error is not None:
            self._conversation.raised(error)
        else:
            self._conversation.returned(value)

    async def _ask(self, wanted: WantedCall) -> tuple[Any, Exception | None]:
        service, method = self._clients.found(wanted)
        request = asked(method, wanted.called.args, wanted.called.kwargs)
        return await self._told(self._name, QUERY, None, wanted, service, request)

    async def _change(self, wanted: WantedCall, stop: asyncio.Event) -> tuple[Any, Exception | None]:
        self._sequence += 1
        request_id = f"{self._session}:{self._sequence}"
        doubt = self._chance.choices(tuple(Doubt), (5, 4, 1))[0]
        meanwhile = None
        if self._chance.random() < _ASK_MEANWHILE:
            meanwhile = asyncio.create_task(self._settle_soon(request_id))
        answer, error = await self._send(wanted, request_id)
        while isinstance(error, Unsettled) and doubt is not Doubt.LEAVE and not stop.is_set():
            if doubt is Doubt.ASK:
                answer, error = await self._settle(request_id)
            else:
                answer, error = await self._send(wanted, request_id)
        if meanwhile is not None:
            await meanwhile
        if isinstance(error, Unsettled):
            self._begin()
        return answer, error

    async def _send(self, wanted: WantedCall, request_id: str) -> tuple[Any, Exception | None]:
        service, method = self._clients.found(wanted)
        request = asked(method, wanted.called.args, wanted.called.kwargs, request_id)
        return await self._told(self._name, UPDATE, request_id, wanted, service, request)

    async def _settle(self, request_id: str) -> tuple[Any, Exception | None]:
        service, request = self._chance.choice(self._clients.names), asked_outcome_of_call(request_id)
        return await self._told(f"{self._name}?", OUTCOME, request_id, None, service, request)

    async def _settle_soon(self, request_id: str) -> None:
        await asyncio.sleep(_ASK_MEANWHILE_S)
        await self._settle(request_id)

    async def _told(
        self,
        client: str,
        kind: str,
        request_id: str | None,
        wanted: WantedCall | None,
        service: str,
        request: Request,
    ) -> tuple[Any, Exception | None]:
        """Ask, write down what comes of it, and return that: an answer, or an error."""
        number = self._recorder.invoke(client, kind, request_id, wanted)
        self.progress.calls += 1
        answer: Any = None
        error: BankError | None = None
        try:
            answer = await self._clients.asked(service, request)
        except BankError as failed:
            error = failed
        self._recorder.complete(client, number, outcome_of_answer(kind, answer, error))
        if isinstance(error, Unsettled):
            self.progress.unknown += 1
        else:
            self.progress.operations += 1
        return answer, error


async def _work(order: ClientOrder) -> None:
    stop = told_to_stop()
    found = found_service(order.services, Path(order.folder), order.workload or None)
    recorder = CallRecorder(Path(order.history))
    configuration = config.load(Path(order.configuration), insecure=order.insecure)
    services = ServedServices.of(found.description)
    async with AsyncExitStack() as stack:
        of = {}
        for name, one in services.each():
            told = None if name == HOME else name
            of[name] = await stack.enter_async_context(WholeAnswers(one, configuration, service=told))
        clients = _Clients(services, of)
        names = [f"{order.client}.{number}" for number in range(1, order.sessions + 1)]
        callers = [_Caller(name, clients, recorder, found, order) for name in names]
        with reported(lambda: [caller.progress for caller in callers]):
            await asyncio.gather(*(caller.work(stop) for caller in callers))
    recorder.close()


if __name__ == "__main__":
    run_as_ordered(_work)
