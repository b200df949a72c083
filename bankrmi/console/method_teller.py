"""The teller of classes: calls their methods, with what a person writes, and with what is made up.

Rule 1: what a caller or a method has said is text for the page: cut, and made visible, before it is told.
Rule 2: a method's arguments are checked before anything is sent; an exception is an answer like another.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bankrmi.client.async_service_client import WholeAnswers
from bankrmi.client.service_requests import asked
from bankrmi.config import Configuration
from bankrmi.console.events import NAME_AT_MOST
from bankrmi.console.feed import Telling
from bankrmi.console.method_forms import forms_of, read_form
from bankrmi.console.teller import YOU, Teller, new_request_id, request_id_of
from bankrmi.errors import BankError, InvalidRequest, ServiceError
from bankrmi.foreign_text import foreign
from bankrmi.service.calls import Called
from bankrmi.service.drawn_arguments import Drawn, Undrawable, any_arguments, drawn_call
from bankrmi.service.in_words import call_in_words, value_as_text
from bankrmi.service.method_names import NamedMethod, every_method, find_method
from bankrmi.service.served_services import ServedServices
from bankrmi.service.written_values import read_arguments

__all__ = ["MethodTeller"]

ANSWER_AT_MOST = 20_000
"""Characters of a result that whoever has asked is shown."""
TOLD_AT_MOST = 300
"""Of one that everybody is told of."""
SHARE_AT_MOST = 100
_WRITTEN_AT_MOST = 2000

_Arguments = tuple[list[Any], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """What clients of a load call of one method, and how often."""

    called: NamedMethod
    share: int
    written: str
    """As a person has written the arguments; nothing: they are made up."""
    next: Callable[[], _Arguments]


class MethodTeller(Teller):
    """Calls of one class, or of several in one pair."""

    def __init__(
        self,
        configuration: Configuration,
        services: ServedServices,
        feed: Telling,
        *,
        now_ms: Callable[[], float],
        chance: random.Random | None = None,
    ) -> None:
        super().__init__(feed, now_ms=now_ms, chance=chance)
        self._services = services
        self._clients_of = {
            services.called(name): WholeAnswers(
                description, configuration, service=services.called(name) if services.beside else None
            )
            for name, description in services.each()
        }
        self._forms = forms_of(services)
        methods = every_method(services)
        self._draws = _draws(methods)
        self._load: Sequence[_Load] = [
            self._made_up(one, 1 if self._can_be_drawn(one) else 0) for one in methods
        ]

    @property
    def hello(self) -> dict[str, Any]:
        """Return the methods that there are, and the load."""
        mix = [
            {"method": one.called.name, "share": one.share, "arguments": one.written} for one in self._load
        ]
        return {
            "classes": self._forms,
            "load": {**self._clients, "mix": mix, "share_at_most": SHARE_AT_MOST},
        }

    async def ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Call the method that a person asks for; return what became of it.  Raises InvalidRequest."""
        called = self._method(asked.get("method"))
        args, kwargs = read_form(called.method, asked.get("arguments", {}))
        again = asked.get("again") is not None
        return await self._call(called, (args, kwargs), request_id_of(asked), by=YOU, again=again)

    def _method(self, name: object) -> NamedMethod:
        if not isinstance(name, str):
            raise InvalidRequest("a method is called by its name")
        return find_method(self._services, name)

    # -- a load ------------------------------------------------------------------------------------

    def _mix(self, asked: Mapping[str, Any]) -> None:
        """Each method is called as often as its share says, with arguments that are written, or made up."""
        mix = asked.get("mix")
        if mix is None:
            return
        if not isinstance(mix, list) or not all(isinstance(one, dict) for one in mix):
            raise InvalidRequest("a mix is a list of methods, each with its share and its arguments")
        if len(mix) > len(every_method(self._services)):
            raise InvalidRequest("a mix names each method once")
        load = [self._entry(one.get("method"), one.get("share"), one.get("arguments", "")) for one in mix]
        if not any(one.share for one in load):
            raise InvalidRequest("a load calls something: give one method a share")
        self._load = load

    def _entry(self, name: object, share: object, written: object) -> _Load:
        called = self._method(name)
        if type(share) is not int or not 0 <= share <= SHARE_AT_MOST:
            raise InvalidRequest(f"the share of {called.name} is a whole number from 0 to {SHARE_AT_MOST}")
        if not isinstance(written, str) or len(written) > _WRITTEN_AT_MOST:
            raise InvalidRequest(f"the arguments of {called.name} are a text of up to {_WRITTEN_AT_MOST}")
        if written.strip():
            bound = called.method.bound(*read_arguments(written), whole=False)
            return _Load(called=called, share=share, written=written, next=lambda: bound)
        if share and not self._can_be_drawn(called):
            raise InvalidRequest(f"{called.name}: its arguments cannot be made up: write them")
        return self._made_up(called, share)

    def _made_up(self, called: NamedMethod, share: int) -> _Load:
        draw = self._draws.get(called.name, lambda _: {})
        return _Load(
            called=called,
            share=share,
            written="",
            next=lambda: drawn_call(called.method, draw, self._chance),
        )

    def _can_be_drawn(self, called: NamedMethod) -> bool:
        try:
            drawn_call(called.method, self._draws[called.name], self._chance)
        except (KeyError, Undrawable):
            return False
        return True

    async def _call_any(self, name: str) -> dict[str, Any]:
        [chosen] = self._chance.choices(self._load, [one.share for one in self._load])
        try:
            arguments = chosen.next()
        except Undrawable:  # They were found before; it happens that so many draws find none.
            return {"outcome": "refused"}
        return await self._call(chosen.called, arguments, new_request_id(), by=name)

    # -- a call ------------------------------------------------------------------------------------

    async def _call(
        self, called: NamedMethod, arguments: _Arguments, request_id: str, *, by: str, again: bool = False
    ) -> dict[str, Any]:
        args, kwargs = arguments
        method = called.method
        request = asked(method, args, kwargs, request_id)
        call = {
            "client": by,
            "request_id": request_id if method.is_update else None,
            "what": called.name[:NAME_AT_MOST],
            "call": foreign(call_in_words(Called(called.name, args, kwargs)), TOLD_AT_MOST),
            "again": again,
        }

        async def perform() -> dict[str, Any]:
            answer = await self._clients_of[called.service].whole(request)
            text = value_as_text(answer["value"])
            return {"value": foreign(text, ANSWER_AT_MOST), "action_id": answer["action_id"]}

        def came_of(error: BankError) -> dict[str, Any]:
            return self._came_of(error) if not isinstance(error, ServiceError) else _raised(called, error)

        return {**await self._told(call, perform, came_of), "changes": method.is_update}

    def _event(self, told: Mapping[str, Any]) -> Mapping[str, Any]:
        event = {name: value for name, value in told.items() if name != "declared"}
        if "value" in event:
            event["value"] = foreign(event["value"], TOLD_AT_MOST)
        return event

    async def _leave(self) -> None:
        for client in self._clients_of.values():
            await client.close()


def _raised(called: NamedMethod, error: ServiceError) -> dict[str, Any]:
    """Return what came of a call whose method raised an exception."""
    name = foreign(error.details.get("error"), 100)
    declared = any(
        kind.__qualname__ == name for method in called.description.methods.values() for kind in method.raises
    )
    return {
        "outcome": "declined",
        "error": name,
        "declared": declared,
        "message": foreign(error.details.get("words") or "", TOLD_AT_MOST),
        "action_id": error.details.get("action_id"),
    }


def _draws(methods: Iterable[NamedMethod]) -> dict[str, Drawn]:
    """Return what draws the arguments of each method of which that is known."""
    found = {}
    for one in methods:
        try:
            found[one.name] = any_arguments(one.method)
        except Undrawable:
            continue
    return found
