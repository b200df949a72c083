"""Where each setting was written: a YAML file whose values know their lines, and the environment over it.

Rule 1: this file knows how settings are written, never what they mean (`config_settings`, `config`).
Rule 2: a mistake is told with its place: file and line, or the variable of the environment.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from bankrmi.errors import ConfigurationError

__all__ = ["Key", "Mistake", "Source", "mistake_of", "read_source"]

_BYTES_AT_MOST = 1 << 20
_VALUES_AT_MOST = 100_000
_SEARCHED_LINES = 300
_SHOWN_CHARACTERS = 80
_BARE_IPV6 = re.compile(r"(?<![\"'])\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]:[0-9]")

_OF_ETCD = "[etcd]"
_MARKS = ("[key]", "[address]", "[class]", "[classes]", "[bank]", _OF_ETCD)
_SECRETS = ("password",)

Key = tuple[str | int, ...]
"""The way to a setting: `("client", "timeout_ms")`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """What is wrong with the setting at `key`; `others` are what it does not fit to."""

    key: Key
    message: str
    others: tuple[Key, ...] = ()

    def touches(self, key: Key) -> bool:
        """Return whether the setting at `key`, something in it, or what it is in has to do with this."""
        return any(mine[: len(key)] == key[: len(mine)] for mine in (self.key, *self.others))


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The values of one file and of the environment, and where each was written."""

    file: Path
    values: dict[Any, Any]
    lines: Mapping[Key, int]
    variables: Mapping[Key, str]

    def place(self, key: Key) -> str:
        """Return where the setting at `key` was written; where it is missing, what it is missing from."""
        while key:
            if key in self.variables:
                return self.variables[key]
            if key in self.lines:
                return f"{self.file} line {self.lines[key]}"
            key = key[:-1]
        return str(self.file)

    def without(self, keys: Iterable[Key]) -> dict[Any, Any]:
        """Return the values as if nothing stood at `keys`."""
        kept = {key: dict(value) if isinstance(value, dict) else value for key, value in self.values.items()}
        for *way, last in keys:
            inner: Any = kept
            for step in way:
                inner = inner.get(step, {})
            inner.pop(last, None)
        return kept

    def refusal(self, mistakes: Iterable[Mistake]) -> ConfigurationError:
        """Return all mistakes as one error, in the order of the file."""
        ordered = sorted(mistakes, key=lambda mistake: self.lines.get(mistake.key[:2], 0))
        return ConfigurationError(
            "\n".join(f"{self.place(mistake.key)}: {mistake.message}" for mistake in ordered)
        )


def read_source(file: Path, settings: type[BaseModel], environment: Mapping[str, str]) -> Source:
    """Read `file`, and what the environment says about the scalar ones of `settings`."""
    document = _read_yaml(file)
    values = _plain(document)
    variables: dict[Key, str] = {}
    for key, kind in _scalars(settings):
        variable = "_".join(["BANKRMI", *key]).upper()
        text = environment.get(variable, "")
        if text:
            if len(key) == 2 and values.get(key[0]) is None:  # Left out, or left empty.
                values[key[0]] = {}
            inner = values[key[0]] if len(key) == 2 else values
            if isinstance(inner, dict):  # Anything else is a mistake in the file, and told as one.
                inner[key[-1]] = _from_text(text, kind)
                variables[key] = variable
    return Source(file=file, values=values, lines=dict(_lines(document)), variables=variables)


def _read_yaml(file: Path) -> CommentedMap:
    text = _read_text(file)
    try:
        document = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        raise ConfigurationError(_yaml_mistake(file, text, error)) from None
    except YAMLError as error:
        raise ConfigurationError(f"{file} is not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise ConfigurationError(
            f"{file} is nested far too deeply: settings are lines like 'lease_ms: 1000'"
        ) from None
    except Exception as error:  # What the reader of YAML does not foresee: an impossible number or date.
        line = _line_that_fails(text, type(error))
        where = f"{file} line {line}" if line else str(file)
        raise ConfigurationError(f"{where}: there is a value that cannot be read: {error!s:.120}") from None
    if not isinstance(document, CommentedMap):
        raise ConfigurationError(f"{file}: settings are expected, lines like 'lease_ms: 1000'")
    _refuse_too_much(file, document)
    return document


def _line_that_fails(text: str, kind: type[Exception]) -> int | None:
    """Return the first line with which it fails like that; None if it takes long to find."""
    lines = text.splitlines(keepends=True)
    for number in range(1, min(len(lines), _SEARCHED_LINES) + 1):
        try:
            YAML(typ="rt").load("".join(lines[:number]))
        except Exception as error:
            if type(error) is kind:
                return number
    return None


def _refuse_too_much(file: Path, document: CommentedMap) -> None:
    """By aliases, a few lines can stand for more than any machine holds; and for something without an end."""
    left = _VALUES_AT_MOST
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
        left -= len(inner)
        if left < 0:
            raise ConfigurationError(
                f"{file} stands for far too many values: are there aliases (*name) in it?"
            )
        waiting += inner


def _read_text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(_BYTES_AT_MOST + 1)
    except FileNotFoundError:
        raise ConfigurationError(
            f"there is no configuration {file} in {Path.cwd()}: name one with --config or BANKRMI_CONFIG"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from None
    if len(content) > _BYTES_AT_MOST:
        raise ConfigurationError(f"{file} is over {_BYTES_AT_MOST} bytes: that is not a configuration")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file} is not text in UTF-8 (byte {error.start})") from None


def _yaml_mistake(file: Path, text: str, error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{file} line {mark.line + 1}" if mark else str(file)
    problem = str(error.problem or error.context or "not YAML").splitlines()[0]
    lines = text.splitlines()
    around = lines[max(0, mark.line - 1) : mark.line + 1] if mark else []
    if any(_BARE_IPV6.search(line) for line in around):
        problem = 'an IPv6 address needs quotes, like "[::1]:9101"'
    return f"{where}: {problem}"


def _plain(value: Any) -> Any:
    """Return the value without ruamel's memory of how it was written."""
    if isinstance(value, dict):
        return {_plain(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _lines(document: CommentedMap, above: Key = ()) -> Iterable[tuple[Key, int]]:
    for name, inner in document.items():
        key = (*above, _plain(name))
        if name in (document.lc.data or {}):  # What came by a merge (<<) has no line of its own.
            yield key, document.lc.key(name)[0] + 1
        if isinstance(inner, CommentedMap):
            yield from _lines(inner, key)


def _scalars(settings: type[BaseModel]) -> Iterable[tuple[tuple[str, ...], object]]:
    """Return the keys that one variable can hold, with their types."""
    for name, field in settings.model_fields.items():
        for kind in _kinds(field.annotation):
            if issubclass(kind, BaseModel):
                yield from (((name, *inner), inner_kind) for inner, inner_kind in _scalars(kind))
            elif kind is not type(None):
                yield (name,), kind


def _kinds(annotation: object) -> Iterable[type]:
    """Return the types of which a setting may be; none of a `dict[...]` or a `list[...]`."""
    if isinstance(annotation, type):
        return [annotation]
    if get_origin(annotation) in (dict, list):
        return []
    return [kind for inner in get_args(annotation) for kind in _kinds(inner)]


def _from_text(text: str, kind: object) -> object:
    """Return what a file would hold; text that is not such a value stays text, and is refused as such."""
    if kind is int and re.fullmatch(r"-?[0-9]{1,19}", text.strip()):
        return int(text)
    if kind is bool:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(
            text.strip().lower(), text
        )
    return text


def mistake_of(details: ErrorDetails, settings: type[BaseModel]) -> Mistake:
    """Return what pydantic found as a sentence of ours."""
    key = _key_of(details["loc"])
    name, context = key[-1] if key else "", details.get("ctx", {})
    given = "what stands there" if name in _SECRETS else _shown(details["input"])
    match details["type"]:
        case "missing":
            return Mistake(key=key, message=f"{name} is missing")
        case "extra_forbidden":
            return Mistake(key=key, message=_unknown(key, settings))
        case "int_type" | "int_from_float":
            message = f"{name} must be a whole number, not {given}"
        case "bool_type":
            message = f"{name} must be true or false, not {given}"
        case "list_type":
            message = f"{name} must be a list, like [https://10.0.0.10:2379, https://10.0.0.11:2379]"
        case "string_type" | "path_type":
            message = f"{name} must be text, not {given} (quotes make text of a number)"
        case "dict_type" | "model_type":
            message = f"{name} must hold lines like 'key: value', indented below it"
        case "greater_than_equal":
            message = f"{name} is {given}, and must be at least {context['ge']}"
        case "less_than_equal":
            message = f"{name} is {given}, and must be at most {context['le']}"
        case "too_short":
            message = f"{name} must name at least one"
        case "value_error":
            message = str(context["error"])
        case _:
            message = f"{name}: {details['msg']}"
    return Mistake(key=key, message=message)


def _key_of(location: Key) -> Key:
    """Return the way to a setting without pydantic's marks on it."""
    in_list = _OF_ETCD in location  # Its only list is one setting, whichever of its values is wrong.
    return tuple(step for step in location if step not in _MARKS and not (in_list and type(step) is int))


def _shown(given: object) -> str:
    """Return a value as it could have been written, however long it is."""
    text = repr(given)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _unknown(key: Key, settings: type[BaseModel]) -> str:
    for step in key[:-1]:
        kinds = _kinds(settings.model_fields[str(step)].annotation)
        settings = next(kind for kind in kinds if issubclass(kind, BaseModel))
    close = difflib.get_close_matches(str(key[-1]), settings.model_fields, n=1)
    known = f"did you mean {close[0]}?" if close else f"known are {', '.join(settings.model_fields)}"
    return f"unknown key {_shown(key[-1])}: {known}"
