"""`failover`, `pause` and `resume` of real processes: what is lost, what is not, and what everybody says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from bankrmi.cli.exit_codes import ExitCode, HealthCode
from bankrmi.client.asking import ask_once
from bankrmi.errors import InvalidRequest, OperationFailed
from tests import warm
from tests.system.cluster import NAMESERVER, Cluster
from tests.system.commands import bankrmi, status_json
from tests.system.load import Load

FORCE = ("failover", "--force", "--to", "s2", "--confirm", "s2", "--old-primary-is-off")


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Cluster]:
    """Two servers in sync, led by s1."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        yield cluster


def told(bank: Cluster, *command: str, code: int = ExitCode.DONE) -> str:
    ended = bankrmi(bank, *command)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def leave_behind(bank: Cluster) -> None:
    """s2 is killed, s1 alone acknowledges 20 more of account 2, and is killed; s2 is there again."""
    client = bank.client()
    client.withdraw(2, 10)
    bank.kill_the_standby("s2")
    client.withdraw(2, 20, request_id="lost:1")
    bank.kill("s1")
    bank.start("s2", wait=False)
    bank.until(lambda: (bank.status("s2") or {}).get("role") == "joining", "s2 knows that it is outside")


def strange_calls_change_nothing(bank: Cluster) -> None:
    """The operator object takes only what the commands send."""
    view, at = bank.view(), bank.configuration.servers["s2"]
    for method, args in (
        ("take_over", []),
        ("take_over", ["h"]),
        ("take_over", [1, 2, 3, 4]),
        ("take_over", ["h", 3, True, True]),
        ("take_over", ["h", 3, True, False, ["s1"], 6]),
        ("take_over", ["h", 3, True, False, "s1"]),
        ("take_over", ["h", 3, True, False, [{}]]),
        ("take_over", ["x" * 1000, 3, True, False]),
        ("take_over", ["h", -1, True, False]),
        ("take_over", ["another", 2, True, False]),
        ("pause", ["two\nlines"]),
        ("pause", ["x" * 201]),
        ("pause", [{}]),
        ("pause", ["a", "b"]),
        ("pause", []),
        ("resume", [1]),
        ("resume", []),
    ):
        with pytest.raises((InvalidRequest, OperationFailed)) as refused:
            ask_once(at, "bankrmi.operator.s2", method, args, seconds=20)
        assert "bug" not in str(refused.value)
    assert bank.view() == view


def test_a_forced_failover_from_the_first_look_to_the_old_primarys_return(bank: Cluster) -> None:
    """Refused while that loses what need not be lost; shown; done; told; and nothing is done twice."""
    strange_calls_change_nothing(bank)
    early = told(bank, *FORCE, code=ExitCode.ERROR)
    assert "s1 answers as the primary: use `bankrmi switchover --to s2`, or, if it" in early
    leave_behind(bank)
    history = status_json(bank)["view"]["history"]

    gentle = told(bank, "failover", "--to", "s2", "--yes", code=ExitCode.ERROR)
    assert "s2 is not in sync, and may lack what was acknowledged: start s1 again" in gentle
    unasked = told(bank, "failover", "--force", "--to", "s2", code=ExitCode.USAGE)
    assert "say --confirm s2 and --old-primary-is-off: there is no terminal to ask on" in unasked
    assert status_json(bank)["view"]["epoch"] == 3

    done = told(bank, *FORCE)
    assert re.search(r"the view is epoch 3, made at \S+Z: primary s1, in sync s1 \(crash of s2", done)
    assert re.search(r"s1: in sync, cannot be asked", done)
    assert re.search(r"s2: not in sync, holds entries up to action id 1, written at \S+Z in epoch 2", done)
    assert "s2 would go on after action id 1: whatever was acknowledged beyond it is lost" in done
    assert re.search(r"s2 is not in sync since epoch 3, made at \S+Z \(crash of s2", done)
    assert "after:  epoch 4, primary s2, in sync s2\n" in done

    client = bank.client()
    for _ in range(2):
        assert client.withdraw(2, 20, request_id="lost:1").balance == 170, "applied anew, and once"
    view = status_json(bank)["view"]
    assert view["history"] != history
    [*_, forced] = json.loads(told(bank, "history", "--json"))["changes"]
    assert (forced["forced"], forced["by"], forced["cause"]["of"]) == (True, "s2", ["s1"])
    assert re.fullmatch(r"forced by 127\.\S+: s1 given up", forced["why"])
    assert f"Its cause: {forced['why']} (proposed by s2)" in told(bank, "why")
    log = bank.log("s2")
    [line] = [line for line in log.splitlines() if " leads by force " in line]
    assert f"history_before={history} " in line, line
    assert "kept_up_to=1 " in line, line
    assert re.search(r"given_up=\S*s1", line), line
    [line] = [line for line in log.splitlines() if "what=take_over" in line and "outcome=done" in line]
    for word in (
        "which=s2",
        f"history={history}",
        "epoch=3",
        "force=True",
        "resumes=False",
        "confirmed_off=s1",
    ):
        assert f" {word} " in line, line

    bank.start("s1")
    bank.wait_until_in_sync()
    [kept] = bank.data("s1").glob("rolled-back-*.jsonl")
    assert '"lost:1"' in kept.read_text()
    assert bank.client().balance(2).balance == 170
    assert bank.log("s1").count("primary was=") == 1, "it led before, and not after"


@pytest.mark.long
def test_a_person_types_the_name_and_that_the_old_primary_is_off(bank: Cluster) -> None:
    leave_behind(bank)
    command = ["--config", str(bank.config), "failover", "--force", "--to", "s2"]
    for name, off in (("s1", ""), ("s2", "yes"), ("s2", "s1 is off")):
        terminal = warm.terminal(command, timeout=40)
        terminal.expect("type the name of the server that is to lead")
        terminal.sendline(name)
        if off:
            terminal.expect("When that is done, type: s1 is off")
            terminal.sendline(off)
        terminal.expect(pexpect.EOF)
        terminal.close()
        agreed = off == "s1 is off"
        assert terminal.exitstatus == (ExitCode.DONE if agreed else ExitCode.ERROR)
        assert agreed or "nothing was done" in terminal.before
    bank.until(lambda: bank.primary() == "s2", "s2 leads")


@pytest.mark.long
def test_it_is_refused_where_nothing_need_be_lost_and_where_nothing_can_be_done(tmp_path: Path) -> None:
    with Cluster(tmp_path, servers=3) as bank:
        bank.start_all()
        bank.wait_until_in_sync()
        bank.kill("s3")
        bank.wait_until_in_sync("s1", "s2")
        bank.client().withdraw(2, 10)
        told(bank, "pause", "--reason", "a trial")
        bank.kill("s1")
        bank.start("s3", wait=False)
        bank.until(lambda: (bank.status("s3") or {}).get("role") == "joining", "s3 is outside")
        force = ("failover", "--force", "--confirm", "s3", "--old-primary-is-off", "--to", "s3")
        there = told(bank, *force, code=ExitCode.ERROR)
        assert "s2 is in sync, and can be reached; nothing is lost without --force" in there
        assert "`bankrmi failover --to s2`, without --force, lets it lead" in there
        absent = told(bank, *FORCE[:-3], "--confirm", "s2", "--old-primary-is-off", code=ExitCode.ERROR)
        assert "s2 is in sync, and can be reached; nothing is lost without --force" in absent
        unknown = told(bank, "failover", "--to", "s9", "--yes", code=ExitCode.USAGE)
        assert "has no server s9: there are s1, s2, s3" in unknown
        gone = told(bank, "failover", "--to", "s1", "--yes", code=ExitCode.ERROR)
        assert "s1 cannot be asked" in gone
        bank.kill(NAMESERVER)
        alone = told(bank, *force, code=ExitCode.ERROR)
        assert "nobody leads without its word" in alone
        assert "`bankrmi witness restore` is the way" in alone


@pytest.mark.long
def test_a_primary_that_only_stands_still_leads_no_more_when_it_goes_on(bank: Cluster) -> None:
    """The operator was wrong: it was frozen, not off. It answers nobody once it has heard of the view."""
    client = bank.client()
    client.withdraw(2, 10)
    bank.kill_the_standby("s2")
    client.withdraw(2, 20)
    bank.pause("s1")
    bank.start("s2", wait=False)
    bank.until(lambda: (bank.status("s2") or {}).get("role") == "joining", "s2 is outside")
    done = bankrmi(bank, *FORCE)
    assert done.returncode == ExitCode.DONE, done.stderr
    assert bank.client().withdraw(2, 1).balance == 189
    bank.resume("s1")
    bank.wait_until_in_sync()
    assert bank.primary() == "s2"
    assert {bank.status(name)["action_id"] for name in ("s1", "s2")} == {2}  # type: ignore[index]


def test_a_pause_is_shown_everywhere_and_only_an_operator_has_anybody_take_over(bank: Cluster) -> None:
    paused = told(bank, "pause", "--reason", "new cables")
    assert "after:  epoch 3, primary s1, in sync s1, s2, paused\n" in paused
    assert "it is paused already, by 127." in told(bank, "pause", code=ExitCode.ERROR)
    sentence = r"utomatic takeover is paused by 127\.\S+ since \S+Z: new cables"
    assert re.search(rf"a{sentence}; `bankrmi resume` ends it", told(bank, "status"))
    assert status_json(bank)["view"]["paused"]["reason"] == "new cables"
    assert re.search(sentence, told(bank, "status", "--check", code=HealthCode.NOBODY_COULD_TAKE_OVER))
    why = told(bank, "why")
    assert re.search(rf"s2 may not: it is in sync, but a{sentence}; `bankrmi failover --to s2`", why)
    assert re.search(r"s1: the bank would stand still until s1 is started again: automatic takeover", why)
    assert "paused by 127." in told(bank, "history")

    bank.client().withdraw(2, 10)
    assert bank.terminate("s1") == 0
    assert "hands nothing over" in bank.log("s1")
    bank.until(lambda: (bank.status("s2") or {}).get("connected") == [], "s2 has lost s1")
    bank.until(lambda: "nobody leads" in bankrmi(bank, "status", "--check").stdout, "nobody leads")
    assert (bank.view() or {})["epoch"] == 3
    assert "after:  epoch 4, primary s2, in sync s2, paused\n" in told(
        bank, "failover", "--to", "s2", "--yes"
    )
    assert bank.client().balance(2).balance == 190
    bank.start("s1")
    bank.wait_until_in_sync()
    assert re.search(r"after:  epoch \d, primary s2, in sync s1, s2\n", told(bank, "resume"))
    assert "is not paused" in told(bank, "resume", code=ExitCode.ERROR)
    bank.kill("s2")
    bank.until(lambda: bank.primary() == "s1", "s1 takes over by itself again")


@pytest.mark.long
def test_a_pause_outlives_every_process_and_resume_lets_a_member_take_over(bank: Cluster) -> None:
    told(bank, "pause")
    bank.kill(NAMESERVER, "s1", "s2")
    bank.start(NAMESERVER)
    bank.start("s2", wait=False)
    bank.until(lambda: (bank.status("s2") or {}).get("paused"), "s2 knows that it is paused")
    resumed = told(bank, "resume")
    assert "primary s2, in sync s2\n" in resumed
    assert re.search(r"resumed by 127\.\S+, and s1 was gone", told(bank, "history"))


@pytest.mark.long
def test_a_switchover_goes_on_while_it_is_paused_and_no_client_notices(bank: Cluster) -> None:
    with Load(bank, clients=2) as load:
        load.wait_for(20)
        told(bank, "pause")
        load.wait_for(20)
        assert ", paused\n" in told(bank, "switchover", "--yes")
        load.wait_for(20)
        told(bank, "resume")
        load.wait_for(20)
    bank.wait_until_in_sync()
    load.check_disks()
