"""The console of a bank whose view etcd keeps, and of one behind certificates."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from bankrmi.certificates.authority import create, create_authority
from tests.console.shown_bank import console_of, shown
from tests.etcd import EtcdMembers, needs_etcd
from tests.system.cluster import NAMESERVER, Cluster
from tests.system.commands import bankrmi
from tests.system.ports import own_addresses


@needs_etcd
@pytest.mark.long
def test_etcd_is_shown_with_its_members_and_without_one_of_them(tmp_path: Path) -> None:
    with (
        EtcdMembers(tmp_path / "etcd") as etcd,
        shown(tmp_path / "bank", "--relays", witness=etcd.keys()) as (cluster, _, page),
    ):
        [hello] = page.of("hello")
        assert hello["keeper"] == "etcd"
        assert "forget" not in {one["id"] for one in hello["misfortunes"]}
        assert page.do("misfortune", id="kill", target="witness")["status"] == 400

        def answering() -> list[bool]:
            return [bool(one["reachable"]) for one in page.of("state")[-1]["keeper"]["members"]]

        cluster.until(lambda: answering() == [True, True, True], "three members answer")
        etcd.kill("m1")
        cluster.until(lambda: sorted(answering()) == [False, True, True], "one is gone, and that is shown")
        killed = page.of("state")[-1]["view"]["primary"]
        assert page.do("misfortune", id="kill", target=killed)["status"] == 200
        cluster.until(
            lambda: page.last_state(lambda state: state["view"]["primary"] != killed), "another one leads"
        )
        assert page.do("teller", what="withdraw", account=2, amount=10)["balance"] == 190
        standby = next(name for name in cluster.servers if name != killed)
        cut = page.do("misfortune", id="cut", target=killed, toward=standby)
        assert cut["status"] == 200
        assert page.do("misfortune", id="cut", target=killed, toward="witness")["status"] == 400
        cluster.until(lambda: page.last_state(lambda state: len(state["cut"]) == 2), "the cut is shown")
        assert page.do("misfortune", undo=cut["id"])["status"] == 200


def issue(folder: Path) -> None:
    create_authority(folder, days=30)
    for name in ("s1", "s2", NAMESERVER):
        create(folder, "server", name, days=20, addresses=["127.0.0.1"])
    create(folder, "client", "teller", days=20)
    create(folder, "operator", "anna", days=20)


@pytest.mark.long
def test_a_bank_behind_certificates_is_shown_to_an_operator_and_to_nobody_else(tmp_path: Path) -> None:
    issue(tmp_path / "certificates")
    with shown(tmp_path, "--relays", certificates={"folder": "certificates"}) as (cluster, _, page):
        assert page.do("teller", what="withdraw", account=2, amount=10)["balance"] == 190
        killed = page.of("state")[-1]["view"]["primary"]
        assert page.do("misfortune", id="kill", target=killed)["status"] == 200
        cluster.until(
            lambda: page.last_state(
                lambda state: state["view"]["primary"] != killed and len(state["view"]["in_sync"]) == 2
            ),
            "another one leads, and all are in sync again",
        )
        assert page.do("misfortune", id="switchover", target="bank")["status"] == 200
        own = tmp_path / "a client's"
        shutil.copytree(tmp_path / "certificates", own / "certificates")
        for file in (own / "certificates").glob("operator-*"):
            file.unlink()
        (own / "config.yaml").write_text(cluster.config.read_text())
        (own / "ledger.csv").write_text((tmp_path / "ledger.csv").read_text())
        with own_addresses(1) as [address]:
            run = bankrmi(own / "config.yaml", "console", "--listen", address)
        assert (run.returncode, run.stdout) == (2, "")
        assert re.match(r"the console wants an operator's certificate: .*operator", run.stderr)
        assert len(run.stderr.splitlines()) == 1


def test_a_bank_that_only_can_be_reached_is_shown_and_left_alone(tmp_path: Path) -> None:
    """As from another machine: what the bank keeps is not here, nor does anybody here look after it."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "config.yaml").write_text(cluster.config.read_text())
        (elsewhere / "ledger.csv").write_text((tmp_path / "ledger.csv").read_text())
        with console_of(elsewhere / "config.yaml") as page:
            cluster.until(lambda: page.of("state"), "it is shown")
            why = "No process of this bank runs on this machine under `bankrmi up`."
            assert {one["needs"] for one in page.of("hello")[0]["misfortunes"]} == {why}
            for kind, target in (
                ("kill", "s1"),
                ("wipe", "s2"),
                ("switchover", "bank"),
                ("surprise", "bank"),
            ):
                refused = page.do("misfortune", id=kind, target=target)
                assert (refused["status"], refused["error"]) == (409, why)
            assert page.do("teller", what="balance", account=2)["balance"] == 200
