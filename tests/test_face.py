from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points, version

import pytest

import bankrmi


def test_everything_that_is_promised_is_there() -> None:
    for name in bankrmi.__all__:
        assert getattr(bankrmi, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        bankrmi.nonsense  # noqa: B018 - the look-up is what is tested


def test_the_version_is_that_of_the_package() -> None:
    assert bankrmi.__version__ == version("bankrmi")


def test_importing_it_loads_nothing_of_what_it_is_built_on() -> None:
    code = (
        "import sys, bankrmi; print([name for name in ('Pyro5', 'apsw', 'pydantic') if name in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


def test_the_console_script_is_the_command_line() -> None:
    (script,) = entry_points(group="console_scripts", name="bankrmi")
    assert script.value == "bankrmi.__main__:main"
    told = subprocess.run(
        [sys.executable, "-m", "bankrmi", "--version"], capture_output=True, text=True, check=True
    )
    assert told.stdout == f"bankrmi, version {bankrmi.__version__}\n"
