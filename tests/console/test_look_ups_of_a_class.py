"""The query that a recording asks of a class: of which service it is, and what is refused at once."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from bankrmi.config import load
from bankrmi.console.prober import of_class
from bankrmi.errors import ConfigurationError
from tests.console import odd_class

PAIR = "{odd: odd_class:Odd, errands: odd_class:Errands}"


def told(folder: Path, serves: str, written: str) -> dict[str, str]:
    shutil.copy(odd_class.__file__, folder / "odd_class.py")
    file = folder / "config.yaml"
    file.write_text(f"serves: {serves}\nnameserver: 127.0.0.1:1\nservers: {{s1: 127.0.0.1:2}}\n")

    async def found() -> dict[str, str]:
        look_ups = of_class(load(file, environment={}), written)
        await look_ups.close()
        return look_ups.told

    return asyncio.run(found())


@pytest.mark.parametrize(
    ("serves", "written", "call"),
    [
        ("odd_class:Odd", 'get("apple")', "get('apple')"),
        (PAIR, 'odd.get("apple")', "odd.get('apple')"),
        (PAIR, 'errands.get("apple")', "errands.get('apple')"),
        (PAIR, 'long("a", 2)', "odd.long('a', 2)"),
    ],
)
def test_a_query_of_any_service_is_asked(tmp_path: Path, serves: str, written: str, call: str) -> None:
    assert told(tmp_path, serves, written) == {"what": call.partition("(")[0], "call": call}


@pytest.mark.parametrize(
    ("serves", "written", "said"),
    [
        (
            PAIR,
            'get("apple")',
            "--call: get is a method of more than one service: say odd.get or errands.get",
        ),
        (PAIR, 'nobody.get("apple")', "--call: there is no service 'nobody'"),
        (
            PAIR,
            'errands.fetch("apple")',
            "--call: errands.fetch is an update, and a recording changes nothing",
        ),
        ("odd_class:Odd", "get(1)", "--call: get takes no such name: 1"),
        ("odd_class:Odd", "get", "--call: 'get' is no call with values alone"),
    ],
)
def test_what_is_no_query_is_said(tmp_path: Path, serves: str, written: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        told(tmp_path, serves, written)
    assert said in refused.value.message
