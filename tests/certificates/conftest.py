from __future__ import annotations

from pathlib import Path

import pytest

from tests.certificates.made import bank, copy_of


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bank(tmp_path_factory.mktemp("bank") / "certificates")


@pytest.fixture
def folder(made_once: Path, tmp_path: Path) -> Path:
    """A bank's certificates, to be spoiled."""
    return copy_of(made_once, tmp_path / "certificates")
