"""What the console does to links, disks and the witness of a real bank; and that all of it is undone."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.console.page_of import Page
from tests.console.shown_bank import shown
from tests.system.cluster import Cluster
from tests.system.commands import bankrmi
from tests.system.supervised import Up


class Broken(NamedTuple):
    """A bank with relays, all in sync, and its page."""

    cluster: Cluster
    up: Up
    page: Page

    @property
    def state(self) -> dict[str, Any]:
        return self.page.of("state")[-1]

    @property
    def primary(self) -> str:
        return str(self.state["view"]["primary"])

    @property
    def standby(self) -> str:
        return next(name for name in self.cluster.servers if name != self.primary)

    def do(self, kind: str, target: str, **more: Any) -> dict[str, Any]:
        done = self.page.do("misfortune", id=kind, target=target, **more)
        assert done["status"] == 200, done
        return done

    def undo(self, number: Any) -> dict[str, Any]:
        done = self.page.do("misfortune", undo=number)
        assert done["status"] == 200, done
        return done

    def refused(self, kind: str, target: str, **more: Any) -> str:
        done = self.page.do("misfortune", id=kind, target=target, **more)
        assert done["status"] in (400, 409), done
        return str(done["error"])

    def fault(self, number: int) -> dict[str, Any]:
        return [fault for fault in self.page.of("fault") if fault["id"] == number][-1]

    def until_in_sync(self) -> None:
        self.cluster.until(
            lambda: (
                set((self.state["view"] or {}).get("in_sync", ())) == set(self.cluster.servers)
                and all(one["role"] in ("primary", "standby") for one in self.state["servers"])
            ),
            "all are in sync",
        )

    def until_over(self, number: int) -> None:
        self.cluster.until(lambda: self.fault(number)["until_ms"] is not None, "it is over")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    with shown(tmp_path_factory.mktemp("broken"), "--relays") as (cluster, up, page):
        yield Broken(cluster, up, page)


@pytest.fixture
def broken(shared: Broken) -> Iterator[Broken]:
    shared.until_in_sync()
    yield shared
    shared.undo("all")


def test_a_link_that_is_cut_costs_the_standby_its_place_until_it_is_healed(broken: Broken) -> None:
    primary, standby = broken.primary, broken.standby
    done = broken.do("cut", primary, toward=standby, both_ways=False)
    assert (
        done["command"]
        == f"bankrmi --config {broken.cluster.config} misfortune cut {primary} {standby} --one-way"
    )
    broken.cluster.until(lambda: broken.state["cut"] == [[primary, standby]], "the cut is shown")
    broken.cluster.until(lambda: broken.state["view"]["in_sync"] == [primary], "it goes on alone")
    fault = broken.fault(done["id"])
    assert (fault["toward"], fault["both_ways"], fault["undo"]) == (standby, False, "Heal")
    broken.undo(done["id"])
    broken.until_in_sync()
    assert broken.state["cut"] == []
    broken.until_over(done["id"])


@pytest.mark.long
def test_a_primary_that_is_cut_off_from_everybody_leads_no_more(broken: Broken) -> None:
    cut_off, other = broken.primary, broken.standby
    done = broken.do("cut", cut_off, toward="everybody")
    broken.cluster.until(lambda: broken.primary == other, "the other one leads")
    assert broken.cluster.client().balance(2).balance == 200
    broken.undo(done["id"])
    broken.until_in_sync()


def test_what_was_confirmed_to_nobody_is_rolled_back_and_shown(broken: Broken) -> None:
    """The standby stands still until the primary, which reaches nobody, has written something."""
    primary, standby, epoch = broken.primary, broken.standby, broken.state["view"]["epoch"]
    broken.do("cut", primary, toward="witness")
    broken.do("pause", standby)
    broken.do("cut", primary, toward=standby)
    calls = ThreadPoolExecutor(1)
    call = calls.submit(broken.page.do, "teller", what="deposit", account=7, amount=5)
    broken.cluster.until(
        lambda: any(one["name"] == primary and one["lag"] for one in broken.state["servers"]), "it is written"
    )
    broken.do("resume", standby)
    broken.cluster.until(lambda: broken.primary == standby, "the standby leads")
    assert call.result()["outcome"] == "done", "it was done once, by the one that leads"
    calls.shutdown()
    broken.undo("all")
    broken.until_in_sync()
    broken.cluster.until(lambda: broken.page.of("rolled_back"), "what was rolled back is told")
    told = broken.page.of("rolled_back")[-1]
    assert (told["server"], told["epoch"], told["count"]) == (primary, epoch, 1)
    assert told["entries"][0].items() >= {"kind": "deposit", "account": 7, "amount": 5}.items()
    assert len({server["digest"] for server in broken.state["servers"]}) == 1


def test_a_slow_link_makes_each_answer_late(broken: Broken) -> None:
    done = broken.do("slow", broken.primary, toward=broken.standby, late_ms=150)
    assert broken.page.do("teller", what="deposit", account=6, amount=1)["took_us"] >= 300_000
    broken.cluster.until(
        lambda: [late_ms for _, _, late_ms in broken.state["late"]] == [150, 150],
        "both ways are shown as late",
    )
    broken.undo(done["id"])


def test_a_killed_primary_is_known_to_be_gone_though_a_relay_stands_before_it(broken: Broken) -> None:
    killed, epoch = broken.primary, broken.state["view"]["epoch"]
    broken.do("kill", killed)
    broken.cluster.until(lambda: broken.primary != killed, "the other one leads")

    def changes() -> list[dict[str, Any]]:
        """Those by which another leads: on a busy machine the primary may leave its standby behind before."""
        views = broken.page.of("view")
        return [view for view in views if view["epoch"] > epoch and view["primary"] != killed]

    change = broken.cluster.until(changes, "the change is told")[0]
    assert change["cause_kind"] == "crash", f"its relay refuses, as its address would have: {change}"


@pytest.mark.long
def test_who_is_stopped_stays_away_until_it_is_started(broken: Broken) -> None:
    stopped = broken.standby
    done = broken.do("stop", stopped)
    broken.cluster.until(lambda: broken.state["view"]["in_sync"] == [broken.primary], "one copy only")
    broken.cluster.until(lambda: "held down" in broken.up.said, "up leaves it where it is")
    assert broken.state["down"] == [stopped]
    assert broken.do("start", stopped)["said"] == f"{stopped} is started"
    broken.until_over(done["id"])
    assert "is not held down from here" in broken.refused("start", stopped)


def test_a_witness_that_has_lost_its_memory_is_told_which_view_is_safe(broken: Broken) -> None:
    primary = broken.primary
    done = broken.do("forget", "witness")
    broken.cluster.until(lambda: broken.state["view_from"] != "witness", "it holds no view")
    assert broken.cluster.client().withdraw(2, 0).balance == 200, "nobody needs it while all is well"
    broken.cluster.until(lambda: broken.state["keeper"]["reachable"], "there is a witness again")
    assert "led by" in broken.undo(done["id"])["said"]
    broken.until_over(done["id"])
    broken.until_in_sync()
    assert broken.primary == primary


def test_what_makes_no_sense_is_refused(broken: Broken) -> None:
    primary = broken.primary
    for more in (
        {},
        {"toward": primary},
        {"toward": "s9"},
        {"toward": 1},
        {"toward": "witness", "both_ways": 1},
    ):
        assert "a link leads to" in broken.refused("cut", primary, **more)
    for late_ms in (0, 10_001, "1", 1.5):
        assert "late by" in broken.refused("slow", primary, toward="witness", late_ms=late_ms)
    assert "small file system" in broken.refused("fill", primary)
    for number in (99_999, "x", 1.5):
        assert broken.page.do("misfortune", undo=number)["status"] == 409


def test_the_command_line_does_the_same_and_the_page_shows_it(broken: Broken) -> None:
    primary, standby = broken.primary, broken.standby
    run = bankrmi(broken.cluster.config, "misfortune", "cut", primary, standby, "--for", "1.5")
    assert (run.returncode, run.stdout) == (0, "")
    assert (
        run.stderr
        == f"Nothing passes from {primary} to {standby}, nor from {standby} to {primary}; Ctrl-C heals it.\n"
    )
    assert any(len(state["cut"]) == 2 for state in broken.page.of("state"))
    wrong = bankrmi(broken.cluster.config, "misfortune", "slow", primary, "s9")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "a way leads from one of witness, s1, s2 to another one\n",
    )


@pytest.mark.long
def test_what_a_killed_console_has_cut_is_whole_again(broken: Broken) -> None:
    """The page is another one afterwards: this comes last."""
    broken.do("cut", broken.primary, toward=broken.standby)
    broken.cluster.until(lambda: broken.state["cut"], "it is cut")
    before = broken.up.pids["the console"]
    os.kill(before, signal.SIGKILL)
    broken.cluster.until(lambda: broken.up.pids["the console"] != before, "there is another console")
    with Page(broken.page.address) as page:
        broken.cluster.until(
            lambda: page.last_state(lambda state: len(state["view"]["in_sync"]) == 2), "whole"
        )
        assert page.of("state")[-1]["cut"] == []


@pytest.mark.long
def test_a_bank_that_stops_with_a_witness_without_memory_can_be_started_again(tmp_path: Path) -> None:
    with shown(tmp_path) as (cluster, up, page):
        assert page.do("misfortune", id="forget", target="witness")["status"] == 200
        cluster.until(
            lambda: page.last_state(lambda state: state["view_from"] != "witness"), "it is forgotten"
        )
        cluster.until(lambda: page.last_state(lambda state: state["keeper"]["reachable"]), "it is back")
        assert up.stop(signal.SIGTERM) == 0
        with Up(cluster) as again:
            again.wait_until_running()
            again.wait_until_in_sync()


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    directory.mkdir(parents=True)
    with ExitStack() as mounted:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=128m,mode=0700", "tmpfs", directory], check=False
        )
        if done.returncode != 0:
            pytest.skip("this machine lets nobody mount")
        mounted.callback(lambda: subprocess.run(["umount", "--lazy", directory], check=True))
        yield


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_server_whose_disk_is_full_ends_and_comes_back_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data" / "s2"), shown(tmp_path) as (cluster, up, page):
        broken = Broken(cluster, up, page)
        cluster.until(lambda: page.of("offers"), "what can be done is told")
        [offer] = [one for one in page.of("offers")[-1]["misfortunes"] if one["id"] == "fill"]
        assert (offer["targets"], offer["needs"]) == (["s2"], "")
        assert "is done to s2" in broken.refused("fill", "s1")
        done = broken.do("fill", "s2")
        assert page.do("load", clients=4, reads=0.0)["status"] == 200
        cluster.until(
            lambda: broken.state["view"]["in_sync"] == ["s1"], "it could not write, and was left behind"
        )
        broken.undo(done["id"])
        broken.until_in_sync()
        broken.until_over(done["id"])
        assert not list((tmp_path / "data" / "s2").glob("filler"))
