"""The shop as a web page (Starlette), on the asyncio client. Run as many of these as you like: they keep
nothing.

    pip install 'bankrmi[console]'        (for starlette and uvicorn)
    python web.py [config.yaml] [PORT]

Each page brings a key in its form, and the order goes under that as its request id. So a double click, a
reload, "send again" after a time-out, another web server, a server of the shop that dies meanwhile: it is
one order.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

import bankrmi.aio
from bankrmi.errors import BankError, Refused
from shop import Line, Order, Product, Shop, SoldOut, Unknown

FORM_BYTES = 20_000


def page(title: str, body: str, status: int = 200) -> HTMLResponse:
    """Return a page."""
    text = (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'><style>body{font:1.1em sans-serif;margin:2em auto;"
        f"max-width:32em}}td{{padding:.3em 1em .3em 0}}</style><title>{escape(title)}</title>"
        f"<h1>{escape(title)}</h1>{body}"
    )
    return HTMLResponse(text, status, {"Cache-Control": "no-store", "Content-Security-Policy": _POLICY})


_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"


def money(cents: int) -> str:
    """Return an amount as people write it."""
    return f"{cents // 100}.{cents % 100:02}"


def shelf(products: list[Product]) -> str:
    """Return the form in which one orders; its key is what makes an order one order."""
    rows = "".join(
        f"<tr><td><label for='{escape(one.name)}'>{escape(one.name)}</label><td>{money(one.cents)}"
        f"<td>{one.left} left<td><input type=number min=0 max=1000 value=0"
        f" id='{escape(one.name)}' name='count of {escape(one.name)}'>"
        for one in products
    )
    return (
        f"<form method=post action=/orders><input type=hidden name=key value={secrets.token_hex(16)}>"
        f"<table>{rows}</table><p><label>Your name <input name=customer required maxlength=100></label>"
        " <button>Order</button></form>"
    )


def receipt(order: Order) -> str:
    """Return what was ordered."""
    lines = "".join(f"<li>{line.count} &times; {escape(line.product)}" for line in order.lines)
    return f"<p>{escape(order.customer)}, {order.placed}<ul>{lines}</ul><p><b>{money(order.cents)}</b>"


async def front(request: Request) -> Response:
    """Show the shelf."""
    return page("The shop", shelf(await request.app.state.shop.products()))


async def place(request: Request) -> Response:
    """Order what the form says: once for its key, however often it comes."""
    form = await _form(request)
    try:
        lines = [
            Line(name.removeprefix("count of "), int(count))
            for name, count in form.items()
            if name.startswith("count of ") and count.strip() not in ("", "0")
        ]
        order: Order = await request.app.state.shop.update(
            "order", [form.get("customer", ""), lines], request_id=f"web-{form.get('key', '')}:1"
        )
    except (SoldOut, Unknown) as error:
        return page("Not ordered", f"<p>{escape(str(error))}: nothing was ordered. <a href=/>Back</a>", 409)
    except (ValueError, Refused) as error:
        return page("Not ordered", f"<p>{escape(str(error))}. <a href=/>Back</a>", 400)
    return RedirectResponse(f"/orders/{order.id}", 303)


async def show(request: Request) -> Response:
    """Show an order."""
    try:
        return page("Thank you", receipt(await request.app.state.shop.placed(request.path_params["number"])))
    except Unknown as error:
        return page("Not found", f"<p>{escape(str(error))}", 404)


async def unsettled(_: Request, error: Exception) -> Response:
    """Nobody could answer in time: whoever reloads sends the same key, and finds out."""
    answer = page(
        "One moment", f"<p>{escape(str(error))}.<p>Reload this page: nothing is ordered twice.", 503
    )
    answer.headers["Retry-After"] = "1"
    return answer


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > FORM_BYTES:
            return {}
    return dict(parse_qsl(body.decode(errors="replace"), max_num_fields=300))


def application(configuration: str) -> Starlette:
    """Return the web server; it has one client for all who come."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with await bankrmi.aio.connect(Shop, configuration, timeout=5) as shop:
            app.state.shop = shop
            yield

    return Starlette(
        routes=[
            Route("/", front),
            Route("/orders", place, methods=["POST"]),
            Route("/orders/{number}", show),
        ],
        exception_handlers={BankError: unsettled},
        lifespan=lifespan,
    )


if __name__ == "__main__":
    configuration = sys.argv[1] if len(sys.argv) > 1 else "config.yaml"
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 8080
    uvicorn.run(application(configuration), host="127.0.0.1", port=port, log_level="warning")
