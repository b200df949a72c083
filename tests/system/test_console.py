"""The console of a real bank: what it shows, what it does to it, and that its own end touches nothing."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.console.page_of import Page
from tests.console.shown_bank import shown
from tests.system.cluster import Cluster
from tests.system.commands import bankrmi
from tests.system.ports import own_addresses
from tests.system.supervised import lives


def primary_of(state: dict[str, Any]) -> str:
    return str(state["view"]["primary"])


def is_over(page: Page) -> bool:
    """Whether what was done last is not felt any more."""
    faults = page.of("fault")
    return bool(faults) and faults[-1]["until_ms"] is not None


def test_a_killed_primary_is_seen_from_the_click_to_the_length_of_the_silence(tmp_path: Path) -> None:
    with shown(tmp_path) as (cluster, _, page):
        [hello] = page.of("hello")
        assert hello["servers"] == dict(cluster.configuration.servers)
        assert page.do("load", clients=4, reads=0.25)["status"] == 200
        cluster.until(lambda: any(rate["done"] for rate in page.of("rate")), "calls are answered")
        killed = primary_of(page.of("state")[-1])
        done = page.do("misfortune", id="kill", target=killed)
        assert done["status"] == 200
        assert re.fullmatch(r"kill -9 \d+", done["command"])
        cluster.until(lambda: page.of("fault"), "what was done is shown")
        assert (page.of("fault")[0]["whom"], page.of("fault")[0]["until_ms"]) == (killed, None)
        cluster.until(lambda: [view for view in page.of("view") if view["took_ms"]], "how long it took")
        change = next(view for view in page.of("view") if view["took_ms"])
        assert change["primary"] != killed
        assert change["cause_kind"] == "crash"
        cluster.until(lambda: is_over(page), "it is over, for the server is in sync again")
        assert page.last_state(lambda state: set(state["view"]["in_sync"]) == set(cluster.servers))
        assert not [call for call in page.of("call") if call["outcome"] in ("refused", "in_doubt")]


def test_the_teller_sends_a_request_again_and_nothing_happens_twice(tmp_path: Path) -> None:
    with shown(tmp_path) as (_, _, page):
        first = page.do("teller", what="withdraw", account=2, amount=10, again=None)
        assert (first["outcome"], first["balance"]) == ("done", 190)
        again = page.do("teller", what="withdraw", account=2, amount=10, again=first["request_id"])
        assert (again["outcome"], again["balance"], again["action_id"]) == ("done", 190, first["action_id"])
        assert page.do("teller", what="balance", account=2)["balance"] == 190
        assert page.do("teller", what="balance", account=2, amount=None)["balance"] == 190
        declined = page.do("teller", what="withdraw", account=2, amount=10_000)
        assert (declined["status"], declined["outcome"]) == (200, "declined")
        moved = page.do("teller", what="transfer", account=2, to=1, amount=40)
        assert (moved["outcome"], moved["balance"], moved["to"]) == ("done", 150, 1)
        again = page.do("teller", what="transfer", account=2, to=1, amount=40, again=moved["request_id"])
        assert (again["action_id"], again["balance"]) == (moved["action_id"], 150)
        assert page.do("teller", what="balance", account=2)["balance"] == 150
        declined = page.do("teller", what="transfer", account=2, to=404, amount=1)
        assert (declined["outcome"], declined["message"]) == ("declined", "there is no account 404")
        for asked in (
            {"what": "transfer", "account": 1, "amount": 1},
            {"what": "transfer", "account": 1, "to": "2", "amount": 1},
            {"what": "transfer", "account": 1, "to": 1, "amount": 1},
            {"what": "steal", "account": 1, "amount": 1},
            {"what": "withdraw", "account": "1", "amount": 1},
            {"what": "withdraw", "account": 1},
            {"what": "withdraw", "account": 1, "amount": 1.5},
            {"what": "withdraw", "account": 1, "amount": 1, "again": {"a": 1}},
            {"what": "withdraw", "account": 1, "amount": 1, "again": "no request id"},
            {},
        ):
            refused = page.do("teller", **asked)
            assert refused["status"] == 400 or refused["outcome"] == "refused", asked
        for load in ({"clients": 65}, {"clients": -1}, {"clients": 1, "reads": 2}, {"clients": "many"}, {}):
            assert page.do("load", **load)["status"] == 400


@pytest.mark.long
def test_a_frozen_primary_loses_the_lead_and_comes_back(tmp_path: Path) -> None:
    with shown(tmp_path) as (cluster, _, page):
        frozen = primary_of(page.of("state")[-1])
        assert page.do("misfortune", id="pause", target=frozen)["status"] == 200
        cluster.until(lambda: page.last_state(lambda state: primary_of(state) != frozen), "another one leads")
        server = next(one for one in page.of("state")[-1]["servers"] if one["name"] == frozen)
        assert server["process"] == "stopped"
        assert page.do("misfortune", id="resume", target=frozen)["status"] == 200
        cluster.until(lambda: page.last_state(lambda state: frozen in state["view"]["in_sync"]), "it is back")
        cluster.until(lambda: is_over(page), "that is shown")


@pytest.mark.long
def test_a_deleted_disk_comes_back_with_everything(tmp_path: Path) -> None:
    with shown(tmp_path) as (cluster, _, page):
        page.do("teller", what="withdraw", account=2, amount=10)
        standby = next(name for name in cluster.servers if name != primary_of(page.of("state")[-1]))
        disk = cluster.configuration.data_dir / standby / "bank.db"
        before = disk.stat().st_ino
        assert page.do("misfortune", id="wipe", target=standby)["status"] == 200
        cluster.until(lambda: is_over(page), "it is in sync again")
        assert disk.stat().st_ino != before
        digests = {server["digest"] for server in page.of("state")[-1]["servers"]}
        assert len(digests) == 1


@pytest.mark.long
def test_what_cannot_be_done_is_said_and_nothing_is_done(tmp_path: Path) -> None:
    with shown(tmp_path) as (cluster, up, page):
        primary = primary_of(page.of("state")[-1])
        standby = next(name for name in cluster.servers if name != primary)
        pids = up.pids
        assert page.do("misfortune", id="pause", target=standby)["status"] == 200
        cluster.until(
            lambda: page.last_state(lambda state: state["view"]["in_sync"] == [primary]), "one copy only"
        )
        lost = page.do("misfortune", id="wipe", target=primary)
        assert lost["status"] == 409
        assert "everything would be lost" in lost["error"]
        for asked in (
            {"id": "steal", "target": primary},
            {"id": "kill", "target": "s9"},
            {"id": ["kill"]},
            {},
        ):
            assert page.do("misfortune", **asked)["status"] == 400
        assert page.do("misfortune", id="resume", target=standby)["status"] == 200
        assert up.pids == pids
        # A bank that nobody looks after here is left alone, though the console could reach it.
        assert page.do("nothing")["status"] == 404
        assert page._client.post(f"{page.base}/do/misfortune", json={}).status_code == 401


def test_who_is_not_our_page_gets_nothing(tmp_path: Path) -> None:
    with shown(tmp_path) as (_, _, page):
        assert page.get("/").status_code == 200
        assert "default-src 'none'" in page.get("/").headers["content-security-policy"]
        assert page.get("/", host="evil.example").status_code == 421
        assert page.get("/events", host="evil.example").status_code == 421
        assert page.get("/events", origin="http://evil.example").status_code == 403
        for part in ("nothing.js", "..%2f__init__.py", "%2e%2e/app.py", ""):
            assert page.get(f"/page/{part}").status_code == 404
        long = page._client.post(
            f"{page.base}/do/load", content=b"[" * 20_000, headers={"Authorization": f"Bearer {page._token}"}
        )
        assert long.status_code == 400


@pytest.mark.long
def test_the_end_of_the_console_touches_nothing_and_up_starts_it_again(tmp_path: Path) -> None:
    with shown(tmp_path) as (cluster, up, page):
        before = up.pids
        os.kill(before["the console"], signal.SIGKILL)
        assert cluster.client().withdraw(2, 10).balance == 190
        cluster.until(lambda: up.pids["the console"] != before["the console"], "there is another one")
        with Page(f"{page.base}/#token={page._token}") as again:
            cluster.until(lambda: again.of("state"), "the page is told again, with the same token")
            assert again.do("load", clients=0)["status"] == 200
        assert {title: pid for title, pid in up.pids.items() if title != "the console"} == {
            title: pid for title, pid in before.items() if title != "the console"
        }
        console = up.pids["the console"]
        assert up.stop(signal.SIGTERM) == 0
        assert not lives(console)


def test_a_console_whose_address_is_taken_says_so(tmp_path: Path) -> None:
    with own_addresses(1) as [address], Cluster(tmp_path) as cluster:
        host, _, port = address.partition(":")
        with socket.create_server((host, int(port))):
            run = bankrmi(cluster.config, "console", "--listen", address)
        assert (run.returncode, run.stdout) == (1, "")
        assert run.stderr.startswith(f"the console cannot listen at {address}: Address already in use")
        assert len(run.stderr.splitlines()) == 1


def test_a_page_that_others_could_open_is_refused(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        for listen in ("0.0.0.0:9080", "10.0.0.1:9080"):
            for command in (["console", "--listen", listen], ["up", "--no-menu", "--console", listen]):
                run = bankrmi(cluster.config, *command)
                assert run.returncode == 2
                assert "can be reached from other machines" in run.stderr
