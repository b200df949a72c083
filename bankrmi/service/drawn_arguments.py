"""Arguments that nobody has written: anything that a method's annotations allow.

Rule 1: values are few and small, so that calls meet: names repeat, and numbers are near 0.
Rule 2: what an annotation demands beyond a type is met by drawing again, so often and no oftener.
"""

from __future__ import annotations

import dataclasses
import inspect
import random
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, Union

from bankrmi.errors import InvalidRequest
from bankrmi.service.declaring import Method

__all__ = [
    "DRAWS_AT_MOST",
    "Drawn",
    "Undrawable",
    "any_arguments",
    "any_value",
    "called_with",
    "drawn_call",
]

_WORDS = ("apple", "pear", "fig", "plum", "")
_NUMBERS = (0, 1, 1, 2, 3, 5, 10, -1, 100)
_FLOATS = (0.0, 0.5, 1.0, -1.5, 100.0)
_ITEMS_AT_MOST = 3
_DEFAULT_SHARE = 0.3
DRAWS_AT_MOST = 200

_Draw = Callable[[random.Random], Any]
Drawn = Callable[[random.Random], dict[str, Any]]
"""What draws arguments, by their names."""


class Undrawable(ValueError):
    """It is not known what to give; the sentence says for what, and why."""


def any_arguments(method: Method) -> Drawn:
    """Return what draws arguments of a method; raises Undrawable if an annotation says not enough."""
    hints = typing.get_type_hints(method.function)
    draws: dict[str, tuple[_Draw, bool]] = {}
    for parameter in method.signature.parameters.values():
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            continue
        has_default = parameter.default is not inspect.Parameter.empty
        try:
            draws[parameter.name] = any_value(hints.get(parameter.name, Any)), has_default
        except Undrawable as unknown:
            if has_default:
                continue
            raise Undrawable(f"what to give for {parameter.name} is not known ({unknown})") from None

    def drawn(chance: random.Random) -> dict[str, Any]:
        return {
            one: draw(chance)
            for one, (draw, has_default) in draws.items()
            if not has_default or chance.random() > _DEFAULT_SHARE
        }

    return drawn


def drawn_call(method: Method, draw: Drawn, chance: random.Random) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments that the method takes, as `Method.bound` does; raises Undrawable if none are found."""
    why = ""
    for _ in range(DRAWS_AT_MOST):
        args, kwargs = called_with(method, draw(chance))
        try:
            return method.bound(args, kwargs, whole=False)
        except InvalidRequest as refused:  # Its annotation says more than a type.
            why = refused.message
    raise Undrawable(f"of {DRAWS_AT_MOST} draws it takes none ({why})")


def called_with(method: Method, by_name: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return arguments that are known by their names by place and by name, as a call has them."""
    bound = inspect.BoundArguments(method.signature, by_name)
    return list(bound.args), dict(bound.kwargs)


def any_value(hint: Any) -> _Draw:
    """Return what draws a value of this annotation; raises Undrawable if that is not known."""
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
        return any_value(inner[0])
    if origin in (Union, types.UnionType):
        draws = [any_value(one) for one in inner]
        return lambda chance: chance.choice(draws)(chance)
    if origin in (list, set, frozenset, tuple) or hint in (list, set, frozenset, tuple):
        return _several(origin or hint, inner)
    if origin is dict or hint is dict:
        key, value = (any_value(one) for one in inner or (str, int))
        return lambda chance: {key(chance): value(chance) for _ in range(chance.randint(0, _ITEMS_AT_MOST))}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _fields(hint)
    raise Undrawable(f"{hint}")


def _several(kind: Any, inner: tuple[Any, ...]) -> _Draw:
    if kind is tuple and inner and inner[-1] is not Ellipsis:
        draws = [any_value(one) for one in inner]
        return lambda chance: tuple(draw(chance) for draw in draws)
    draw = any_value(inner[0] if inner else int)
    return lambda chance: kind([draw(chance) for _ in range(chance.randint(0, _ITEMS_AT_MOST))])


def _fields(kind: type) -> _Draw:
    hints = typing.get_type_hints(kind)
    draws = {field.name: any_value(hints[field.name]) for field in dataclasses.fields(kind) if field.init}
    return lambda chance: kind(**{name: draw(chance) for name, draw in draws.items()})
