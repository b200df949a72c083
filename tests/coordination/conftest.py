"""A store of views, on a disk of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bankrmi.coordination.view_store import ViewStore
from tests.coordination.views import WRITTEN_US


@pytest.fixture
def store(tmp_path: Path) -> Any:
    opened = ViewStore(tmp_path / "witness", wall_us=lambda: WRITTEN_US)
    yield opened
    opened.close()
