"""The command line with a fake bank behind it, as a process: python -m tests.cli.fake_command ARGUMENT..."""

from __future__ import annotations

import sys
from typing import Any

from bankrmi import client
from bankrmi.__main__ import main
from bankrmi.config import Configuration
from tests.cli.fake_bank import FakeBank


def connect(_: Configuration, **__: Any) -> FakeBank:
    return FakeBank()


def switchover(_: Configuration, __: str | None) -> dict[str, Any]:
    before = {"epoch": 7, "primary": "s1", "in_sync": ["s1", "s2"]}
    return {"before": before, "after": before | {"epoch": 8, "primary": "s2"}}


if __name__ == "__main__":
    vars(client)["connect"] = connect
    vars(client)["switchover"] = switchover
    sys.exit(main())
