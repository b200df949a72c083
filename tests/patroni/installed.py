"""Where PostgreSQL under Patroni can be tried: with Debian's packages, where its user can enter."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bankrmi.patroni.programs import missing_packages

__all__ = ["entered_folder", "needs_patroni"]

needs_patroni = pytest.mark.skipif(
    bool(missing_packages()), reason=f"apt-get install {' '.join(missing_packages())}"
)


@pytest.fixture
def entered_folder() -> Iterator[Path]:
    """Give a folder for a test; pytest's own are closed to everybody else."""
    folder = Path(tempfile.mkdtemp(prefix="bankrmi-test-patroni-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)
