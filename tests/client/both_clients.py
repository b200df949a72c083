"""The same calls, with the blocking client and with the asyncio one: what came of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import bankrmi
import bankrmi.aio
from bankrmi.config import Configuration
from bankrmi.errors import BankError

Answers = list[Any]


def blocking(
    configuration: Configuration, calls: list[tuple[str, tuple[Any, ...]]], timeout: float
) -> Answers:
    """Return what each call came to, one after the other, with one client."""
    answers: Answers = []
    with bankrmi.connect(configuration, timeout=timeout) as client:
        for method, args in calls:
            try:
                answers.append(getattr(client, method)(*args))
            except BankError as error:
                answers.append(error)
    return answers


def asynchronous(
    configuration: Configuration, calls: list[tuple[str, tuple[Any, ...]]], timeout: float
) -> Answers:
    """Return the same with the asyncio client."""

    async def work() -> Answers:
        answers: Answers = []
        async with await bankrmi.aio.connect(configuration, timeout=timeout) as client:
            for method, args in calls:
                try:
                    answers.append(await getattr(client, method)(*args))
                except BankError as error:
                    answers.append(error)
        return answers

    return asyncio.run(work())


Perform = Callable[[Configuration, list[tuple[str, tuple[Any, ...]]], float], Answers]
WITHDRAW = ("withdraw", (2, 10))
BALANCE = ("balance", (2,))


def replace_servers(configuration: Configuration, servers: dict[str, str]) -> Configuration:
    return configuration.model_copy(update={"servers": servers})
