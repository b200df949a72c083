"""A class is changed while it is called: server after server, and then its state, once, on all of them."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import bankrmi
from bankrmi.errors import InvalidRequest, ServiceError
from tests.system.cluster import DEADLINE_S, Cluster
from tests.system.commands import bankrmi as command

FIRST = """
import bankrmi


class Inventory(bankrmi.Service):
    def create(self) -> None:
        self.db.execute("CREATE TABLE item (name TEXT PRIMARY KEY NOT NULL, count INTEGER NOT NULL)")

    @bankrmi.update
    def put(self, name: str, count: int) -> int:
        self.db.execute("INSERT OR REPLACE INTO item VALUES (?, ?)", (name, count))
        return self.get(name)

    @bankrmi.update
    def forget(self, name: str) -> None:
        self.db.execute("DELETE FROM item WHERE name = ?", (name,))

    @bankrmi.query
    def get(self, name: str) -> int:
        return self.db.execute("SELECT count FROM item WHERE name = ?", (name,)).value or 0
"""
SECOND = """
import bankrmi
from inventory_1 import Inventory as Before


class Inventory(bankrmi.Service):
    version = 2
    previous = Before

    def create(self) -> None:
        Before.create(self)
        self.migrate_1_to_2()

    def migrate_1_to_2(self) -> None:
        self.db.execute("ALTER TABLE item ADD COLUMN price INTEGER NOT NULL DEFAULT 0")
        self.db.execute("UPDATE item SET price = 10 * count")
        if self.db.execute("SELECT 1 FROM item WHERE name = 'poison'").value:
            raise ValueError("there is poison")

    @bankrmi.update
    def put(self, name: str, count: int, price: int = 1) -> int:
        self.db.execute("INSERT OR REPLACE INTO item VALUES (?, ?, ?)", (name, count, price))
        return self.get(name)

    @bankrmi.query
    def get(self, name: str) -> int:
        return self.db.execute("SELECT count FROM item WHERE name = ?", (name,)).value or 0

    @bankrmi.query
    def price(self, name: str) -> int:
        return self.db.execute("SELECT price FROM item WHERE name = ?", (name,)).value or 0
"""


class Changing:
    """A cluster, the folder with its module, and clients with either class."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.folder = cluster.directory
        self.old = self._class("inventory_1")
        self.new = self._class("inventory_2")

    def _class(self, name: str) -> Any:
        spec = importlib.util.spec_from_file_location(name, self.folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module: ModuleType = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module.Inventory

    def client(self, kind: Any) -> Any:
        return bankrmi.connect(kind, self.cluster.configuration, timeout=DEADLINE_S)

    def install(self, text: str) -> None:
        (self.folder / "inventory.py").write_text(text)

    def restart(self, name: str, *, wait: bool = True) -> None:
        self.cluster.terminate(name)
        self.cluster.start(name, wait=wait)
        if wait:
            self.cluster.wait_until_in_sync()

    def shown(self, name: str, key: str) -> Any:
        status = self.cluster.status(name)
        return None if status is None else status[key]

    def until_shown(self, name: str, key: str, what: Any) -> None:
        self.cluster.until(
            lambda: (
                self.shown(name, key) == what
                or (isinstance(what, str) and what in str(self.shown(name, key)))
            ),
            f"{name} shows {what!r} as its {key}: {self.shown(name, key)!r}",
        )

    def digests(self) -> set[Any]:
        return {
            (self.shown(name, "digest"), self.shown(name, "state_version")) for name in self.cluster.servers
        }


@pytest.fixture
def changing(tmp_path: Path) -> Iterator[Changing]:
    for name, text in (("inventory", FIRST), ("inventory_1", FIRST), ("inventory_2", SECOND)):
        (tmp_path / f"{name}.py").write_text(text)
    with Cluster(tmp_path, service="inventory", serves="inventory:Inventory") as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        try:
            yield Changing(cluster)
        finally:
            for name in ("inventory_1", "inventory_2"):
                sys.modules.pop(name, None)


def test_a_class_is_changed_while_it_is_called(changing: Changing) -> None:
    """Standby, switchover, the other one; then the migration. It fails first, and is done when it can be."""
    cluster = changing.cluster
    with changing.client(changing.old) as old, changing.client(changing.new) as new:
        first, second = cluster.primary(), cluster.standby()
        assert old.put("apple", 3) == 3
        old.put("poison", 1)
        changing.install(SECOND)
        changing.restart(second)
        assert (changing.shown(second, "class_version"), changing.shown(second, "state_version")) == (2, 1)
        assert changing.shown(second, "why") is None
        cluster.switch_over(to=second)
        assert cluster.primary() == second
        changing.until_shown(
            second,
            "migration",
            f"Inventory is at version 1; version 2: {first} has version 1: replace the module there",
        )
        # What is called is the class as it was, whoever leads.
        assert old.put("apple", 4) == 4
        assert old.update("put", ["fig", 4], request_id="figs:1") == 4
        assert new.get("apple") == 4
        with pytest.raises(
            InvalidRequest, match="no method 'price' at version 1 yet: it comes with version 2"
        ):
            new.price("apple")
        with pytest.raises(InvalidRequest, match="put does not take these arguments"):
            new.put("apple", 4, 5)

        changing.restart(first)
        said = "Inventory stays at version 1, since migrate_1_to_2 failed: ValueError: there is poison"
        changing.until_shown(second, "migration", said)
        assert said in command(cluster, "status").stdout
        assert "a migration failed" in cluster.log(second)
        changing.until_shown(first, "state_version", 1)
        old.forget("poison")
        assert old.put("apple", 5) == 5
        cluster.switch_over(to=first)  # Another process leads, and tries again.
        changing.until_shown(first, "state_version", 2)
        cluster.until(lambda: len(changing.digests()) == 1, "both copies are the same")
        assert changing.shown(first, "migration") is None
        assert new.price("apple") == 50
        for retries in (old, new):  # It was done before, as another class; now it would look otherwise.
            assert retries.update("put", ["fig", 4], request_id="figs:1") == 4
        assert new.price("fig") == 40
        assert new.put("apple", 6, 7) == 6
        with pytest.raises(
            InvalidRequest, match="has no method 'forget' at version 2: there are get, price, put"
        ):
            old.forget("apple")
        assert old.get("apple") == 6

        # It is done once, whoever leads later, and whatever dies.
        cluster.kill(*cluster.servers)
        cluster.start(*cluster.servers)
        cluster.wait_until_in_sync()
        assert new.price("apple") == 7
        assert [changing.shown(name, "state_version") for name in cluster.servers] == [2, 2]


def test_a_server_with_older_code_says_so_and_waits(changing: Changing) -> None:
    cluster = changing.cluster
    with changing.client(changing.new) as new:
        new.put("apple", 3)
        changing.install(SECOND)
        for name in (cluster.standby(), cluster.primary()):
            changing.restart(name)
        changing.until_shown(cluster.primary(), "state_version", 2)
        assert new.price("apple") == 30

        changing.install(FIRST)
        older, leads = cluster.standby(), cluster.primary()
        changing.restart(older, wait=False)
        why = (
            "the class here is of version 1, and its state is of version 2: "
            "replace the module, and start this"
        )
        changing.until_shown(older, "why", why)
        cluster.wait_until_in_sync(leads)
        assert new.put("apple", 4, 9) == 4, "the others go on"
        shown = command(cluster, "status")
        assert f"{older} is joining: {why}" in shown.stdout
        found = {
            one["kind"]: one for one in json.loads(command(cluster, "doctor", "--json").stdout)["findings"]
        }
        assert found["class-version"]["says"].endswith(f"is of version 1 on {older}, 2 on {leads}")
        assert why[:40] in found["not-in-sync"]["says"]

        cluster.kill(leads)  # Whoever is left has older code, and does not lead with it.
        changing.until_shown(older, "why", why)
        changing.install(SECOND)
        changing.restart(older, wait=False)
        cluster.start(leads)
        cluster.wait_until_in_sync()
        assert new.price("apple") == 9


def test_both_servers_are_stopped_and_get_a_class_that_names_none_before(changing: Changing) -> None:
    cluster = changing.cluster
    with changing.client(changing.new) as new:
        new.put("apple", 3)
        changing.install(SECOND.replace("    previous = Before\n", ""))
        cluster.kill(*cluster.servers)
        cluster.start(*cluster.servers)
        cluster.wait_until_in_sync()
        assert new.price("apple") == 30
        with pytest.raises(ServiceError):
            new.put("apple", 2**63)


@pytest.mark.long  # tests/server/test_migrating.py says the same of one process.
def test_a_migration_that_takes_long_is_done_while_takeover_is_paused(changing: Changing) -> None:
    cluster = changing.cluster
    slow = SECOND.replace(
        "        if self.db",
        "        if self.get('slow'):\n"
        "            self.db.execute('WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n '\n"
        "                            'WHERE x < 4000000) SELECT max(x) FROM n')\n"
        "        if self.db",
        1,
    )
    with changing.client(changing.new) as new:
        new.put("slow", 1)
        changing.install(slow)
        for name in (cluster.standby(), cluster.primary()):
            changing.restart(name)
        changing.until_shown(cluster.primary(), "migration", "migrate_1_to_2 took more than")
        assert new.get("slow") == 1
        assert command(cluster, "pause").returncode == 0
        for name in cluster.servers:
            changing.until_shown(name, "state_version", 2)
        assert command(cluster, "resume").returncode == 0
        cluster.wait_until_in_sync()
        cluster.until(lambda: len(changing.digests()) == 1, "both copies are the same")
        assert new.price("slow") == 10
