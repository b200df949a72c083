"""An HTTP front on the bank: look up, withdraw, deposit; an `Idempotency-Key` is the request id.

    pip install 'bankrmi[console]'        (for starlette and uvicorn)
    python examples/web_front.py [config.yaml] [PORT]

    curl http://127.0.0.1:8080/accounts/2
    curl -X POST -H 'Idempotency-Key: order-17' -d '{"withdraw": 10}' http://127.0.0.1:8080/accounts/2

A caller who got no answer, or 503, sends the same again, with the same key: it is done once. The bank may
fail over meanwhile; the caller sees a slower answer, and nothing else.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import bankrmi.aio
from bankrmi.errors import AccountNotFound, BankError, Busy, InvalidRequest, Refused, Unreached

_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")
_STATUS: dict[type[BankError], int] = {
    AccountNotFound: 404,
    InvalidRequest: 400,
    Busy: 503,
    Unreached: 503,
    Refused: 409,  # Insufficient funds, for one.
    BankError: 503,  # In doubt: the same key finds out.
}


def _answer_to(error: BankError) -> JSONResponse:
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    headers = {"Retry-After": "1"} if status == 503 else {}
    return JSONResponse({"error": error.message, "happened": error.happened}, status, headers)


async def look_up(request: Request) -> JSONResponse:
    """Answer with the newest acknowledged balance."""
    bank: bankrmi.aio.AsyncBankClient = request.app.state.bank
    try:
        receipt = await bank.balance(request.path_params["account"])
    except BankError as error:
        return _answer_to(error)
    return JSONResponse({"account": receipt.account, "balance": receipt.balance})


async def change(request: Request) -> JSONResponse:
    """Do what is asked once, however often it is sent with one key."""
    bank: bankrmi.aio.AsyncBankClient = request.app.state.bank
    key = request.headers.get("idempotency-key", "")
    if not _KEY.fullmatch(key):
        return JSONResponse({"error": "Idempotency-Key is wanted: up to 60 letters, digits, - and _"}, 400)
    try:
        asked = await request.json()
    except ValueError:
        asked = None
    if not isinstance(asked, dict) or list(asked) not in (["withdraw"], ["deposit"]):
        return JSONResponse({"error": 'write {"withdraw": AMOUNT} or {"deposit": AMOUNT}'}, 400)
    [(kind, amount)] = asked.items()
    try:
        do = bank.withdraw if kind == "withdraw" else bank.deposit
        receipt = await do(request.path_params["account"], amount, request_id=f"web-{key}:1")
    except BankError as error:
        return _answer_to(error)
    return JSONResponse(
        {"account": receipt.account, "balance": receipt.balance, "action_id": receipt.action_id}
    )


def application(configuration: str) -> Starlette:
    """Return the front; it has one client for all its callers."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with await bankrmi.aio.connect(configuration, timeout=5) as bank:
            app.state.bank = bank
            yield

    routes = [
        Route("/accounts/{account:int}", look_up),
        Route("/accounts/{account:int}", change, methods=["POST"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


if __name__ == "__main__":
    configuration = sys.argv[1] if len(sys.argv) > 1 else "config.yaml"
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 8080
    uvicorn.run(application(configuration), host="127.0.0.1", port=port, log_level="warning")
