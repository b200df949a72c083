"""The teller of a class: calls its methods, with what a person writes, and with what is made up.

Rule 1: what a caller or a method has said is text for the page: cut, and made visible, before it is told.
Rule 2: a method's arguments are checked before anything is sent; an exception is an answer like another.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bankrmi.client.async_service_client import WholeAnswers
from bankrmi.client.service_requests import queried, updated
from bankrmi.config import Configuration
from bankrmi.console.feed import Telling
from bankrmi.console.method_forms import forms_of, read_form
from bankrmi.console.teller import YOU, Teller, new_request_id, request_id_of
from bankrmi.errors import BankError, InvalidRequest, ServiceError
from bankrmi.foreign_text import foreign
from bankrmi.service.calls import Called
from bankrmi.service.declaring import Description, Method
from bankrmi.service.drawn_arguments import Drawn, Undrawable, any_arguments, drawn_call
from bankrmi.service.in_words import call_in_words, value_as_text
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

    method: Method
    share: int
    written: str
    """As a person has written the arguments; nothing: they are made up."""
    next: Callable[[], _Arguments]


class MethodTeller(Teller):
    """Calls of one class."""

    def __init__(
        self,
        configuration: Configuration,
        description: Description,
        feed: Telling,
        *,
        now_ms: Callable[[], float],
        chance: random.Random | None = None,
    ) -> None:
        super().__init__(feed, now_ms=now_ms, chance=chance)
        self._client = WholeAnswers(description, configuration)
        self._description = description
        self._forms = forms_of(description)
        self._draws = _draws(description)
        self._load: Sequence[_Load] = [
            self._made_up(method, 1 if self._can_be_drawn(method) else 0)
            for _, method in sorted(description.methods.items())
        ]

    @property
    def hello(self) -> dict[str, Any]:
        """Return the methods that there are, and the load."""
        mix = [
            {"method": one.method.name, "share": one.share, "arguments": one.written} for one in self._load
        ]
        kind = {"name": self._description.name, "version": self._description.version, "methods": self._forms}
        return {"class": kind, "load": {**self._clients, "mix": mix, "share_at_most": SHARE_AT_MOST}}

    async def ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Call the method that a person asks for; return what became of it.  Raises InvalidRequest."""
        method = self._method(asked.get("method"))
        args, kwargs = read_form(method, asked.get("arguments", {}))
        again = asked.get("again") is not None
        return await self._call(method, (args, kwargs), request_id_of(asked), by=YOU, again=again)

    def _method(self, name: object) -> Method:
        method = self._description.methods.get(name) if isinstance(name, str) else None
        if method is None:
            raise InvalidRequest(f"{self._description.name} has no method {foreign(name, 80)!r}")
        return method

    # -- a load ------------------------------------------------------------------------------------

    def _mix(self, asked: Mapping[str, Any]) -> None:
        """Each method is called as often as its share says, with arguments that are written, or made up."""
        mix = asked.get("mix")
        if mix is None:
            return
        if not isinstance(mix, list) or not all(isinstance(one, dict) for one in mix):
            raise InvalidRequest("a mix is a list of methods, each with its share and its arguments")
        if len(mix) > len(self._description.methods):
            raise InvalidRequest("a mix names each method once")
        load = [self._entry(one.get("method"), one.get("share"), one.get("arguments", "")) for one in mix]
        if not any(one.share for one in load):
            raise InvalidRequest("a load calls something: give one method a share")
        self._load = load

    def _entry(self, name: object, share: object, written: object) -> _Load:
        method = self._method(name)
        if type(share) is not int or not 0 <= share <= SHARE_AT_MOST:
            raise InvalidRequest(f"the share of {method.name} is a whole number from 0 to {SHARE_AT_MOST}")
        if not isinstance(written, str) or len(written) > _WRITTEN_AT_MOST:
            raise InvalidRequest(f"the arguments of {method.name} are a text of up to {_WRITTEN_AT_MOST}")
        if written.strip():
            bound = method.bound(*read_arguments(written), whole=False)
            return _Load(method=method, share=share, written=written, next=lambda: bound)
        if share and not self._can_be_drawn(method):
            raise InvalidRequest(f"{method.name}: its arguments cannot be made up: write them")
        return self._made_up(method, share)

    def _made_up(self, method: Method, share: int) -> _Load:
        draw = self._draws.get(method.name, lambda _: {})
        return _Load(
            method=method, share=share, written="", next=lambda: drawn_call(method, draw, self._chance)
        )

    def _can_be_drawn(self, method: Method) -> bool:
        try:
            drawn_call(method, self._draws[method.name], self._chance)
        except (KeyError, Undrawable):
            return False
        return True

    async def _call_any(self, name: str) -> dict[str, Any]:
        [chosen] = self._chance.choices(self._load, [one.share for one in self._load])
        try:
            arguments = chosen.next()
        except Undrawable:  # They were found before; it happens that so many draws find none.
            return {"outcome": "refused"}
        return await self._call(chosen.method, arguments, new_request_id(), by=name)

    # -- a call ------------------------------------------------------------------------------------

    async def _call(
        self, method: Method, arguments: _Arguments, request_id: str, *, by: str, again: bool = False
    ) -> dict[str, Any]:
        args, kwargs = arguments
        if method.is_update:
            request = updated(method, args, kwargs, request_id)
        else:
            request = queried(method, args, kwargs)
        call = {
            "client": by,
            "request_id": request_id if method.is_update else None,
            "what": method.name,
            "call": foreign(call_in_words(Called(method.name, args, kwargs)), TOLD_AT_MOST),
            "again": again,
        }

        async def perform() -> dict[str, Any]:
            answer = await self._client.whole(request)
            text = value_as_text(answer["value"])
            return {"value": foreign(text, ANSWER_AT_MOST), "action_id": answer["action_id"]}

        return {**await self._told(call, perform), "changes": method.is_update}

    def _came_of(self, error: BankError) -> dict[str, Any]:
        if not isinstance(error, ServiceError):
            return super()._came_of(error)
        name = foreign(error.details.get("error"), 100)
        declared = any(
            kind.__qualname__ == name
            for method in self._description.methods.values()
            for kind in method.raises
        )
        return {
            "outcome": "declined",
            "error": name,
            "declared": declared,
            "message": foreign(error.details.get("words") or "", TOLD_AT_MOST),
            "action_id": error.details.get("action_id"),
        }

    def _event(self, told: Mapping[str, Any]) -> Mapping[str, Any]:
        event = {name: value for name, value in told.items() if name != "declared"}
        if "value" in event:
            event["value"] = foreign(event["value"], TOLD_AT_MOST)
        return event

    async def _leave(self) -> None:
        await self._client.close()


def _draws(description: Description) -> dict[str, Drawn]:
    """Return what draws the arguments of each method of which that is known."""
    found = {}
    for name, method in description.methods.items():
        try:
            found[name] = any_arguments(method)
        except Undrawable:
            continue
    return found
