"""Calls of any method with any arguments that its annotations allow: the workload of whoever writes none.

Rule 1: values are few and small, so that calls meet: names repeat, and numbers are near 0.
Rule 2: a text may be one that the client was told a few calls before: an id, perhaps.
"""

from __future__ import annotations

import dataclasses
import inspect
import random
import types
import typing
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, Literal, Union

from bankrmi.errors import ConfigurationError, InvalidRequest
from bankrmi.robustness.services.conversations import CallScript
from bankrmi.robustness.simulator.workload import BrokenWorkload
from bankrmi.service.declaring import Description
from bankrmi.service.served_services import ServedServices

__all__ = ["any_calls"]

_WORDS = ("apple", "pear", "fig", "plum", "")
_NUMBERS = (0, 1, 1, 2, 3, 5, 10, -1, 100)
_FLOATS = (0.0, 0.5, 1.0, -1.5, 100.0)
_ITEMS_AT_MOST = 3
_DEFAULT_SHARE = 0.3
_DRAWS_AT_MOST = 200
_CALLS_IN_A_ROW = 20
_TOLD_SHARE = 0.4
_TEXTS_KEPT = 20
_TEXT_AT_MOST = 64
_DEPTH_AT_MOST = 3

_Draw = Callable[[random.Random], Any]


def any_calls(description: Description | ServedServices) -> CallScript:
    """Return a workload of any calls; raises ConfigurationError if an annotation says not enough."""
    draws = {name: _arguments(description, name) for name in sorted(description.methods)}

    def made(chance: random.Random, service: Any, known: list[str]) -> Any:
        name = chance.choice(list(draws))
        for _ in range(_DRAWS_AT_MOST):
            given = {
                one: chance.choice(known) if known and _is_told(value, chance) else value
                for one, value in draws[name](chance).items()
            }
            try:
                return getattr(service, name)(**given)
            except InvalidRequest as refused:  # Its annotation says more than a type.
                why = refused.message
        raise BrokenWorkload(
            f"of {_DRAWS_AT_MOST} calls of {description.name}.{name} with drawn arguments it takes none "
            f"({why}): write a workload"
        )

    def workload(chance: random.Random, service: Any) -> Generator[Any, Any, None]:
        known: list[str] = []
        for _ in range(_CALLS_IN_A_ROW):
            call, told = made(chance, service, known), None
            with suppress(Exception):  # It was refused, or nobody knows what came of it.
                told = yield call
            known += _texts(told)[: _TEXTS_KEPT - len(known)]

    return workload


def _is_told(value: object, chance: random.Random) -> bool:
    """Draw whether a text is one that the client was told: an id of something, perhaps."""
    return type(value) is str and chance.random() < _TOLD_SHARE


def _texts(value: object, depth: int = 0) -> list[str]:
    """Return the short texts in what was returned."""
    if isinstance(value, str):
        return [value] if len(value) <= _TEXT_AT_MOST else []
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if not isinstance(value, (list, tuple)) or depth > _DEPTH_AT_MOST:
        return []
    return [text for one in value[:_TEXTS_KEPT] for text in _texts(one, depth + 1)]


def _arguments(
    description: Description | ServedServices, name: str
) -> Callable[[random.Random], dict[str, Any]]:
    method = description.methods[name]
    hints = typing.get_type_hints(method.function)
    draws: dict[str, tuple[_Draw, bool]] = {}
    for parameter in method.signature.parameters.values():
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            continue
        has_default = parameter.default is not inspect.Parameter.empty
        try:
            draws[parameter.name] = _draw_of(hints.get(parameter.name, Any)), has_default
        except TypeError as unknown:
            if has_default:
                continue
            raise ConfigurationError(
                f"{description.name}.{name}: what to give for {parameter.name} is not known ({unknown}): "
                "write a workload"
            ) from None

    def drawn(chance: random.Random) -> dict[str, Any]:
        return {
            one: draw(chance)
            for one, (draw, has_default) in draws.items()
            if not has_default or chance.random() > _DEFAULT_SHARE
        }

    return drawn


def _draw_of(hint: Any) -> _Draw:
    """Return what draws a value of this annotation; raises TypeError if that is not known."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or hint is object:
        return lambda chance: chance.choice((1, "apple", None, True))
    if hint is None or hint is type(None):
        return lambda _: None
    if hint is bool:
        return lambda chance: chance.random() < 0.5
    if hint is int:
        return lambda chance: chance.choice(_NUMBERS)
    if hint is float:
        return lambda chance: chance.choice(_FLOATS)
    if hint is str:
        return lambda chance: chance.choice(_WORDS)
    if hint is bytes:
        return lambda chance: chance.choice(_WORDS).encode()
    if origin is Literal:
        return lambda chance: chance.choice(inner)
    if origin is typing.Annotated:
        return _draw_of(inner[0])
    if origin in (Union, types.UnionType):
        draws = [_draw_of(one) for one in inner]
        return lambda chance: chance.choice(draws)(chance)
    if origin in (list, set, frozenset, tuple) or hint in (list, set, frozenset, tuple):
        return _several(origin or hint, inner)
    if origin is dict or hint is dict:
        key, value = (_draw_of(one) for one in inner or (str, int))
        return lambda chance: {key(chance): value(chance) for _ in range(chance.randint(0, _ITEMS_AT_MOST))}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _fields(hint)
    raise TypeError(f"{hint}")


def _several(kind: Any, inner: tuple[Any, ...]) -> _Draw:
    if kind is tuple and inner and inner[-1] is not Ellipsis:
        draws = [_draw_of(one) for one in inner]
        return lambda chance: tuple(draw(chance) for draw in draws)
    draw = _draw_of(inner[0] if inner else int)
    return lambda chance: kind([draw(chance) for _ in range(chance.randint(0, _ITEMS_AT_MOST))])


def _fields(kind: type) -> _Draw:
    hints = typing.get_type_hints(kind)
    draws = {field.name: _draw_of(hints[field.name]) for field in dataclasses.fields(kind) if field.init}
    return lambda chance: kind(**{name: draw(chance) for name, draw in draws.items()})
