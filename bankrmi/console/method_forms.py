"""A form for each method of the classes: a field an argument, by its annotation; and what is written in it.

Rule 1: what is written in a field is text, and this file alone makes a value of it: a browser's numbers end
        at 53 bits.
Rule 2: every text of the class is cut and made visible here: its author may have written anything.
Rule 3: a field is filled with the default, or with an example of what the annotation says.
"""

from __future__ import annotations

import dataclasses
import inspect
import random
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Union

from bankrmi.errors import InvalidRequest
from bankrmi.foreign_text import cut, foreign, visible
from bankrmi.service.declaring import Method
from bankrmi.service.drawn_arguments import Undrawable, any_arguments, any_value, called_with
from bankrmi.service.in_words import value_as_text
from bankrmi.service.method_names import NamedMethod, every_method
from bankrmi.service.plain_values import NotPlain, plain
from bankrmi.service.served_services import ServedServices
from bankrmi.service.written_values import read_value

__all__ = ["forms_of", "read_form"]

METHODS_AT_MOST = 200
"""Of one class."""
METHODS_IN_ALL = 1000
"""Of all of them; each has the same share."""
FIELDS_AT_MOST = 50
_NAME_AT_MOST = 120
_TEXT_AT_MOST = 600
_OPTIONS_AT_MOST = 100

_MISSING = inspect.Parameter.empty


class _Several(NamedTuple):
    """An argument that stands for any number of them."""

    kind: type
    words: str
    called: str


_SEVERAL: Mapping[Any, _Several] = {
    inspect.Parameter.VAR_POSITIONAL: _Several(list, "a list of ", "a list"),
    inspect.Parameter.VAR_KEYWORD: _Several(dict, "by name: ", "an object with names"),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """How one argument is written."""

    kind: Literal["int", "float", "str", "bool", "bytes", "choice", "value"]
    nullable: bool = False
    options: tuple[str, ...] = ()
    """Of a choice: what there is, as values are written."""


_KINDS: Mapping[Any, Literal["int", "float", "str", "bool", "bytes"]] = {
    int: "int",
    float: "float",
    str: "str",
    bool: "bool",
    bytes: "bytes",
}


def forms_of(services: ServedServices) -> list[dict[str, Any]]:
    """Return the services, each with the forms of its methods, as the page is told of them: those that change
    the state first."""
    at_most = min(METHODS_AT_MOST, METHODS_IN_ALL // (1 + len(services.beside)))
    forms: dict[str, list[dict[str, Any]]] = {}
    for one in every_method(services):
        found = forms.setdefault(one.service, [])
        if len(found) < at_most:
            found.append(_form(one))
    return [
        {
            "service": services.called(service),
            "name": description.name,
            "version": description.version,
            "uses": [services.called(services.used(description, uses)) for uses in description.uses.values()],
            "methods": forms.get(services.called(service), []),
        }
        for service, description in services.each()
    ]


def read_form(method: Method, given: object) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments that are written in a form, by place and by name; raises InvalidRequest.

    `given` has a text for each field, or None; what is left out is as it is by default.
    """
    if not isinstance(given, Mapping):
        raise InvalidRequest("the arguments are a JSON object: a text, or null, by the name of each")
    hints = typing.get_type_hints(method.function)
    by_name: dict[str, Any] = {}
    for name, parameter in method.signature.parameters.items():
        if name in given:
            written = given[name]
            if not (written is None or isinstance(written, str)):
                raise InvalidRequest(f"what is written for {name} is a text, or null")
            by_name[name] = _read(method, parameter, hints.get(name, Any), written)
    unknown = next((name for name in given if name not in by_name), None)
    if unknown is not None:
        raise InvalidRequest(f"{method.name} has no argument {foreign(unknown, _NAME_AT_MOST)}")
    return called_with(method, by_name)


def _form(called: NamedMethod) -> dict[str, Any]:
    method = called.method
    try:
        any_arguments(method)
        why_not_made_up = ""
    except Undrawable as unknown:
        why_not_made_up = foreign(unknown)
    return {
        "name": called.name,
        "plain": method.name,
        "changes": method.is_update,
        "signature": foreign(f"{method.name}{_signature(method)}", _TEXT_AT_MOST),
        "about": visible(cut(inspect.getdoc(method.function) or "", _TEXT_AT_MOST), lines=True),
        "raises": [foreign(kind.__qualname__, _NAME_AT_MOST) for kind in method.raises[:FIELDS_AT_MOST]],
        "fields": list(_fields(method))[:FIELDS_AT_MOST],
        "why_not_made_up": why_not_made_up,
    }


def _signature(method: Method) -> str:
    try:
        whole = inspect.signature(method.function)
        parameters = [
            one.replace(annotation=_as_written(one.annotation)) for one in whole.parameters.values()
        ]
        result = _as_written(whole.return_annotation)
        return str(whole.replace(parameters=parameters[1:], return_annotation=result))
    except Exception:  # A default value shows itself as it likes.
        return "(…)"


class _Written(str):
    """An annotation that its author's module keeps as text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _as_written(annotation: Any) -> Any:
    return _Written(annotation) if isinstance(annotation, str) else annotation


def _fields(method: Method) -> Iterator[dict[str, Any]]:
    """Yield the fields; of an argument whose default cannot be written there is none: it keeps that."""
    hints = typing.get_type_hints(method.function)
    for parameter in method.signature.parameters.values():
        hint = hints.get(parameter.name, Any)
        field = _field(parameter, hint)
        value = _first(parameter, field, hint)
        if value is _MISSING:
            continue
        yield {
            "name": parameter.name,
            "kind": field.kind,
            "nullable": field.nullable,
            "options": list(field.options),
            "says": foreign(_annotation(parameter), _NAME_AT_MOST),
            "value": value,
        }


def _annotation(parameter: inspect.Parameter) -> str:
    several = _SEVERAL[parameter.kind].words if parameter.kind in _SEVERAL else ""
    written = parameter.annotation
    if written is _MISSING:
        return f"{several}anything"
    return several + (written if isinstance(written, str) else str(inspect.formatannotation(written)))


def _field(parameter: inspect.Parameter, hint: Any) -> _Field:
    if parameter.kind in _SEVERAL:
        return _Field(kind="value")
    alternatives = _alternatives(hint)
    nullable = type(None) in alternatives
    others = [one for one in alternatives if one is not type(None)]
    if len(others) != 1:
        return _Field(kind="value")
    [only] = others
    if typing.get_origin(only) is Literal:
        options = tuple(map(value_as_text, typing.get_args(only)))
        if len(options) <= _OPTIONS_AT_MOST:
            return _Field(kind="choice", options=(*options, *(("null",) if nullable else ())))
    if only is bool and nullable:
        return _Field(kind="choice", options=("true", "false", "null"))
    return _Field(kind=_KINDS.get(only, "value"), nullable=nullable and only in _KINDS)


def _alternatives(hint: Any) -> Sequence[Any]:
    if hint is None:
        return (type(None),)
    return typing.get_args(hint) if typing.get_origin(hint) in (Union, types.UnionType) else (hint,)


def _first(parameter: inspect.Parameter, field: _Field, hint: Any) -> Any:
    """Return what stands in a field at first: a text, or None; `_MISSING` if it cannot be written."""
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return "[]"
    if parameter.kind is inspect.Parameter.VAR_KEYWORD:
        return "{}"
    if parameter.default is _MISSING:
        return _example(field, hint)
    try:
        text = _written(field, plain(parameter.default))
    except NotPlain:
        return _MISSING
    return text if text is None or len(text) <= _TEXT_AT_MOST else _MISSING


def _example(field: _Field, hint: Any) -> str:
    match field.kind:
        case "int" | "float":
            return "1"
        case "bool":
            return "false"
        case "choice":
            return field.options[0]
        case "value":
            try:
                return _written(field, plain(any_value(hint)(random.Random(1)))) or ""
            except (Undrawable, NotPlain):
                return "null"
        case _:
            return ""


def _written(field: _Field, value: Any) -> str | None:
    """Return a plain value as it stands in a field of that kind."""
    if value is None and field.nullable:
        return None
    match field.kind:
        case "str" if isinstance(value, str):
            return value
        case "bytes" if isinstance(value, bytes):
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise NotPlain("these bytes are no text") from None
        case "bool" if isinstance(value, bool):
            return str(value).lower()
        case "str" | "bytes" | "bool":
            raise NotPlain("it is not what its annotation says")
        case _:
            return value_as_text(value)


# -- what was written in it ----------------------------------------------------------------------------------


def _read(method: Method, parameter: inspect.Parameter, hint: Any, written: str | None) -> Any:
    if written is None:
        return None
    kind = _field(parameter, hint).kind
    try:
        value = _READERS.get(kind, read_value)(written)
    except InvalidRequest as error:
        raise InvalidRequest(f"{parameter.name}: {error.message}") from None
    except ValueError:
        what = _NOUNS.get(kind, kind)
        raise InvalidRequest(f"{parameter.name}: {foreign(written, _NAME_AT_MOST)!r} is no {what}") from None
    several = _SEVERAL.get(parameter.kind)
    if several is not None and not isinstance(value, several.kind):
        raise InvalidRequest(f"{method.name} takes {several.called} for {parameter.name}")
    return value


def _truth(written: str) -> bool:
    if written not in ("true", "false"):
        raise ValueError("neither true nor false")
    return written == "true"


_READERS: Mapping[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": _truth,
    "bytes": str.encode,
}
_NOUNS = {"int": "whole number", "float": "number", "bool": "truth value: true, or false"}
