"""An external Prometheus watches a real bank, and the rules of docs/alerts.yaml fire.

And HAProxy, as docs/how-to/monitor.md has both, leads callers to whoever is primary.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bankrmi.client.asking import ask_once
from bankrmi.errors import BankError
from tests.pages import ROOT, blocks_of, page_text
from tests.system.cluster import Cluster
from tests.system.ports import own_addresses
from tests.system.watched import Watch, watched_bank

RULES = (ROOT / "docs/alerts.yaml").read_text()
NAMES_ON_THE_PAGE = {"9190": "nameserver", "9191": "s1", "9192": "s2"}


def block_with(text: str) -> str:
    """Return the block of the page that shows this."""
    [found] = [
        block.text
        for block in blocks_of(page_text("docs/how-to/monitor.md"))
        if text in block.text and not block.language
    ]
    return found


def with_addresses(text: str, cluster: Cluster, watch: Watch) -> str:
    """Return it with the addresses of this bank in the place of those on the page."""
    for port, name in NAMES_ON_THE_PAGE.items():
        text = text.replace(f"127.0.0.1:{port}", watch.addresses[name])
        text = text.replace(f"port {port}", f"port {watch.addresses[name].rpartition(':')[2]}")
    for name, port in (("s1", "9101"), ("s2", "9102")):
        text = text.replace(f"127.0.0.1:{port}", cluster.configuration.servers[name])
    return text


class Prometheus:
    """One, with an address."""

    def __init__(self, address: str) -> None:
        self._api = f"http://{address}/api/v1"

    def get(self, path: str, **asked: str) -> Any:
        query = urllib.parse.urlencode(asked)
        with urllib.request.urlopen(f"{self._api}/{path}?{query}", timeout=20) as answer:
            return json.load(answer)["data"]

    def is_up(self) -> bool:
        try:
            return bool(self.get("status/runtimeinfo"))
        except OSError:
            return False

    def value(self, expression: str) -> list[float]:
        return [float(one["value"][1]) for one in self.get("query", query=expression)["result"]]

    def firing(self) -> set[str]:
        alerts = self.get("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


@contextmanager
def prometheus(folder: Path, cluster: Cluster, watch: Watch) -> Iterator[Prometheus]:
    """Run one by the page's configuration; only more quickly."""
    quick = re.sub(r"\bfor: \d+[smh]", "for: 1s", RULES)
    (folder / "alerts.yaml").write_text(quick)
    told = with_addresses(block_with("scrape_configs:"), cluster, watch)
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n" + told
    )
    with own_addresses(1) as [address], (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            there = Prometheus(address)
            cluster.until(there.is_up, "Prometheus answers")
            yield there
        finally:
            process.kill()
            process.wait()


@pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="Prometheus is not installed (apt install prometheus)"
)
def test_prometheus_sees_what_happens_and_its_rules_fire(tmp_path: Path) -> None:
    with watched_bank(tmp_path / "bank") as (cluster, watch):
        cluster.start_all()
        primary, standby = cluster.primary(), cluster.standby()
        with prometheus(tmp_path, cluster, watch) as there:
            cluster.until(lambda: there.value("sum(up)") == [3], "all three are scraped")
            cluster.client().withdraw(1, 10)
            done = 'sum(bankrmi_requests_total{kind="withdraw",outcome="done"})'
            cluster.until(lambda: there.value(done) == [1], "the withdrawal is seen")
            assert there.value("min(bankrmi_copies)") == [2]
            assert not there.firing()

            cluster.kill(standby)
            wanted = {"BankProcessDown", "BankOneCopyOnly"}
            cluster.until(lambda: there.firing() == wanted, "the loss of a copy is told, and nothing else")
            cluster.kill(primary)
            cluster.until(lambda: "BankNobodyLeads" in there.firing(), "that nobody leads is told")
            cluster.start(primary, standby)
            cluster.until(lambda: not there.firing(), "all is well again")


HAPROXY = """
global
    stats socket {folder}/haproxy.sock
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend callers
    bind {address}
    default_backend bank
"""


@pytest.mark.long
@pytest.mark.skipif(shutil.which("haproxy") is None, reason="HAProxy is not installed (apt install haproxy)")
def test_a_load_balancer_leads_callers_to_the_primary(tmp_path: Path) -> None:
    with watched_bank(tmp_path / "bank") as (cluster, watch), own_addresses(1) as [address]:
        cluster.start_all()
        backend = with_addresses(block_with("backend bank"), cluster, watch)
        config = tmp_path / "haproxy.cfg"
        config.write_text(HAPROXY.format(folder=tmp_path, address=address) + backend)
        with (tmp_path / "haproxy.log").open("wb") as log:
            process = subprocess.Popen(["haproxy", "-db", "-f", str(config)], stdout=log, stderr=log)
        try:

            def asked(server: str) -> bool:
                try:
                    said = ask_once(address, f"bankrmi.account.{server}", "balance", [1], seconds=2)
                except BankError:
                    return False
                return bool(said["balance"] == 100)

            primary, standby = cluster.primary(), cluster.standby()
            cluster.until(lambda: asked(primary), "callers are led to the primary")
            assert not asked(standby)
            cluster.kill(primary)
            cluster.until(lambda: asked(standby), "callers are led to the new primary")
        finally:
            process.kill()
            process.wait()
