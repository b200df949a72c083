"""What most tests of a client need: a bank that does as it is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.doubles import DoubleBank, double_bank


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[DoubleBank]:
    with double_bank(tmp_path) as opened:
        yield opened
