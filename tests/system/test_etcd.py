"""A whole bank whose view is kept by etcd: no witness, and the loss of any one member costs nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bankrmi.certificates.authority import create, create_authority
from bankrmi.client.asking import ask_once
from bankrmi.config import load
from bankrmi.coordination.witness import WITNESS_MOVES_ID
from bankrmi.errors import BankError, InDoubt
from tests.etcd import MEMBERS, EtcdMembers, needs_etcd, paused
from tests.system.cluster import NAMESERVER, Cluster
from tests.system.commands import bankrmi, status_json

pytestmark = needs_etcd


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdMembers]:
    with EtcdMembers(tmp_path / "etcd") as members:
        yield members


@pytest.fixture
def cluster(tmp_path: Path, etcd: EtcdMembers) -> Iterator[Cluster]:
    with Cluster(tmp_path / "bank", witness=etcd.keys()) as bank:
        bank.start_all()
        bank.until(lambda: len((bank.view() or {}).get("in_sync", ())) == 2, "both are in sync")
        yield bank


def takes_over(cluster: Cluster, dead: str) -> None:
    other = next(name for name in cluster.servers if name != dead)
    cluster.kill(dead)
    cluster.until(lambda: cluster.primary() == other, f"{other} leads")
    cluster.start(dead)
    cluster.until(lambda: len((cluster.view() or {}).get("in_sync", ())) == 2, "both are in sync again")


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize("member", MEMBERS)
def test_a_takeover_with_any_one_member_dead(cluster: Cluster, etcd: EtcdMembers, member: str) -> None:
    bank = cluster.client(timeout=30)
    etcd.kill(member)
    assert bank.withdraw(2, 10).balance == 190
    takes_over(cluster, "s1")
    assert bank.withdraw(2, 10).balance == 180
    takes_over(cluster, "s2")
    assert bank.withdraw(2, 10).balance == 170


@pytest.mark.long
def test_a_takeover_with_the_leading_member_paused(cluster: Cluster, etcd: EtcdMembers) -> None:
    bank = cluster.client(timeout=30)
    with paused(etcd, etcd.leader()):
        takes_over(cluster, "s1")
        assert bank.withdraw(2, 10).balance == 190


@pytest.mark.long
def test_the_whole_bank_and_all_of_etcd_start_again(cluster: Cluster, etcd: EtcdMembers) -> None:
    bank = cluster.client(timeout=30)
    bank.withdraw(2, 10)
    cluster.kill(*cluster.servers, NAMESERVER)
    etcd.kill(*MEMBERS)
    etcd.start(*MEMBERS)
    cluster.start_all()
    assert bank.balance(2).balance == 190


@pytest.mark.long
def test_without_etcd_a_bank_that_is_well_goes_on_and_a_takeover_waits(
    cluster: Cluster, etcd: EtcdMembers
) -> None:
    bank = cluster.client(timeout=30)
    etcd.kill(*MEMBERS)
    assert bank.withdraw(2, 10).balance == 190
    assert "etcd cannot be reached" in bankrmi(cluster, "status").stdout
    cluster.kill("s1")
    with pytest.raises(InDoubt):
        cluster.client(timeout=2).withdraw(2, 10)
    etcd.start(*MEMBERS)
    assert bank.withdraw(2, 10).balance in (180, 170)
    assert cluster.primary() == "s2"


@pytest.mark.long
def test_status_names_the_members_that_do_not_answer(cluster: Cluster, etcd: EtcdMembers) -> None:
    etcd.kill("m2")
    expected = {etcd.url("m1"): True, etcd.url("m2"): False, etcd.url("m3"): True}

    def told_as_it_is() -> bool:
        """While the other two choose a leader anew, neither can answer."""
        told = status_json(cluster)["witness"]
        members = {one["address"]: one["reachable"] for one in told.get("members", ())}
        return bool(told["reachable"]) and members == expected

    cluster.until(told_as_it_is, "two of three members answer")
    assert status_json(cluster)["view_from"] == "witness"
    table = bankrmi(cluster, "status").stdout
    assert f"1 of 3 members of etcd does not answer: {etcd.url('m2')}" in table
    etcd.kill("m3")
    examined = doctor(cluster)
    assert examined.count("etcd does not answer: ") == 4, "once for all, and once for each that is gone"
    assert "none of its 3 members says what the view is" in examined


@pytest.mark.long
def test_why_and_the_check_speak_of_members_and_not_of_a_witness(cluster: Cluster, etcd: EtcdMembers) -> None:
    told = bankrmi(cluster, "why").stdout
    assert "etcd: the death of any one member would change nothing: 3 of 3 answer, and 2 are enough" in told
    etcd.kill("m1")

    def says(*sentences: str) -> bool:
        told = bankrmi(cluster, "why").stdout
        return all(sentence in told for sentence in sentences)

    two = "etcd: 2 of 3 members answer, and 2 are needed: if one of these died"
    cluster.until(lambda: says(two, "s2 may take over"), "the two have a leader again, and are counted")
    etcd.kill("m2")
    told = bankrmi(cluster, "why").stdout
    assert "s2 may not: it is in sync, but etcd cannot be reached, and nobody leads without its word" in told
    assert "etcd: it does not answer now; clients would notice nothing; but until it is back" in told
    checked = bankrmi(cluster, "status", "--check")
    assert checked.stdout == "etcd cannot be reached: no change of primary until it can\n"
    assert checked.returncode == 10
    assert "witness" not in told


def test_the_name_server_follows_the_view_in_etcd(cluster: Cluster) -> None:
    """A client that knows the name server's address only finds the primary, after a takeover too."""
    takes_over(cluster, "s1")
    alone = cluster.directory / "client.yaml"
    alone.write_text(f"nameserver: {cluster.configuration.nameserver}\n")
    cluster.until(lambda: "200" in bankrmi(alone, "balance", "2").stdout, "it is found")


@pytest.mark.long
def test_starting_over_is_refused_while_etcd_holds_the_view(cluster: Cluster) -> None:
    """The view names the disks that would be set aside: new ones would wait for them for ever."""
    cluster.kill(*cluster.servers, NAMESERVER)
    refused = bankrmi(cluster, "up", "--no-menu", "--fresh", "--yes")
    assert refused.returncode == 1
    assert "etcdctl del --prefix /bankrmi/account/" in refused.stderr
    assert (cluster.directory / "data" / "s1" / "bank.db").exists()


@pytest.mark.long
def test_the_name_servers_log_tells_each_view_as_it_does_of_a_witness(cluster: Cluster) -> None:
    """`up` tells takeovers by these lines."""
    takes_over(cluster, "s1")
    cluster.until(lambda: "view service=account epoch=3 primary=s2" in cluster.log(NAMESERVER), "it is told")


@pytest.mark.long
def test_etcd_that_lost_everything_is_given_back_the_only_safe_view(
    cluster: Cluster, etcd: EtcdMembers
) -> None:
    """The same command as for a witness that lost its disk."""
    bank = cluster.client(timeout=30)
    bank.withdraw(2, 10)
    etcd.delete_all()
    restored = bankrmi(cluster, "witness", "restore", "--yes")
    assert restored.returncode == 0, restored
    assert "restored: " in restored.stdout
    assert bank.withdraw(2, 10).balance == 180
    again = bankrmi(cluster, "witness", "restore", "--yes")
    assert "there is nothing to restore: etcd holds a view" in again.stderr


# -- moving a living bank ------------------------------------------------------------------------------


class Calls:
    """A client that never rests while something else is done; no call of it may fail."""

    def __init__(self, cluster: Cluster) -> None:
        self._bank = cluster.client(timeout=30)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.done = 0
        self.failures: list[BaseException] = []

    def _work(self) -> None:
        while not self._over.is_set():
            try:
                self._bank.deposit(10, 1)
                self.done += 1
            except BaseException as failure:
                self.failures.append(failure)
                return

    def __enter__(self) -> Calls:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        assert self.failures == []
        assert self.done > 0


def certify(folder: Path) -> Path:
    create_authority(folder, days=30)
    for name in ("s1", "s2", NAMESERVER):
        create(folder, "server", name, days=20, addresses=["127.0.0.1"])
    create(folder, "client", "teller", days=20)
    create(folder, "operator", "anna", days=20)
    return folder


def doctor(cluster: Cluster) -> str:
    return bankrmi(cluster, "doctor").stdout


def logged(cluster: Cluster, words: str, times: int) -> bool:
    return all(cluster.log(name).count(words) >= times for name in cluster.servers)


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize("behind", ["certificates", "nothing"])
def test_a_living_bank_is_moved_from_its_witness_to_etcd_and_back(
    tmp_path: Path, etcd: EtcdMembers, behind: str
) -> None:
    """Nothing is restarted, no call fails; after each move a takeover goes by the new keeper alone."""
    folder = certify(tmp_path / "bank" / "certificates") if behind == "certificates" else None
    settings: dict[str, Any] = {} if folder is None else {"certificates": {"folder": "certificates"}}
    with Cluster(tmp_path / "bank", **settings) as cluster:
        cluster.start_all()
        cluster.until(lambda: len((cluster.view() or {}).get("in_sync", ())) == 2, "both are in sync")
        witness = cluster.configuration.witness
        old = cluster.config.read_text()
        new = old + f"witness: {etcd.keys()}\n"
        for turn, (before, after) in enumerate([(old, new), (new, old)], 1):
            (cluster.directory / "before.yaml").write_text(before)
            cluster.config.write_text(after)
            with Calls(cluster):
                moved = bankrmi(
                    cluster.directory / "before.yaml", "witness", "move", "--to", str(cluster.config), "--yes"
                )
                assert moved.returncode == 0, moved
                assert moved.stdout.startswith("moved: epoch ")
                cluster.until(
                    lambda turn=turn: logged(cluster, "asked for elsewhere now", turn),  # type: ignore[misc]
                    "all ask the new keeper",
                )
            assert not any("settings differ" in cluster.log(name) for name in cluster.servers)
            cluster.configuration = load(cluster.config)
            cluster.until(lambda: "witness is" not in doctor(cluster), "nobody has to be restarted")
            behind = bankrmi(cluster.directory / "before.yaml", "doctor").stdout
            assert "before.yaml is from before a move" in behind
            assert "and restart" not in behind
            # Whoever asks the old keeper is told that it is closed; what it has is not believed.
            refused = bankrmi(cluster.directory / "before.yaml", "witness", "restore", "--yes")
            assert "and is not kept here any more" in refused.stderr
            with Calls(cluster):
                takes_over(cluster, cluster.primary())
                cluster.until(lambda: len((cluster.view() or {}).get("in_sync", ())) == 2, "in sync again")
            history = json.loads(bankrmi(cluster, "history", "--json").stdout)
            epochs = [change["epoch"] for change in history["changes"]]
            moves = [move["place"] for change in history["changes"] for move in change["moves"]]
            if turn == 1:
                assert epochs == list(range(1, epochs[-1] + 1)), "the witness that was left is asked"
                assert moves == [witness]
                [closed] = [line for line in cluster.log(NAMESERVER).splitlines() if "what=move" in line]
                assert " service=account to=etcd:" in closed
                assert f" epoch={epochs[1]} primary=" in closed
                assert " outcome=done " in closed
            else:
                assert epochs == list(range(1, epochs[-1] + 1)), "so is the etcd that was left"
                assert history["elsewhere"] == []
                assert etcd.url("m1") in moves[-1]


def test_only_operators_may_move_the_view(tmp_path: Path) -> None:
    with Cluster(tmp_path / "bank") as cluster:
        cluster.start(NAMESERVER)
        address = str(cluster.configuration.witness)
        for role in ("client", "server"):
            with pytest.raises(BankError, match="for operators only"):
                ask_once(address, WITNESS_MOVES_ID, "kept", ["account"], seconds=5.0, role=role)
        assert ask_once(address, WITNESS_MOVES_ID, "kept", ["account"], seconds=5.0)["moved_to"] is None


def test_a_restore_at_a_keeper_that_the_bank_does_not_run_with_says_so(
    tmp_path: Path, etcd: EtcdMembers
) -> None:
    """An empty etcd, while the bank lives with its witness: nobody is fenced, and nothing is proposed."""
    with Cluster(tmp_path / "bank") as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        other = cluster.directory / "other.yaml"
        other.write_text(cluster.config.read_text() + f"witness: {etcd.keys()}\n")
        refused = bankrmi(other, "witness", "restore", "--yes")
        assert refused.returncode == 1
        assert refused.stderr.startswith(
            "there is nothing to restore: s1, s2 run with another keeper of the view "
            f"({cluster.configuration.witness}), which answers, and not with etcd at "
        ), refused.stderr
        assert "Nobody was fenced." in refused.stderr
        assert not any("what=fence" in cluster.log(name) for name in cluster.servers)
        assert cluster.client().withdraw(2, 10).balance == 190
