"""`bankrmi cert`, as a person calls it: what it says, where, its exit code, and what is in the folder."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest

from bankrmi.certificates import Credentials, authority
from bankrmi.cli.main import main
from bankrmi.errors import OperationFailed
from tests import warm

DAY = r"\d{4}-\d\d-\d\d"
CONFIG = """\
nameserver: 10.0.0.10:9090
witness: 10.0.0.13:9091
servers: {s1: "10.0.0.11:9101", s2: "bank-2.example.org:9101"}
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def cert(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run one command as a process."""
    return warm.run(["cert", *arguments], typed=typed, timeout=60)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    """Return the one sentence that a command ends with."""
    capsys.readouterr()
    assert main(["cert", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.strip()


def test_a_bank_gets_its_certificates_and_they_can_be_used(tmp_path: Path) -> None:
    made = [
        cert("create-ca"),
        cert("create-server", "s1", "--address", "10.0.0.11"),
        cert("create-server", "nameserver", "--address", "10.0.0.10,ns.example.org"),
        cert("create-client", "anna", "--days", "30"),
        cert("create-operator", "olga"),
    ]
    assert [one.returncode for one in made] == [0] * 5
    for one, said in zip(
        made,
        [
            rf"made certificates/ca\.pem and ca\.key: the bank's authority, until {DAY}",
            rf"made certificates/server-s1\.pem and server-s1\.key: server s1 at 10\.0\.0\.11, until {DAY}",
            rf"made certificates/server-nameserver\.pem and .*: server nameserver at .*, until {DAY}",
            rf"made certificates/client-anna\.pem and client-anna\.key: client anna, until {DAY}",
            rf"made certificates/operator-olga\.pem and operator-olga\.key: operator olga, until {DAY}",
        ],
        strict=True,
    ):
        assert re.fullmatch(said, one.stdout.strip())
    for role, name in (("server", "s1"), ("server", "nameserver"), ("client", ""), ("operator", "")):
        Credentials.of(tmp_path / "certificates", role, name)


def test_what_is_done_with_the_authority_is_on_record_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """When, who, and what; what is refused before anything is done is not."""
    assert main(["cert", "create-ca"]) == 0
    assert main(["cert", "create-server", "s1", "--address", "10.0.0.11"]) == 0
    assert main(["cert", "create-operator", "olga"]) == 0
    assert "is there already" in refused(capsys, "create-operator", "olga")
    assert main(["cert", "create-operator", "olga", "--overwrite"]) == 0
    assert main(["cert", "renew", "s1", "--days", "9"]) == 0
    assert main(["cert", "revoke", "olga", "--yes"]) == 0
    assert main(["cert", "renew", "ca"]) == 0
    file = tmp_path / "certificates" / "audit.txt"
    assert file.stat().st_mode & 0o777 == 0o600
    heading, *lines = file.read_text().splitlines()
    assert heading.startswith("# ")
    begins = rf"{DAY}T\d\d:\d\d:\d\dZ \S+@\S+"
    serial = r"serial [0-9a-f]+"
    wanted = [
        rf"create the authority, until {DAY}",
        rf"create server s1 at 10\.0\.0\.11, {serial}, until {DAY}",
        rf"create operator olga, {serial}, until {DAY}",
        rf"create operator olga, {serial}, until {DAY}, in the place of the one before",
        rf"renew server s1 at 10\.0\.0\.11, {serial}, until {DAY}",
        rf"revoke operator olga, {serial}, until {DAY}",
        rf"revoke operator olga, {serial}, until {DAY}",
        rf"renew the authority, until {DAY}",
    ]
    assert len(lines) == len(wanted)
    for line, what in zip(lines, wanted, strict=True):
        assert re.fullmatch(f"{begins} {what}", line), line


def test_what_cannot_be_noted_is_not_done_and_what_failed_is_noted_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["cert", "create-ca"])
    file = tmp_path / "certificates" / "audit.txt"

    def full(*_: object, **__: object) -> None:
        raise OperationFailed("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(authority, "write_files", full)
        assert "the disk is full" in refused(capsys, "create-client", "anna", code=1)
    *_, tried, failed = file.read_text().splitlines()
    assert " create client anna, serial " in tried
    assert failed.partition(" not done: ")[2] == f"create{tried.partition(' create')[2]}"
    file.rename(tmp_path / "kept")
    file.symlink_to(tmp_path / "kept")
    assert "nothing is done that is not noted there" in refused(capsys, "create-client", "berta", code=1)
    assert not (tmp_path / "certificates" / "client-berta.pem").exists()


def test_mistakes_before_there_is_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no folder certificates with certificates: `bankrmi cert create-ca`" in refused(
        capsys, "create-client", "anna"
    )
    for command in (["list"], ["renew", "s1"], ["revoke", "s1", "--yes"]):
        assert refused(capsys, *command)
    assert "is not a folder" in refused(capsys, "list", "--folder", "/dev/null")
    (tmp_path / "file").touch()
    assert "file cannot be made: " in refused(capsys, "create-ca", "--folder", "file", code=1)
    assert "0 is not in the range" in refused(capsys, "create-ca", "--days", "0")
    assert "36501 is not in the range" in refused(capsys, "create-ca", "--days", "36501")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file"]


def test_mistakes_with_names_and_addresses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["cert", "create-ca"])
    before = sorted((tmp_path / "certificates").iterdir())
    for name in ("a b", "../x", "", "ä", "a" * 65, "a\nb"):
        assert "is not a name" in refused(capsys, "create-client", "--", name)
    assert "is not a name" in refused(capsys, "create-operator", "--", "-x")
    assert "the witness has no certificate of its own" in refused(capsys, "create-server", "witness")
    assert "cannot be called log" in refused(capsys, "create-server", "log", "--address", "h")
    assert "say --address HOST" in refused(capsys, "create-server", "s1")
    assert "leave the port out, like 10.0.0.1" in refused(
        capsys, "create-server", "s1", "--address", "10.0.0.1:9101"
    )
    assert sorted((tmp_path / "certificates").iterdir()) == before


def test_a_server_is_where_the_configuration_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    assert main(["cert", "create-ca"]) == 0
    for name in ("s1", "s2", "nameserver"):
        assert main(["cert", "create-server", name]) == 0
    said = capsys.readouterr().out
    assert "server s1 at 10.0.0.11, until" in said
    assert "server s2 at bank-2.example.org, until" in said
    assert "server nameserver at 10.0.0.10, 10.0.0.13, until" in said
    sentence = refused(capsys, "create-server", "s3")
    assert "say --address HOST, at which others reach s3: " in sentence
    assert "config.yaml has no server s3" in sentence


def test_the_folder_is_that_of_the_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf").mkdir()
    file = tmp_path / "conf/bank.yaml"
    file.write_text(CONFIG)
    assert main(["--config", str(file), "cert", "create-ca"]) == 0
    assert (tmp_path / "conf/certificates/ca.key").exists(), "beside the configuration"
    file.write_text(CONFIG + "certificates: {folder: keys}\n")
    assert main(["--config", str(file), "cert", "create-ca"]) == 0
    assert (tmp_path / "conf/keys/ca.key").exists()
    assert main(["--config", str(file), "cert", "create-ca", "--folder", str(tmp_path / "own")]) == 0
    assert (tmp_path / "own/ca.key").exists()
    capsys.readouterr()
    assert main(["--config", str(tmp_path / "none.yaml"), "cert", "list"]) == 2
    assert "there is no configuration" in capsys.readouterr().err
    with monkeypatch.context() as environment:
        environment.setenv("BANKRMI_CONFIG", str(tmp_path / "none.yaml"))
        assert "there is no configuration" in refused(capsys, "create-ca")
    (tmp_path / "config.yaml").write_text("lease: 3\n")
    assert "unknown key 'lease'" in refused(capsys, "list")


def test_the_list_for_people_and_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["cert", "create-ca"])
    main(["cert", "create-server", "s1", "--address", "10.0.0.11"])
    main(["cert", "create-client", "anna"])
    (tmp_path / "certificates/client-anna.key").chmod(0o644)
    (tmp_path / "certificates/client-\x1b[2J.pem").touch()
    (tmp_path / "certificates/client-bob.pem").write_text("half")
    capsys.readouterr()
    assert main(["cert", "list"]) == 0
    heading, authority, server, anna, bob, *sentences = capsys.readouterr().out.splitlines()
    assert heading.split() == ["role", "name", "until", "days", "state", "key", "addresses", "serial"]
    assert re.fullmatch(rf"authority +[0-9a-f]{{16}} +{DAY} +3650 +valid +here +- +[0-9a-f]+", authority)
    assert re.fullmatch(rf"server +s1 +{DAY} +365 +valid +here +10\.0\.0\.11 +[0-9a-f]+", server)
    assert re.fullmatch(rf"client +anna +{DAY} +365 +valid +wrong +- +[0-9a-f]+", anna)
    assert bob.split() == ["client", "bob", "-", "-", "broken", "-", "-", "-"]
    assert [sentence.partition(" ")[0] for sentence in sentences] == [
        "certificates/client-anna.key",
        "certificates/client-bob.pem",
    ]
    assert main(["cert", "list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == "certificates"
    row = found["certificates"][1]
    assert (row["role"], row["name"], row["state"], row["key"]) == ("server", "s1", "valid", "here")
    assert (row["addresses"], row["days_left"]) == (["10.0.0.11"], 365)
    assert Credentials.of(tmp_path / "certificates", "server", "s1").own.serial == int(row["serial"], 16)


def test_renewing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["cert", "create-ca"])
    main(["cert", "create-server", "s1", "--address", "10.0.0.11", "--days", "3"])
    server = Credentials.of(tmp_path / "certificates", "server", "s1")
    capsys.readouterr()
    assert main(["cert", "renew", "s1"]) == 0
    assert re.fullmatch(
        rf"renewed certificates/server-s1\.pem: server s1, until {DAY}\n", capsys.readouterr().out
    )
    assert server.look()
    assert server.days_left > 364
    assert main(["cert", "renew", "ca", "--days", "4000"]) == 0
    assert main(["cert", "renew", "server-s1", "--days", "3999", "--address", "s1.example.org"]) == 0
    assert "has no certificate of 's2': there are server-s1" in refused(capsys, "renew", "s2")
    assert "the authority has no addresses" in refused(capsys, "renew", "ca", "--address", "h")
    main(["cert", "create-client", "anna"])
    assert "client anna has no addresses" in refused(capsys, "renew", "anna", "--address", "h")
    (tmp_path / "certificates/ca.key").rename(tmp_path / "ca.key")
    for command in (["create-client", "bob"], ["renew", "anna"], ["renew", "ca"]):
        assert "ca.key is missing, the authority's key" in refused(capsys, *command)


def test_revoking_is_asked_for_and_told_what_has_to_be_done(tmp_path: Path) -> None:
    for command in (["create-ca"], ["create-client", "anna"], ["create-operator", "anna"]):
        assert cert(*command).returncode == 0
    server = cert("create-server", "s1", "--address", "h")
    assert server.returncode == 0
    folder = tmp_path / "certificates"
    watching, anna = Credentials.of(folder, "server", "s1"), Credentials.of(folder, "client", "anna").own

    unclear = cert("revoke", "anna", "--yes")
    assert (unclear.returncode, unclear.stdout) == (2, "")
    assert "more than one is called anna in certificates: say which of client-anna, oper" in unclear.stderr
    unasked = cert("revoke", "client-anna", typed="y\n")
    assert unasked.returncode == 2
    assert "say --yes: there is no terminal to ask on" in unasked.stderr
    assert not (folder / "revoked.txt").exists()

    done = cert("revoke", "client-anna", "--yes")
    assert (done.returncode, done.stdout) == (0, "revoked: client anna, in certificates/revoked.txt\n")
    assert "copy revoked.txt to the folder of certificates on every machine" in done.stderr
    assert watching.look()
    assert watching.is_revoked(anna.serial)
    again = cert("revoke", "client-anna", "--yes")
    assert (again.returncode, again.stdout) == (0, "")
    assert "is revoked already, or has ended" in again.stderr
    assert "the authority cannot be revoked" in cert("revoke", "ca", "--yes").stderr


def test_a_person_is_asked_before_anything_is_revoked(tmp_path: Path) -> None:
    for command in (["create-ca"], ["create-client", "anna"]):
        cert(*command)
    for answer, code in (("n", 1), ("y", 0)):
        terminal = warm.terminal(["cert", "revoke", "anna"], timeout=60, cwd=tmp_path)
        terminal.expect(r"client anna, [0-9a-f]+, until \d{4}-")
        terminal.expect("for ever")
        assert not (tmp_path / "certificates/revoked.txt").exists()
        terminal.sendline(answer)
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == code
    assert (tmp_path / "certificates/revoked.txt").exists()


def test_a_crowd_of_commands_makes_each_certificate_once(tmp_path: Path) -> None:
    """At the same time for the same name, and for others: one wins, all others say why, none is half."""
    cert("create-ca")
    command = [sys.executable, "-m", "bankrmi", "cert", "create-client"]
    running = [
        warm.Popen([*command, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for name in ["anna"] * 4 + ["bob", "cleo"]
    ]
    ended = [(process.communicate(timeout=60), process.returncode) for process in running]
    for (_, said), code in ended:
        assert code == 0 or "is there already" in said or "another `bankrmi cert` is at work" in said
    folder = tmp_path / "certificates"
    made = [file.stem for file in folder.glob("client-*.pem")]
    assert sum(code == 0 for _, code in ended) == len(made) >= 1
    for stem in made:
        Credentials.of(folder, "client", stem.removeprefix("client-"))
    assert len((folder / "issued.txt").read_text().splitlines()) == 1 + len(made)


def test_a_command_that_is_killed_leaves_nothing_that_cannot_be_healed(tmp_path: Path) -> None:
    """Whenever it dies: no half file, and with --overwrite it is done after all."""
    cert("create-ca")
    cert("create-client", "anna")
    folder = tmp_path / "certificates"
    command = ["cert", "create-client", "anna", "--overwrite"]
    null = subprocess.DEVNULL
    for delay_ms in range(0, 60, 12):
        before = (folder / "issued.txt").stat().st_mtime_ns
        process = warm.start(command, stdin=null, stdout=null, stderr=null)
        deadline = time.monotonic() + 30
        while process.poll() is None and (folder / "issued.txt").stat().st_mtime_ns == before:
            assert time.monotonic() < deadline
        _busy_for(delay_ms / 10)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        for file in folder.iterdir():
            assert file.suffix == ".tmp" or file.stat().st_size > 0
    assert cert("create-client", "anna", "--overwrite").returncode == 0
    Credentials.of(folder, "client", "anna")


def _busy_for(milliseconds: float) -> None:
    """Let a little time pass in which the process gets on; how far does not matter."""
    end = time.monotonic() + milliseconds / 1000
    while time.monotonic() < end:
        os.getpid()


def test_a_client_that_only_looks_loads_no_cryptography() -> None:
    """Commands that need no certificates start as fast as before."""
    code = "import sys; from bankrmi.cli.main import commands; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
