"""The web server of the console: the page, the stream of events, and what may be asked for.

GET  /            the page; /page/NAME its parts
GET  /open/CODE   the page with the token, once, for whoever was invited
GET  /events      what happens, as server-sent events
POST /do/NAME     teller, load, misfortune, rule, invitation: JSON in, JSON out
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from importlib.resources import files
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from bankrmi.bank.ledger_file import read_ledger
from bankrmi.config import Configuration
from bankrmi.console.account_teller import AccountTeller
from bankrmi.console.bank_here import BankHere
from bankrmi.console.events import text_of
from bankrmi.console.feed import Feed
from bankrmi.console.guard import HEADERS, INVITED, Guard
from bankrmi.console.hello import hello_of
from bankrmi.console.method_teller import MethodTeller
from bankrmi.console.misfortunes import Misfortunes
from bankrmi.console.rule_search import RuleSearch
from bankrmi.console.teller import NoTeller, Teller
from bankrmi.console.watching import BankWatcher
from bankrmi.control import Control
from bankrmi.errors import BankError, ConfigurationError, InvalidRequest, OperationFailed
from bankrmi.foreign_text import foreign
from bankrmi.local_processes import LocalProcesses
from bankrmi.own_credentials import own_credentials
from bankrmi.service.loading import load_services

__all__ = ["Console"]

HEARTBEAT_S = 5.0
UNDOING_S = 8.0
"""What there is, at the end, for undoing what was done to the bank."""
BODY_BYTES = 300_000
"""More than the largest call of a method takes."""
PAGES_AT_ONCE = 20
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_ACCOUNTS = 1000

Doing = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]


class Console:
    """One console of one bank."""

    def __init__(self, configuration: Configuration, host: str, port: int, token: str) -> None:
        """Take what it needs; nothing is opened yet.  Raises ConfigurationError."""
        self._configuration = configuration
        self._host, self._port = host, port
        self._guard = Guard(token, port)
        self._page = {
            path.name: path.read_bytes() for path in files("bankrmi.console").joinpath("page").iterdir()
        }
        self._make_teller = _teller_of(configuration)
        _check_that_an_operator_asks(configuration)
        self._feed: Feed
        self._teller: Teller
        self._misfortunes: Misfortunes
        self._rules: RuleSearch
        self._offered: list[dict[str, Any]] | None = None

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until a signal ends it.  Raises OperationFailed if the address cannot be had."""
        listening = self._listening()
        self._feed = Feed(_now_ms)
        processes = LocalProcesses(self._configuration)
        control = Control(self._configuration.data_dir)
        bank = BankHere(self._configuration, processes, control)
        self._misfortunes = Misfortunes(bank, self._feed, now_ms=_now_ms)
        await self._misfortunes.begin()
        self._rules = RuleSearch(self._feed)
        self._teller = self._make_teller(self._feed)
        watcher = BankWatcher(
            self._configuration, processes, control, self._feed, self._teller.silences, self._seen
        )
        server = _Server(self._settings(), on_ready, self._feed.close)
        async with asyncio.TaskGroup() as group:
            doings = (watcher.watch(), self._teller.tell_sums(), self._rules.learn())
            tasks = [group.create_task(doing) for doing in doings]
            try:
                await server.serve([listening])
            finally:
                for task in tasks:
                    task.cancel()
                self._rules.close()
                with suppress(TimeoutError):
                    async with asyncio.timeout(UNDOING_S):
                        await self._misfortunes.close()
                await self._teller.close()

    def _seen(self, state: Mapping[str, Any], began_ms: float, up: Mapping[str, Any] | None) -> None:
        """The bank was looked at: what can be done to it may be something else by now."""
        self._misfortunes.see(state, began_ms, up)
        offered = self._misfortunes.offered()
        if offered != self._offered:
            self._offered = offered
            self._feed.put("offers", misfortunes=offered)

    def _listening(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            return socket.create_server((self._host, self._port), family=family)
        except OSError as error:
            raise OperationFailed(
                f"the console cannot listen at {self._host}:{self._port}: {error.strerror}; "
                "--listen names another address"
            ) from error

    def _settings(self) -> uvicorn.Config:
        return uvicorn.Config(
            self.application(),
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            ws="none",
            lifespan="off",
            limit_concurrency=PAGES_AT_ONCE * 4,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
        )

    def application(self) -> Starlette:
        """Return the application: what it answers, and to whom."""
        return Starlette(
            routes=[
                Route("/", self._front),
                Route("/page/{name}", self._part),
                Route(f"{INVITED}{{code}}", self._open),
                Route("/events", self._events),
                Route("/do/{name}", self._do, methods=["POST"]),
            ]
        )

    # -- the page ----------------------------------------------------------------------------------

    async def _front(self, request: Request) -> Response:
        return self._refusal(request) or self._file("index.html")

    async def _part(self, request: Request) -> Response:
        return self._refusal(request) or self._file(request.path_params["name"])

    async def _open(self, request: Request) -> Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        page = self._guard.accept(request.path_params["code"])
        if page is None:
            return Response(
                "this invitation was used already: open the address that the terminal has printed",
                410,
                HEADERS,
                "text/plain",
            )
        return Response(None, 303, {**HEADERS, "Location": page})

    def _file(self, name: str) -> Response:
        content = self._page.get(name)
        kind = _TYPES.get(name.rpartition(".")[2])
        if content is None or kind is None:
            return Response("there is no such page", 404, HEADERS, "text/plain")
        return Response(content, 200, HEADERS, f"{kind}; charset=utf-8")

    def _refusal(self, request: Request, *, changes: bool = False) -> Response | None:
        why = self._guard.why_not(request.headers, changes=changes)
        return None if why is None else JSONResponse({"error": why[1]}, why[0], HEADERS)

    # -- what happens --------------------------------------------------------------------------------

    async def _events(self, request: Request) -> Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        if self._feed.listeners >= PAGES_AT_ONCE:
            return JSONResponse({"error": f"{PAGES_AT_ONCE} pages are open already: close one"}, 503, HEADERS)
        seen = request.headers.get("last-event-id", "0")
        events = self._stream(int(seen) if seen.isdecimal() and len(seen) < 16 else 0)
        return StreamingResponse(events, 200, {**HEADERS, "X-Accel-Buffering": "no"}, "text/event-stream")

    async def _stream(self, seen: int) -> AsyncIterator[str]:
        yield f"retry: 1000\ndata: {json.dumps(self._hello())}\n\n"
        events = self._feed.listen(seen)
        coming: asyncio.Future[Any] | None = None
        try:
            while True:
                coming = coming or asyncio.ensure_future(anext(events, None))
                done, _ = await asyncio.wait([coming], timeout=HEARTBEAT_S)
                if not done:
                    yield ": still here\n\n"
                    continue
                event, coming = coming.result(), None
                if event is None:
                    return
                yield f"id: {event.number}\ndata: {event.text}\n\n"
        finally:
            if coming is not None:
                coming.cancel()
                with suppress(asyncio.CancelledError):
                    await coming
            await events.aclose()  # type: ignore[attr-defined]  # A generator is one.

    def _hello(self) -> dict[str, Any]:
        hello = hello_of(self._configuration, told_by="console", t=_now_ms())
        return {  # And what one can ask of a console.
            **json.loads(text_of(hello)),
            **self._teller.hello,
            "misfortunes": self._misfortunes.offered(),
            "rules": self._rules.rules,
        }

    # -- what may be asked for -------------------------------------------------------------------------

    async def _do(self, request: Request) -> Response:
        if (refusal := self._refusal(request, changes=True)) is not None:
            return refusal
        doing = self._doing(request.path_params["name"])
        if doing is None:
            return JSONResponse({"error": "there is no such thing to do"}, 404, HEADERS)
        try:
            asked = await _body(request)
            return JSONResponse(await doing(asked), 200, HEADERS)
        except InvalidRequest as error:
            return JSONResponse({"error": error.message}, 400, HEADERS)
        except BankError as error:
            return JSONResponse({"error": error.message}, 409, HEADERS)

    def _doing(self, name: str) -> Doing | None:
        match name:
            case "teller":
                return self._teller.ask
            case "load":
                return self._set_load
            case "misfortune":
                return self._misfortunes.do
            case "rule":
                return self._rules.ask
            case "invitation":
                return self._invite
            case _:
                return None

    async def _invite(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"path": self._guard.invite()}

    async def _set_load(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        return self._teller.set_load(asked)


def _teller_of(configuration: Configuration) -> Callable[[Feed], Teller]:
    """Return what makes the teller for what is served; raises ConfigurationError if there is nothing to show.

    Whoever has not got the class can watch all the same.
    """
    now_ms = _now_precisely_ms
    if configuration.serves is None:
        accounts = list(read_ledger(configuration.ledger))[:_ACCOUNTS]
        if not accounts:
            raise ConfigurationError(
                f"the ledger {configuration.ledger} has no accounts: there is nothing to show"
            )
        return lambda feed: AccountTeller(configuration, accounts, feed, now_ms=now_ms)
    try:
        services = load_services(configuration.services, configuration.path.parent)
    except ConfigurationError as error:
        why = f"This console has no teller, it only watches: {foreign(error.message)}"
        return lambda feed: NoTeller(why, feed, now_ms=now_ms)
    return lambda feed: MethodTeller(configuration, services, feed, now_ms=now_ms)


def _check_that_an_operator_asks(configuration: Configuration) -> None:
    """Raise ConfigurationError if the bank has certificates, and no operator's is here."""
    try:
        own_credentials(configuration, "operator")
    except ConfigurationError as error:
        raise ConfigurationError(f"the console wants an operator's certificate: {error.message}") from error


async def _body(request: Request) -> Mapping[str, Any]:
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > BODY_BYTES:
            raise InvalidRequest(f"that is longer than {BODY_BYTES} bytes")
    try:
        asked = json.loads(content)
    except (ValueError, RecursionError):
        raise InvalidRequest("that is not JSON") from None
    if not isinstance(asked, dict):
        raise InvalidRequest("what is asked for is a JSON object")
    return asked


class _Server(uvicorn.Server):
    """uvicorn's, which tells when it listens, and ends streams before it waits for them."""

    def __init__(
        self, config: uvicorn.Config, on_ready: Callable[[], None], on_end: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_end = on_end

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: Any = None) -> None:
        self._on_end()
        await super().shutdown(sockets)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _now_precisely_ms() -> float:
    return time.time_ns() / 1e6
