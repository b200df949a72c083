"""The state of a class is backed up, exported and verified, and a service begins anew with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import bankrmi
from tests.system.cluster import DEADLINE_S, NAMESERVER, Cluster
from tests.system.commands import bankrmi as command
from tests.system.test_service import Adding, client, service

STORE = """
from dataclasses import dataclass, field

import bankrmi


@dataclass
class Entry:
    value: str
    tags: list[str] = field(default_factory=list)


class Store(bankrmi.ObjectService):
    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.count = 0

    @bankrmi.update
    def put(self, name: str, value: str) -> int:
        self.entries[name] = Entry(value)
        self.count += 1
        return self.count

    @bankrmi.update(raises=[KeyError])
    def tag(self, name: str, tag: str) -> list[str]:
        self.count += 1
        self.entries[name].tags.append(tag)
        return self.entries[name].tags

    @bankrmi.query
    def get(self, name: str) -> Entry | None:
        return self.entries.get(name)

    @bankrmi.query
    def size(self) -> int:
        return self.count
"""


def test_a_service_is_backed_up_and_begins_anew(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    with service(tmp_path / "bank") as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        with Adding(cluster, 2) as adding:
            adding.wait_for_more(30)
            told = command(cluster, "backup", str(whole), "--json")
            assert told.returncode == 0, told.stderr
            taken = json.loads(told.stdout)
            assert taken["kind"] == "whole"
            exported = command(cluster, "export", "--server", cluster.standby())
            adding.wait_for_more(30)
        assert not adding.failed
        assert exported.returncode == 0, exported.stderr
        [row] = [json.loads(line) for line in exported.stdout.splitlines()]
        assert row["table"] == "item"
        assert row["row"]["name"] == "counted"
        assert exported.stderr.startswith("action id ")
        assert int(exported.stderr.split()[2].rstrip(",")) == row["row"]["count"]

        again = command(cluster, "backup", str(whole))
        assert (again.returncode, "is there already" in again.stderr) == (2, True)
        since = command(cluster, "backup", str(tmp_path / "more"), "--since", str(whole))
        assert (since.returncode, since.stderr) == (
            2,
            "of a class there are whole backups only: leave --since out\n",
        )

        cluster.kill(*cluster.servers, NAMESERVER)
        verified = command(
            cluster, "verify", str(whole), *(str(cluster.data(name)) for name in cluster.servers)
        )
        assert verified.returncode == 0, verified.stdout
        assert verified.stdout.count(": sound, holds ") == 3
        assert verified.stdout.count(" hold the same up to action id ") == 2

        cluster.configuration.data_dir.rename(tmp_path / "lost")
        cluster.start(NAMESERVER)
        restored = command(
            cluster,
            "restore",
            str(whole),
            "--server",
            "s1",
            "--give-up",
            "s2",
            "--to",
            str(taken["action_id"] - 3),
        )
        assert restored.returncode == 0, restored.stderr
        cluster.start("s1", "s2")
        cluster.wait_until_in_sync()
        with client(cluster) as store:
            assert store.get("counted") == taken["action_id"] - 3
            assert store.put("counted", 1) == taken["action_id"] - 2


def test_an_object_is_served_killed_and_exported(tmp_path: Path) -> None:
    folder = tmp_path / "bank"
    folder.mkdir()
    (folder / "store.py").write_text(STORE)
    with Cluster(folder, service="store", serves="store:Store") as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        module = ModuleType("store")
        sys.modules["store"] = module
        try:
            exec(STORE, module.__dict__)
            with bankrmi.connect(module.Store, cluster.configuration, timeout=DEADLINE_S) as store:
                assert store.put("a", "x") == 1
                assert store.tag("a", "new") == ["new"]
                for victim in (cluster.primary(), cluster.primary()):
                    cluster.kill(victim)
                    assert store.tag("a", victim)[0] == "new"
                    cluster.start(victim)
                    cluster.wait_until_in_sync()
                entry = store.get("a")
                assert (entry.value, entry.tags[0], len(entry.tags)) == ("x", "new", 3)
                try:
                    store.tag("b", "x")
                except KeyError as error:
                    assert error.args == ("b",)
                else:
                    raise AssertionError("a declared error was not raised")
                assert store.size() == 4, "what raised has not happened"
                cluster.kill(*cluster.servers)
                cluster.start(*cluster.servers)
                cluster.wait_until_in_sync()
                assert store.get("a") == entry
        finally:
            del sys.modules["store"]
        exported = command(cluster, "export")
        assert [json.loads(line) for line in exported.stdout.splitlines()] == [
            {"attribute": "count", "value": 4},
            {"attribute": "entries", "is": "a dict"},
            {"attribute": "entries", "key": "a", "value": {"Entry": {"value": "x", "tags": entry.tags}}},
        ]
