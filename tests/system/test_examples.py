"""The programs in examples/ do what they say, against a real bank."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests import warm
from tests.pages import ROOT
from tests.system.cluster import DEADLINE_S, Cluster
from tests.system.ports import own_addresses

EXAMPLES = ROOT / "examples"
BESIDE_PYTHON = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("bank")) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        yield cluster


def example(
    name: str,
    *arguments: object,
    stdout: int | None = subprocess.PIPE,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    program = [sys.executable, str(EXAMPLES / name)] if name.endswith(".py") else [str(EXAMPLES / name)]
    return warm.Popen(
        [*program, *map(str, arguments)],
        env={**BESIDE_PYTHON, **(env or {})},
        stdout=stdout,
        stderr=subprocess.STDOUT,
        text=True,
        uses_ours=True,
    )


def end_of(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=DEADLINE_S)
    return process.returncode, said


def balance(cluster: Cluster, account: int) -> int:
    with cluster.client() as bank:
        return bank.balance(account).balance


def test_the_check_says_ok_and_a_second_copy_that_is_missing(cluster: Cluster) -> None:
    code, said = end_of(example("check_bank.py", cluster.config))
    assert (code, said[:10]) == (0, "BANK OK - "), said
    standby = cluster.standby()
    cluster.kill_the_standby(standby)
    code, said = end_of(example("check_bank.py", cluster.config))
    assert (code, said[:28]) == (1, "BANK WARNING - ONE COPY ONLY"), said
    cluster.start(standby)
    cluster.wait_until_in_sync()
    code, said = end_of(example("check_bank.py", "no-such-file.yaml"))
    assert (code, said[:14]) == (3, "BANK UNKNOWN -")


def test_everybody_is_paid_once_though_the_primary_dies_and_it_is_run_twice(
    cluster: Cluster, tmp_path: Path
) -> None:
    before = balance(cluster, 3)
    payments = tmp_path / "wages.csv"
    payments.write_text("3,10\n" * 300 + "99,10\n")
    paying = example("pay_everybody.py", payments, cluster.config)
    assert paying.stdout is not None
    first = [paying.stdout.readline() for _ in range(20)]
    assert first[-1].startswith("wages-20:1: paid"), first
    primary = cluster.primary()
    cluster.kill(primary)
    code, said = end_of(paying)
    assert code == 1
    assert said.endswith("wages-301:1: not paid: there is no account 99\n")
    assert balance(cluster, 3) == before + 3000
    cluster.start(primary)
    cluster.wait_until_in_sync()
    code, again = end_of(example("pay_everybody.py", payments, cluster.config))
    assert code == 1
    assert "".join(first) + said == again, "what is told again is what was told"
    assert balance(cluster, 3) == before + 3000


@pytest.mark.long
def test_every_night_there_is_a_sound_backup_and_old_chains_go(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    few = {"WHOLE_EVERY": "2", "KEPT_CHAINS": "1"}
    for _ in range(3):
        with cluster.client() as bank:
            bank.deposit(4, 1)
        code, said = end_of(example("nightly_backup.sh", cluster.config, folder, env=few))
        assert code == 0, said
        names = [file.name.partition("-")[2] for file in sorted(folder.rglob("*.backup"))]
        if len(names) == 2:
            assert names == ["whole.backup", "increment.backup"]
    assert names == ["whole.backup"], "the third one begins a new chain, and the first chain is gone"
    code, said = end_of(example("nightly_backup.sh", "no-such-file.yaml", folder, env=few))
    assert code != 0
    assert [file.name.partition("-")[2] for file in folder.rglob("*.backup")] == ["whole.backup"]


@contextmanager
def front(cluster: Cluster, log: Path) -> Iterator[str]:
    with own_addresses(1) as [address], log.open("wb") as file:
        process = example("web_front.py", cluster.config, address.rpartition(":")[2], stdout=file.fileno())
        try:
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(DEADLINE_S)


def test_the_front_does_a_key_once_and_answers_through_a_failover(cluster: Cluster, tmp_path: Path) -> None:
    with front(cluster, tmp_path / "log") as base, httpx2.Client(timeout=DEADLINE_S, trust_env=False) as web:

        def answers() -> bool:
            try:
                return web.get(f"{base}/accounts/2").status_code == 200
            except httpx2.ConnectError:
                return False

        cluster.until(answers, "the front answers")

        def post(asked: Any, key: str | None = "order-17") -> tuple[int, dict[str, Any]]:
            headers = {} if key is None else {"Idempotency-Key": key}
            answer = web.post(f"{base}/accounts/2", json=asked, headers=headers)
            return answer.status_code, answer.json()

        before = web.get(f"{base}/accounts/2").json()["balance"]
        status, first = post({"withdraw": 10})
        assert (status, first["balance"]) == (200, before - 10)
        primary = cluster.primary()
        cluster.kill(primary)
        assert post({"withdraw": 10}) == (200, first), "another server answers, and it is the same withdrawal"
        assert post({"deposit": 3}, "order-18")[1]["balance"] == before - 7
        cluster.start(primary)
        assert post({"withdraw": 10**9}, "order-19")[0] == 409
        assert post({"deposit": 10}) == (
            400,
            {"error": "this request id was used before, for another operation", "happened": False},
        )
        assert post({"withdraw": "10"}, "order-20")[0] == 400
        for asked, key in (
            ({"steal": 10}, "a"),
            ([], "a"),
            ({"withdraw": 1}, None),
            ({"withdraw": 1}, "a b"),
        ):
            assert post(asked, key)[0] == 400
        assert web.get(f"{base}/accounts/99").status_code == 404
        cluster.wait_until_in_sync()


def test_every_example_is_listed_and_run_here() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    here = Path(__file__).read_text()
    for file in EXAMPLES.iterdir():
        if file.suffix in (".py", ".sh"):
            assert f"[{file.name}]({file.name})" in listed
            assert f'example("{file.name}"' in here
