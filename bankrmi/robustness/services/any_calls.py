"""Calls of any method with any arguments that its annotations allow: the workload of whoever writes none.

Rule: a text may be one that the client was told a few calls before: an id, perhaps.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Generator
from contextlib import suppress
from typing import Any

from bankrmi.errors import ConfigurationError, InvalidRequest
from bankrmi.robustness.services.conversations import CallScript
from bankrmi.robustness.simulator.workload import BrokenWorkload
from bankrmi.service.declaring import Description
from bankrmi.service.drawn_arguments import DRAWS_AT_MOST, Drawn, Undrawable, any_arguments
from bankrmi.service.served_services import ServedServices

__all__ = ["any_calls"]

_CALLS_IN_A_ROW = 20
_TOLD_SHARE = 0.4
_TEXTS_KEPT = 20
_TEXT_AT_MOST = 64
_DEPTH_AT_MOST = 3


def any_calls(description: Description | ServedServices) -> CallScript:
    """Return a workload of any calls; raises ConfigurationError if an annotation says not enough."""
    draws = {name: _arguments(description, name) for name in sorted(description.methods)}

    def made(chance: random.Random, service: Any, known: list[str]) -> Any:
        name = chance.choice(list(draws))
        for _ in range(DRAWS_AT_MOST):
            given = {
                one: chance.choice(known) if known and _is_told(value, chance) else value
                for one, value in draws[name](chance).items()
            }
            try:
                return getattr(service, name)(**given)
            except InvalidRequest as refused:  # Its annotation says more than a type.
                why = refused.message
        raise BrokenWorkload(
            f"of {DRAWS_AT_MOST} calls of {description.name}.{name} with drawn arguments it takes none "
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


def _arguments(description: Description | ServedServices, name: str) -> Drawn:
    try:
        return any_arguments(description.methods[name])
    except Undrawable as unknown:
        raise ConfigurationError(f"{description.name}.{name}: {unknown}: write a workload") from None


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
