"""Whatever stands in a configuration: it can work, or it is refused with its place, in sentences."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from bankrmi.config import ClientSettings, ConfigSettings, Configuration, LimitSettings, load
from bankrmi.errors import ConfigurationError
from tests import warm

BASE = "nameserver: 127.0.0.1:9090\nservers: {s1: 127.0.0.1:9101, s2: 127.0.0.1:9102}\n"


def loaded(content: str | bytes) -> Configuration | str:
    """Return the configuration, or with what it is refused; anything else is a failure of the test."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_bytes(content if isinstance(content, bytes) else content.encode(errors="surrogatepass"))
        try:
            return load(file, insecure=True)
        except ConfigurationError as error:
            assert str(file) in error.message
            return error.message.replace(str(file), "config.yaml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"nameserver: {'a' * 64}.x:1\n", "line 1: 'aaaa"),
        ("nameserver: a..b:1\n", "line 1: 'a..b' in 'a..b:1' is not a name that a resolver takes"),
        ("nameserver: -a:1\n", "is not a name that a resolver takes"),
        (f"nameserver: {'abcdefgh.' * 32}x:1\n", "253 characters at most"),
        (
            "nameserver: '[::ffff:127.0.0.1]:1'\n",
            "is an IPv4 address written as IPv6",
        ),
        ("nameserver: [::1]:9090\n", 'line 1: an IPv6 address needs quotes, like "[::1]:9101"'),
        ("nameserver: a:1\nservers: {s1: [::1]:9090}\n", "line 2: an IPv6 address needs quotes"),
        ("nameserver: 224.0.0.1:1\n", "line 1: 224.0.0.1:1 is not an address that others could call"),
        (BASE + "data_dir: ~nosuchuser/x\n", "line 3: '~nosuchuser/x': there is no such user"),
        (BASE + "ledger: ~nosuchuser/x\n", "line 3: '~nosuchuser/x': there is no such user"),
        (BASE + 'data_dir: "a\\0b"\n', "line 3: a path cannot hold the character NUL"),
        (BASE + 'data_dir: "a\\ud800b"\n', "line 3: 'a\\ud800b' holds what cannot be in the name of a file"),
        (BASE + f"lease_ms: {'9' * 5000}\n", "line 3: there is a value that cannot be read"),
        (BASE + "service: 2020-99-99\n", "line 3: there is a value that cannot be read"),
        ("nameserver: " + "[" * 500 + "]" * 500, "is nested far too deeply"),
        ("a: &a [" + "1," * 99 + "1]\nb: &b [" + "*a," * 99 + "*a]\nc: [" + "*b," * 99 + "*b]\n", "too many"),
        (BASE + "#" * (1 << 20), "that is not a configuration"),
        (
            BASE + "limits: {message_bytes: 4096}\n",
            "line 3: message_bytes is 4096, and must be at",
        ),
        (
            BASE + "limits: {handshake_bytes: 256}\n",
            "line 3: handshake_bytes is 256, and must be",
        ),
        (
            BASE + "limits: {message_deadline_ms: 1}\n",
            "line 3: message_deadline_ms is 1, and",
        ),
        ("nameserver: a:1\nservers: {-h: b:1}\n", "line 2: '-h' is not a name"),
        (f"nameserver: a:1\nservers: {{{'a' * 300}: b:1}}\n", "is not a name: at most 64"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_work_is_refused_with_its_place_and_a_remedy(content: str, said: str) -> None:
    refused = loaded(content)
    assert isinstance(refused, str)
    assert said in refused
    assert all(len(line) < 500 for line in refused.splitlines())


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.dates().map(str),
    st.sampled_from(
        [
            "",
            "~",
            "~root",
            "~x/y",
            "[::1]:9",
            "::1:9",
            "127.0.0.1:9",
            "a:1",
            "0x10",
            "1e3",
            ".inf",
            "*a",
            "&a 1",
            "!!x y",
        ]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3),
    max_leaves=8,
)


def keys(model: type[BaseModel]) -> list[str]:
    return list(model.model_fields)


def as_yaml(value: Any) -> str:
    """Return it in flow style; text as it is, so that it may be anything at all."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_yaml(key)}: {as_yaml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_yaml, value)) + "]"
    return "" if value is None else str(value)


@given(key=st.sampled_from([*keys(ConfigSettings), "unknown"]), value=VALUES, with_base=st.booleans())
def test_any_value_of_any_key_is_taken_or_refused(key: str, value: Any, with_base: bool) -> None:
    loaded((BASE if with_base else "") + f"{key}: {as_yaml(value)}\n")


@given(
    room=st.sampled_from([("client", ClientSettings), ("limits", LimitSettings)]),
    data=st.data(),
    value=SCALARS | st.integers(-1, 1 << 31),
)
def test_any_value_of_any_inner_key_is_taken_or_refused(
    room: tuple[str, type[BaseModel]], data: st.DataObject, value: Any
) -> None:
    key = data.draw(st.sampled_from(keys(room[1])))
    loaded(BASE + f"{room[0]}:\n  {key}: {as_yaml(value)}\n")


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_content_is_taken_or_refused(content: str | bytes) -> None:
    loaded(content)


@pytest.mark.parametrize(
    "setting",
    ["PYRO_MAX_RETRIES=abc", "PYRO_NO_SUCH_THING=1", "PYRO_COMPRESSION=maybe", "PYRO_LOGLEVEL=NONSENSE"],
)
def test_nonsense_for_pyro5_in_the_environment_is_refused_by_name(tmp_path: Path, setting: str) -> None:
    (tmp_path / "config.yaml").write_text(BASE)
    name, _, value = setting.partition("=")
    ended = subprocess.run(
        [sys.executable, "-m", "bankrmi", "balance", "2"],
        cwd=tmp_path,
        env=os.environ | {name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("Pyro5 does not accept what the environment says to it: ")
    assert name in ended.stderr


def test_a_folder_whose_name_is_no_text_will_do(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))
    folder.mkdir()
    (folder / "config.yaml").write_text(BASE + "lease: 1\n")
    ended = warm.run(["--config", str(folder / "config.yaml"), "status"], timeout=60)
    assert ended.returncode == 2
    assert "config.yaml line 3: unknown key 'lease'" in ended.stderr
