"""`restore`: a bank begins anew with a backup, and never where the bank of before may live."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bankrmi.backup import restoring
from bankrmi.backup.restoring import WantedPoint, restore
from bankrmi.bank.forms import described
from bankrmi.coordination import founding
from bankrmi.coordination import restoring as coordination
from bankrmi.coordination.keepers import KeeperSilent
from bankrmi.errors import OperationFailed
from bankrmi.moments import in_words
from bankrmi.replication.record import DONE
from tests.system.cluster import NAMESERVER, Cluster
from tests.system.commands import bankrmi
from tests.system.copies import Copy, check_agreement, check_copy
from tests.system.load import Load


@dataclass(frozen=True, kw_only=True)
class Backups:
    """What was taken of a bank, and where its servers' disks are kept now."""

    cluster: Cluster
    whole: Path
    increment: Path
    ended_at: tuple[int, int]
    before: Copy
    history: str

    @property
    def files(self) -> list[str]:
        return [str(self.whole), str(self.increment)]

    def restore(self, *arguments: str, files: Sequence[str] | None = None) -> tuple[int, str, str]:
        names = self.files if files is None else files
        ended = bankrmi(self.cluster, "restore", *names, "--server", "s1", *arguments)
        return ended.returncode, ended.stdout, ended.stderr.strip()

    def balances_at(self, action_id: int) -> dict[int, int]:
        balances = dict(self.cluster.ledger)
        for entry in self.before.entries[:action_id]:
            if entry.status == DONE:
                assert isinstance(entry.result, int)
                balances[described(entry.operation)["account"]] = entry.result
        return balances

    def is_untouched(self) -> bool:
        return not self.cluster.data("s1").exists()


@pytest.fixture
def backups(tmp_path: Path) -> Iterator[Backups]:
    """A bank did some work, was backed up twice, went on, and lost everything, its witness's disk as well."""
    with Cluster(tmp_path / "bank") as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        whole, increment = tmp_path / "whole", tmp_path / "increment"
        with Load(cluster) as load:
            load.wait_for(60)
            ended = [bankrmi(cluster, "backup", str(whole), "--json")]
            load.wait_for(60)
            ended += [bankrmi(cluster, "backup", str(increment), "--since", str(whole), "--json")]
            load.wait_for(60)
        [before, _] = load.check_disks()
        told = [json.loads(one.stdout) for one in ended]
        cluster.kill(NAMESERVER)
        cluster.configuration.data_dir.rename(tmp_path / "lost")
        cluster.start(NAMESERVER)
        yield Backups(
            cluster=cluster,
            whole=whole,
            increment=increment,
            ended_at=(told[0]["action_id"], told[1]["action_id"]),
            before=before,
            history=told[0]["history"],
        )


def goes_on(backups: Backups, action_id: int) -> None:
    """The bank begins with what it was given, and the other server joins."""
    cluster = backups.cluster
    cluster.start("s1")
    view = cluster.view()
    assert view is not None
    assert (view["primary"], view["in_sync"]) == ("s1", ["s1"])
    assert view["history"] != backups.history
    with cluster.client() as bank:
        assert bank.balance(1).balance == backups.balances_at(action_id)[1]
        assert bank.deposit(1, 7).action_id == action_id + 1
    cluster.start("s2")
    cluster.wait_until_in_sync()
    with Load(cluster) as load:
        load.wait_for(30)
        cluster.kill(cluster.primary())
        load.wait_for(30)
    cluster.kill(*[name for name in cluster.servers if cluster.is_running(name)])
    copies = [cluster.copy(name) for name in cluster.servers]
    check_agreement(*copies)
    for copy in copies:
        assert copy.entries[:action_id] == backups.before.entries[:action_id]
        check_copy(copy, cluster.ledger)


def test_a_bank_begins_anew_with_a_backup_alone_and_the_other_server_joins(backups: Backups) -> None:
    end = backups.ended_at[1]
    code, told, chatter = backups.restore("--give-up", "s2")
    assert code == 0, chatter
    assert told.startswith(f"restored: up to action id {end}, epoch 1000002, history ")
    assert chatter == "now start it: bankrmi server s1"
    [began] = json.loads(bankrmi(backups.cluster, "history", "--json").stdout)["changes"]
    assert began["why"].startswith("restored by ")
    assert began["why"].endswith(f" from the backup increment, up to action id {end}, s2 given up")
    assert (began["cause"]["backup"], began["cause"]["action_id"]) == ("increment", end)
    verified = bankrmi(backups.cluster, "verify", str(backups.cluster.data("s1")), *backups.files)
    assert verified.returncode == 0, verified.stdout
    assert backups.cluster.copy("s1").balances == backups.balances_at(end)
    goes_on(backups, end)


@pytest.mark.long
def test_an_empty_server_that_runs_says_so_and_need_not_be_given_up(backups: Backups) -> None:
    cluster, end = backups.cluster, backups.ended_at[0]
    cluster.start("s2", wait=False)
    cluster.until(lambda: cluster.status("s2"), "s2 answers")
    code, _, chatter = backups.restore(files=[str(backups.whole)])
    assert code == 0, chatter
    cluster.start("s1")
    cluster.wait_until_in_sync()
    assert cluster.client().deposit(1, 7).action_id == end + 1


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize("where", ["in the increment", "in the whole one"])
def test_to_an_action_id_and_to_a_time(backups: Backups, where: str) -> None:
    """The end of a batch, never within it."""
    first, last = (0, backups.ended_at[0]) if where == "in the whole one" else backups.ended_at
    entries = backups.before.entries
    batch = next(one for one in entries[first:last] if one.place == 1)
    request = backups.before.request(f"{batch.session}:{batch.sequence}")
    begin, end = request[0].action_id, request[-1].action_id
    code, _, said = backups.restore("--give-up", "s2", "--to", str(begin))
    assert code == 2
    assert said == (
        f"action id {begin} is within the request of action ids {begin} to {end}, and a request is never "
        f"split: say {begin - 1} or {end}"
    )
    assert backups.is_untouched()
    code, told, chatter = backups.restore("--give-up", "s2", "--to", str(end))
    assert code == 0, chatter
    assert f"restored: up to action id {end}, " in told
    assert f"the backups go on to action id {backups.ended_at[1]}, and that is left out" in chatter
    assert backups.cluster.copy("s1").balances == backups.balances_at(end)
    backups.cluster.kill(NAMESERVER)
    shutil.rmtree(backups.cluster.configuration.data_dir)
    backups.cluster.start(NAMESERVER)

    moment = in_words(request[0].time_us)
    later = next((one for one in entries if one.time_us > request[0].time_us), None)
    at = later.action_id - 1 if later is not None else len(entries)
    code, told, chatter = backups.restore("--give-up", "s2", "--at", moment)
    assert code == 0, chatter
    assert f"restored: up to action id {at}, " in told
    goes_on(backups, at)


# -- into a living bank ---------------------------------------------------------------------------------


def test_a_bank_that_lives_is_not_given_an_old_copy(backups: Backups, tmp_path: Path) -> None:
    """By its witness's view, by another server that holds it, by one that runs, by what is in the folder."""
    cluster = backups.cluster
    code, _, said = backups.restore()
    assert code == 1
    assert "s2 cannot be asked (nobody listens at" in said
    assert "may hold more than the backup: start it, or say --give-up s2" in said
    assert backups.is_untouched()

    shutil.copytree(tmp_path / "lost" / "s2", cluster.data("s2"))
    code, _, said = backups.restore("--give-up", "s2")
    assert code == 1
    assert "s2/bank.db is there, and may hold more than the backup: s2 is not lost" in said

    cluster.start("s2", wait=False)
    cluster.until(lambda: cluster.status("s2"), "s2 answers")
    for arguments in ((), ("--give-up", "s2")):
        code, _, said = backups.restore(*arguments)
        assert code == 1
        assert f"the bank lives: s2 holds it up to action id {backups.before.tip}" in said
        assert "`bankrmi witness restore` makes it go on with what it holds" in said
        assert backups.is_untouched()

    cluster.kill("s2", NAMESERVER)
    code, _, said = backups.restore("--give-up", "s2")
    assert code == 1
    assert said.startswith(f"the witness at {cluster.configuration.witness} does not answer")

    shutil.rmtree(cluster.data("witness"))
    shutil.copytree(tmp_path / "lost" / "witness", cluster.data("witness"))
    cluster.start(NAMESERVER)
    code, _, said = backups.restore("--give-up", "s2")
    assert code == 1
    assert f"the bank lives: the witness at {cluster.configuration.witness} holds a view" in said
    assert backups.is_untouched()

    cluster.start("s1", wait=False)
    cluster.until(lambda: cluster.status("s1"), "s1 answers")
    code, _, said = backups.restore("--give-up", "s2")
    assert code == 1
    assert "is in use by the running process" in said
    cluster.kill("s1")
    code, _, said = backups.restore("--give-up", "s2")
    assert code == 1
    assert "data/s1 is not empty (bank.db" in said


@pytest.mark.long
def test_what_is_wrong_with_the_command_is_one_sentence(backups: Backups, tmp_path: Path) -> None:
    damaged = bytearray(backups.whole.read_bytes())
    damaged[5000] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    whole, increment = backups.files
    for files, arguments, code, sentence in (
        ([increment], [], 2, "one whole backup is needed, and increments that continue it; here none is"),
        ([str(tmp_path / "damaged")], [], 1, "damaged is damaged, and nothing was restored: "),
        ([str(tmp_path / "nowhere")], [], 2, "nowhere is not a file"),
        ([whole], ["--to", "999999"], 2, "action id 999999 is not in these backups: they end at"),
        ([whole], ["--at", "yesterday"], 2, "--at: 'yesterday' is not a time: write 2026-"),
        ([whole], ["--at", "2999-01-01"], 2, "may not all be in these backups"),
        ([whole], ["--at", "2026-01-01", "--to", "1"], 2, "say --to or --at, not both"),
        ([whole], ["--give-up", "s9"], 2, "has no server s9: there are s1, s2"),
        ([whole], ["--give-up", "s1"], 2, "s1 is the one that is restored, and cannot be given up"),
    ):
        ended, told, said = backups.restore("--give-up", "s2", *arguments, files=files)
        assert (ended, told) == (code, ""), said
        assert sentence in said
        assert len(said.splitlines()) == 1, said
        assert len(said.splitlines()) == 1
        assert backups.is_untouched()
    another = tmp_path / "another.yaml"
    another.write_text(
        backups.cluster.config.read_text() + f"service: loans\ndata_dir: {tmp_path / 'data'}\n"
    )
    ended_as = bankrmi(another, "restore", whole, "--server", "s1", "--give-up", "s2")
    assert ended_as.returncode == 2
    assert "these are backups of account, and the service of the configuration is loans" in ended_as.stderr


@pytest.mark.long
def test_a_server_that_was_given_up_and_comes_back_as_it_was_joins_and_leads_nobody(
    backups: Backups, tmp_path: Path
) -> None:
    """It holds more than the backup. What only it held is kept beside its database."""
    cluster, end = backups.cluster, backups.ended_at[1]
    assert backups.before.tip > end
    assert backups.restore("--give-up", "s2")[0] == 0
    cluster.start("s1")
    with cluster.client() as bank:
        assert bank.deposit(1, 7).action_id == end + 1
    cluster.data("s2").mkdir(exist_ok=True)
    shutil.copytree(tmp_path / "lost" / "s2", cluster.data("s2"), dirs_exist_ok=True)
    cluster.start("s2")
    cluster.wait_until_in_sync()
    assert cluster.primary() == "s1"
    cluster.kill(*cluster.servers)
    copies = [cluster.copy(name) for name in cluster.servers]
    check_agreement(*copies)
    assert {copy.tip for copy in copies} == {end + 1}
    [kept] = cluster.data("s2").glob("rolled-back-*.jsonl")
    lost = [json.loads(line)["action_id"] for line in kept.read_text().splitlines()]
    assert lost == list(range(end + 1, backups.before.tip + 1))


# -- that is cut short ----------------------------------------------------------------------------------


@pytest.mark.long
def test_what_a_restore_that_was_killed_left_is_in_nobodys_way(backups: Backups) -> None:
    """Neither in that of the next restore, nor of a server that starts."""
    cluster = backups.cluster
    cluster.data("s1").mkdir()
    for name in ("restoring.db", "restoring.db-journal", "lock"):
        (cluster.data("s1") / name).write_bytes(b"half of it" * 1000)
    assert backups.restore("--give-up", "s2")[0] == 0
    assert {file.name for file in cluster.data("s1").iterdir()} == {"bank.db", "lock"}
    (cluster.data("s1") / "restoring.db").write_bytes(b"half of it")
    goes_on(backups, backups.ended_at[1])
    assert not (cluster.data("s1") / "restoring.db").exists()


def wanted(backups: Backups) -> WantedPoint:
    return WantedPoint(files=[backups.whole, backups.increment])


@pytest.mark.long
def test_one_that_loses_against_another_first_view_takes_its_copy_away(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two operators restore at a time, each on his machine: one wins, and the other is told."""
    configuration = backups.cluster.configuration
    restore(configuration, "s2", wanted(backups), given_up=["s1"])
    monkeypatch.setattr(restoring, "_check_that_none_lives", lambda *_: None)
    with pytest.raises(OperationFailed, match="holds another view meanwhile, so nothing was restored"):
        restore(configuration, "s1", wanted(backups), given_up=["s2"])
    assert backups.is_untouched()
    backups.cluster.start("s2")
    backups.cluster.start("s1")
    backups.cluster.wait_until_in_sync()


@pytest.mark.long
def test_where_the_witness_falls_silent_it_is_said_what_is_there_and_both_ends_are_mended(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = backups.cluster
    monkeypatch.setattr(restoring, "found", lambda *_: None)
    with pytest.raises(OperationFailed, match="not known whether the witness took the first view: start s1"):
        restore(cluster.configuration, "s1", wanted(backups), given_up=["s2"])
    cluster.start("s1", wait=False)
    cluster.until(lambda: "run `bankrmi witness restore`" in cluster.log("s1"), "s1 says what to do")
    assert bankrmi(cluster, "witness", "restore", "--give-up", "s2", "--yes").returncode == 0
    cluster.wait_until_ready("s1")
    assert cluster.client().deposit(1, 7).action_id == backups.ended_at[1] + 1


@pytest.mark.long
def test_a_lost_answer_of_the_witness_is_settled_by_reading(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """V6: the view is there, and the answer that said so was lost."""

    def propose(*arguments: Any) -> None:
        coordination.propose(*arguments)
        raise KeeperSilent("the connection was lost")

    monkeypatch.setattr(founding, "propose", propose)
    restored = restore(backups.cluster.configuration, "s1", wanted(backups), given_up=["s2"])
    view = backups.cluster.view()
    assert view is not None
    assert view["history"] == restored.view.history
    backups.cluster.start("s1")


@pytest.mark.long
def test_one_that_is_interrupted_while_it_asks_the_witness_says_what_is_there(
    backups: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(restoring, "found", interrupted)
    with pytest.raises(KeyboardInterrupt) as interruption:
        restore(backups.cluster.configuration, "s1", wanted(backups), given_up=["s2"])
    assert "interrupted: the copy is in" in interruption.value.__notes__[0]
    assert (backups.cluster.data("s1") / "bank.db").exists()
    shutil.rmtree(backups.cluster.data("s1"))

    monkeypatch.setattr(restoring, "_put_in_place", interrupted)
    with pytest.raises(KeyboardInterrupt):
        restore(backups.cluster.configuration, "s1", wanted(backups), given_up=["s2"])
    assert backups.is_untouched()
