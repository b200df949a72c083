"""What docs/your-own-class.md shows is what happens; by the rules of tests/test_pages.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bankrmi.service import ServedServices
from bankrmi.service.calls import Raised
from bankrmi.service.loading import load, load_services
from tests.pages import ADDRESSES, ROOT, SERVICE_ADDRESSES, Different, blocks_of
from tests.reader import Reader
from tests.service.copies import Copy
from tests.system.ports import own_addresses
from tests.warm_commands import warm_commands

PAGE = "docs/your-own-class.md"
PATIENT = "lease_ms: 6000\ncheckpoint_timeout_ms: 5000\n"
"""On a busy machine nobody may be left behind for being late: that would be another epoch."""
MODULES = ("inventory", "inventory_1", "kv", "shop")


@pytest.mark.timeout(300)  # It takes some seconds, on a machine that does nothing else.
def test_a_stranger_who_follows_the_page_has_a_class_that_is_replicated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # This version, wherever another one is installed.
    monkeypatch.syspath_prepend(tmp_path)  # As it is for who starts `python` in that folder.
    monkeypatch.delitem(sys.modules, "inventory", raising=False)
    count = len(ADDRESSES) + len(SERVICE_ADDRESSES)
    with (
        own_addresses(count) as addresses,
        warm_commands(tmp_path / ".bin") as commands,
        Reader(tmp_path, addresses, PATIENT, before=[commands]) as stranger,
    ):
        for block in blocks_of((ROOT / PAGE).read_text()):
            try:
                stranger.follow(block)
            except Different as difference:
                pytest.fail(f"{PAGE} line {block.line}: {difference}", pytrace=False)
        stranger.stop_the_service()
    monkeypatch.delitem(sys.modules, "inventory", raising=False)


def test_every_class_of_the_page_can_be_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The changed one as well, beside the module that it was; what is done to it is tried when it is
    loaded."""
    blocks = [block.text for block in blocks_of((ROOT / PAGE).read_text()) if block.language == "python"]
    modules = [(text.split()[1], text) for text in blocks if text.startswith("# ")]
    assert [name for name, _ in modules] == ["inventory.py", "kv.py", "shop.py", "inventory.py"]
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (_, first), (_, kept), (_, shop), (_, second) = modules
    written = {"inventory_1.py": first, "kv.py": kept, "shop.py": shop, "inventory.py": second}
    for name, text in written.items():
        (tmp_path / name).write_text(text)
    changed = load("inventory:Inventory", tmp_path)
    assert changed.code[:3] == (1, 2, 1)
    assert sorted(load("kv:KV", tmp_path).methods) == ["get", "put", "tag"]
    _buy(tmp_path, load_services({"stock": "shop:Stock", "orders": "shop:Orders"}, tmp_path))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)


def _buy(folder: Path, services: ServedServices) -> None:
    """Do with the shop of the page what is said of it there."""
    copy = Copy(folder / "shop.db", services)
    try:
        copy.call("put", "mug", 1)
        copy.call("put", "pen", 1)
        copy.call("orders.place", "Ann", "mug")
        with pytest.raises(Raised, match="mug"):
            copy.call("orders.place", "Bob", "mug")
        copy.call("orders.place_one_of", "Bob", "mug", "pen")
        assert [copy.ask("left", name) for name in ("mug", "pen")] == [0, 0]
        assert [copy.ask("orders.count", name) for name in ("mug", "pen")] == [1, 1]
    finally:
        copy.journal.close()
