"""The release before and this version, side by side: upgraded in the documented order, and taken back.

docs/how-to/upgrade.md: the name server with the witness, the standby, switchover, the other server.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import bankrmi
from bankrmi.client.asking import ask_once
from bankrmi.errors import Busy, InDoubt, InvalidRequest, Unreached
from bankrmi.protocol_versions import NEWEST
from tests.replication.wire_forms import file_of
from tests.system import releases
from tests.system.cluster import NAMESERVER, Cluster
from tests.system.commands import bankrmi as command
from tests.system.load import Load
from tests.system.releases import ROOT, environment, later_version, release_before, tagged
from tests.system.test_certificates import issue

OLDER_CLIENT = """
import sys, threading, bankrmi
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
with bankrmi.connect(sys.argv[1], timeout=40) as bank:
    number = 0
    while not stop.wait(0.005):
        number += 1
        receipt = bank.withdraw(10, 1, request_id=f"older:{number}")
        [deposited] = bank.submit([bankrmi.Deposit(9, 1)], request_id=f"batch:{number}")
        assert bank.balance(10).balance == receipt.balance
        assert [one.action_id for one in bank.outcome(f"older:{number}")] == [receipt.action_id]
        assert bank.status()["role"] in ("primary", "standby", "joining", "starting")
        print("round", number, receipt.action_id, deposited.action_id, flush=True)
assert bankrmi.__file__.startswith(sys.argv[2]), bankrmi.__file__
"""
"""A client of another version: one call of each kind again and again; every error ends it."""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release_before(tmp_path_factory.mktemp("release") / "before")


@dataclass
class Client:
    """A client that runs in a process of its own."""

    process: subprocess.Popen[str]
    answered: list[list[int]]

    def wait_for(self, answers: int) -> None:
        """Wait for so many more rounds."""
        assert self.process.stdout is not None
        goal = len(self.answered) + answers
        while len(self.answered) < goal:
            line = self.process.stdout.readline()
            assert line, "the client of the other version got an error (see its traceback)"
            self.take(line)

    def take(self, line: str) -> None:
        """Note a round; it may print what it logs, too."""
        word, *numbers = line.split()
        if word == "round":
            self.answered.append([int(number) for number in numbers])


@contextmanager
def client_of(tree: Path, cluster: Cluster) -> Iterator[Client]:
    """Have a client of another version call the bank all the time."""
    with subprocess.Popen(
        [sys.executable, "-c", OLDER_CLIENT, str(cluster.config), str(tree)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tree, env=environment(tree),
    ) as process:  # fmt: skip
        client = Client(process, [])
        try:
            yield client
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            for line in process.stdout:
                client.take(line)
            assert process.wait(60) == 0
        finally:
            process.kill()


class Upgrade:
    """One bank, process after process; a version is the folder with its code, None this one."""

    def __init__(self, cluster: Cluster, load: Load, client: Client) -> None:
        self._cluster = cluster
        self._load = load
        self._client = client

    def replace(self, name: str, tree: Path | None) -> None:
        """Stop a process in good order, and start the one of another version in its place."""
        assert self._cluster.terminate(name) == 0
        self._cluster.start(name, tree=tree)
        assert Path(f"/proc/{self._cluster.process(name).pid}/cwd").resolve() == (tree or Path.cwd())
        self._cluster.wait_until_in_sync()
        self._go_on()

    def hand_over(self, tree: Path | None) -> None:
        """`switchover` to the other server, by the command of this version."""
        ended = command(self._cluster, "switchover", "--to", self._cluster.standby(), "--yes", cwd=tree)
        assert ended.returncode == 0, ended.stderr
        self._go_on()

    def _go_on(self) -> None:
        self._load.wait_for(25)
        self._client.wait_for(5)

    def check_status(self, *trees: Path | None) -> None:
        """`status --check` of each of these versions finds that all is well."""
        for tree in trees:
            ended = command(self._cluster, "status", "--check", cwd=tree)
            assert ended.returncode == 0, ended.stdout + ended.stderr


def check_books(cluster: Cluster, load: Load, client: Client) -> None:
    """What either client was told stands on both disks, once, and both disks are sound."""
    for copy in load.check_disks():
        for number, withdrawn, deposited in client.answered:
            assert [one.action_id for one in copy.request(f"older:{number}")] == [withdrawn]
            assert [one.action_id for one in copy.request(f"batch:{number}")] == [deposited]
    assert cluster.terminate(NAMESERVER) == 0
    places = [str(cluster.data(name)) for name in (*cluster.servers, "witness")]
    verified = command(cluster, "verify", *places)
    assert verified.returncode == 0, verified.stdout


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize(
    ("certified", "is_later", "and_back"),
    [
        pytest.param(False, False, False, id="to this version"),
        pytest.param(True, False, True, id="to this version and back, behind certificates"),
        pytest.param(False, True, True, id="to a later protocol and back"),
    ],
)
def test_nothing_is_lost_and_no_call_fails_while_the_bank_is_upgraded(
    before: Path, tmp_path: Path, certified: bool, is_later: bool, and_back: bool
) -> None:
    settings: dict[str, Any] = {}
    if certified:
        issue(tmp_path / "certificates")
        settings = {"certificates": {"folder": "certificates", "client": "teller"}}
    after = later_version(tmp_path / "later") if is_later else None
    with Cluster(tmp_path, **settings) as cluster:
        cluster.start_all(tree=before)
        cluster.wait_until_in_sync()
        with Load(cluster, clients=3) as load, client_of(before, cluster) as client:
            upgrade = Upgrade(cluster, load, client)
            upgrade.replace(NAMESERVER, after)
            upgrade.replace(cluster.standby(), after)
            if and_back:
                upgrade.check_status(before, after)
            upgrade.hand_over(before)
            upgrade.replace(cluster.standby(), after)
            if and_back:
                upgrade.check_status(before, after)
                upgrade.replace(cluster.standby(), before)
                upgrade.hand_over(after)
                upgrade.replace(cluster.standby(), before)
                upgrade.replace(NAMESERVER, before)
        check_books(cluster, load, client)


@pytest.mark.long
def test_a_bank_begins_anew_with_a_backup_that_the_release_before_made(before: Path, tmp_path: Path) -> None:
    """And this version's `backup` can ask a server of the release before, and the other way round."""
    backups = {name: tmp_path / name for name in ("before", "after")}
    with Cluster(tmp_path / "bank") as cluster:
        cluster.start_all(tree=before)
        cluster.wait_until_in_sync()
        bank = cluster.client()
        bank.withdraw(2, 50)
        cluster.terminate(cluster.standby())
        cluster.start(*(name for name in cluster.servers if not cluster.is_running(name)))
        cluster.wait_until_in_sync()
        for name, tree in (("before", before), ("after", None)):
            for server in cluster.servers:
                file = f"{backups[name]}-{server}"
                ended = command(cluster, "backup", file, "--server", server, cwd=tree)
                assert ended.returncode == 0, ended.stderr
        files = sorted(str(file) for file in tmp_path.glob("*-s?"))
        assert len(files) == 4
        for tree in (before, None):
            verified = command(cluster, "verify", *files, cwd=tree)
            assert verified.returncode == 0, verified.stdout
    with Cluster(tmp_path / "anew") as cluster:
        cluster.start(NAMESERVER)
        restored = command(cluster, "restore", f"{backups['before']}-s1", "--server", "s1", "--give-up", "s2")
        assert restored.returncode == 0, restored.stderr
        cluster.start("s1")
        assert cluster.client().balance(2).balance == 150


@pytest.mark.long
def test_a_server_that_cannot_read_the_view_changes_nothing_and_leads_when_it_is_upgraded(
    before: Path, tmp_path: Path
) -> None:
    """s1, of the release before, is in sync and cannot read what s2 put into the view; s2 dies.

    Did it take over by what it knows, the next view would be without that.
    """
    after = later_version(tmp_path / "later", lanes=4)
    with Cluster(tmp_path, servers=3) as cluster:
        cluster.start_all(tree=before)
        cluster.wait_until_in_sync()
        bank = cluster.client()
        for name in (NAMESERVER, "s2"):
            assert cluster.terminate(name) == 0
            cluster.start(name, tree=after)
            cluster.wait_until_in_sync()
        if cluster.primary() != "s2":
            assert command(cluster, "switchover", "--to", "s2", "--yes", cwd=before).returncode == 0
        assert cluster.terminate("s3") == 0
        bank.withdraw(2, 10)
        assert kept(cluster)["lanes"] == 4
        assert kept(cluster)["in_sync"] == ["s1", "s2"]
        cluster.kill("s2")
        with pytest.raises((InDoubt, Busy, Unreached)):
            cluster.client(timeout=4).balance(2)
        assert kept(cluster)["primary"] == "s2"
        unread = f"it needs bankrmi protocol {NEWEST + 1}, and this process speaks up to"
        cluster.until(lambda: unread in cluster.log("s1"), "s1 says why it does nothing")
        cluster.kill("s1")
        cluster.start("s1", tree=after)
        cluster.until(lambda: kept(cluster)["primary"] == "s1", "s1 leads")
        assert bank.balance(2).balance == 190


@pytest.mark.long
def test_transfers_begin_when_every_server_knows_them_and_then_there_is_no_way_back(
    before: Path, tmp_path: Path
) -> None:
    """V13, with the release before; what only the rules say of it is in tests/replication."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all(tree=before)
        cluster.wait_until_in_sync()
        for name in (NAMESERVER, cluster.standby()):
            assert cluster.terminate(name) == 0
            cluster.start(name)
            cluster.wait_until_in_sync()
        assert command(cluster, "switchover", "--to", cluster.standby(), "--yes").returncode == 0
        cluster.wait_until_in_sync()
        old, bank = cluster.standby(), cluster.client()
        held = [bank.balance(account).balance for account in (1, 2)]
        with pytest.raises(
            InvalidRequest, match=f"{old} speaks bankrmi protocol 1, this needs 2: upgrade it"
        ):
            bank.transfer(1, 2, 10)
        with pytest.raises(InvalidRequest, match="upgrade it first"):
            bank.submit([bankrmi.Withdraw(1, 1), bankrmi.OpenAccount(404)])
        assert [bank.balance(account).balance for account in (1, 2)] == held
        assert cluster.terminate(old) == 0
        cluster.start(old)
        cluster.wait_until_in_sync()
        assert bank.transfer(1, 2, 10).balance == held[0] - 10
        assert cluster.terminate(old) == 0
        cluster.start(old, tree=before, wait=False)
        cluster.until(lambda: not cluster.is_running(old), "the release before does not start")
        assert "of format 3" in cluster.log(old)
        cluster.start(old)
        cluster.wait_until_in_sync()
        assert bank.balance(2).balance == held[1] + 10


def kept(cluster: Cluster) -> dict[str, Any]:
    """Return the view as the witness keeps it, whatever is in it."""
    assert cluster.configuration.witness_address is not None
    asked = (
        cluster.configuration.witness_address,
        "bankrmi.witness",
        "read",
        [cluster.configuration.service],
    )
    return dict(ask_once(*asked, seconds=10))


def shown(name: Path) -> str:
    """Return a file of the release before."""
    wanted = ["git", "show", f"{tagged()}:{name}"]
    return subprocess.run(wanted, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_what_the_release_before_says_is_what_was_recorded_of_it() -> None:
    """A file of a released version is never changed: servers of that version are still out there."""
    newest = int(shown(Path("bankrmi/protocol_versions.py")).partition("\nNEWEST = ")[2].splitlines()[0])
    for version in range(1, newest + 1):
        name = file_of(version).relative_to(ROOT)
        released = subprocess.run(
            ["git", "show", f"{tagged()}:{name}"], cwd=ROOT, capture_output=True, check=True
        )
        assert json.loads(released.stdout) == json.loads(file_of(version).read_text()), f"{name} was released"


def test_the_release_before_is_the_newest_one_in_the_changelog() -> None:
    """Whoever cuts a release says so in `releases.py`, or this version is tried against an old one."""
    text = (ROOT / "CHANGELOG.md").read_text()
    released = [line.split()[1] for line in text.splitlines() if line.startswith("## ") and line[3].isdigit()]
    wanted = released[1] if bankrmi.__version__ == released[0] and len(released) > 1 else released[0]
    assert f"v{wanted}" == releases.RELEASE


def test_what_the_changelog_says_of_the_release_before_is_what_that_came_with() -> None:
    """What was made since is under *Unreleased*: nobody looks for it in what he has."""
    title = f"\n## {releases.RELEASE.removeprefix('v')} - "
    assert (
        (ROOT / "CHANGELOG.md").read_text().partition(title)[2]
        == shown(Path("CHANGELOG.md")).partition(title)[2]
        != ""
    )
