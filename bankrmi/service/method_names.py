"""Methods by the names that people write: `put`; or, of several services, `stock.put`.

Rule 1: what is shown of a method can be written for it.
Rule 2: a plain name will do where one service alone has such a method; else it is refused, and never guessed.
"""

from __future__ import annotations

from typing import NamedTuple

from bankrmi.errors import InvalidRequest
from bankrmi.foreign_text import foreign
from bankrmi.service.declaring import Description, Method
from bankrmi.service.served_services import ServedServices, plain_name, qualified

__all__ = ["NamedMethod", "every_method", "find_method"]

_SHOWN_AT_MOST = 80


class NamedMethod(NamedTuple):
    """A method of one of the services."""

    service: str
    """As clients ask for it."""
    description: Description
    method: Method
    name: str
    """As it is shown."""


def every_method(services: ServedServices) -> list[NamedMethod]:
    """Return all methods of the newest versions: service by service, those that change the state first."""
    return [
        NamedMethod(
            services.called(service),
            one,
            method,
            qualified(services.called(service), method.name) if services.beside else method.name,
        )
        for service, one in services.each()
        for method in sorted(one.methods.values(), key=lambda method: (not method.is_update, method.name))
    ]


def find_method(services: ServedServices, written: str) -> NamedMethod:
    """Return the method that is meant by `put`, or by `stock.put`; raises InvalidRequest."""
    service, plain = plain_name(written)
    known = every_method(services)
    if service:
        known = [one for one in known if one.service == service]
        if not known:
            there = ", ".join(services.called(name) for name, _ in services.each())
            raise InvalidRequest(
                f"there is no service {foreign(service, _SHOWN_AT_MOST)!r}: there are {there:.500}"
            )
    found = [one for one in known if one.method.name == plain]
    if not found:
        there = ", ".join(one.name for one in known)
        has = " and ".join(dict.fromkeys(one.description.name for one in known))
        verb = "have" if " and " in has else "has"
        raise InvalidRequest(
            f"{has:.200} {verb} no method {foreign(plain, _SHOWN_AT_MOST)!r}: there are {there:.500}"
        )
    if len(found) > 1:
        names = " or ".join(one.name for one in found)
        raise InvalidRequest(f"{plain} is a method of more than one service: say {names:.500}")
    return found[0]
