"""`bankrmi init`: what a new bank begins with, and what people get wrong about it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from bankrmi.certificates.known import listed
from bankrmi.cli.main import main
from bankrmi.config import load
from bankrmi.own_credentials import own_credentials

REPOSITORY = Path(__file__).parents[2]
SAMPLES = REPOSITORY / "bankrmi" / "cli" / "samples"


def started(folder: Path, *arguments: str) -> int:
    return main(["init", str(folder), *arguments])


@pytest.mark.parametrize("name", ["config.yaml", "ledger.csv"])
def test_what_comes_with_the_package_is_what_lies_in_the_repository(name: str) -> None:
    assert (SAMPLES / name).read_bytes() == (REPOSITORY / name).read_bytes()


def test_a_bank_on_this_machine_has_certificates_and_the_comments_of_the_sample(tmp_path: Path) -> None:
    folder = tmp_path / "bank"
    assert started(folder) == 0
    configuration = load(folder / "config.yaml", environment={})
    assert dict(configuration.servers) == {"s1": "127.0.0.1:9101", "s2": "127.0.0.1:9102"}
    assert configuration.open_to_strangers() == []
    for role, name in (
        ("server", "s1"),
        ("server", "s2"),
        ("server", "nameserver"),
        ("client", ""),
        ("operator", ""),
    ):
        assert own_credentials(configuration, role, name) is not None
    shipped = (REPOSITORY / "config.yaml").read_text().splitlines()
    written = (folder / "config.yaml").read_text().splitlines()
    different = [line for line, was in zip(written, shipped, strict=True) if line != was]
    assert [line.split("#")[0].strip() for line in different] == ["folder: certificates"]
    assert (folder / "config.yaml").stat().st_mode & 0o077 == 0


def test_what_a_class_begins_with_has_no_ledger_and_names_the_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "inventory"
    assert main(["serve", "shop.inventory:Inventory", "init", str(folder), "--servers", "a=10.0.0.1"]) == 2
    assert main(["serve", "shop.inventory:Inventory", "init", str(folder)]) == 0
    configuration = load(folder / "config.yaml", environment={})
    assert (configuration.serves, configuration.service) == ("shop.inventory:Inventory", "inventory")
    assert not (folder / "ledger.csv").exists()
    assert main(["serve", "shop:Shelf", "init", str(tmp_path / "contained"), "--compose"]) == 2
    assert "--compose writes containers of a bank" in capsys.readouterr().err
    assert "BANKRMI_SERVES" not in os.environ


def test_a_bank_on_three_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        started(
            tmp_path / "bank",
            "--servers",
            "a=10.0.0.1,b=bank.example:7000,c=fd00::3",
            "--witness",
            "10.0.0.9",
        )
        == 0
    )
    configuration = load(tmp_path / "bank" / "config.yaml", environment={})
    assert dict(configuration.servers) == {
        "a": "10.0.0.1:9101",
        "b": "bank.example:7000",
        "c": "[fd00::3]:9101",
    }
    assert configuration.witness == configuration.nameserver == "10.0.0.9:9090"
    told = capsys.readouterr().err
    assert "ca.key stays here" in told
    assert "bankrmi server NAME" in told


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--servers", "s1"], "'s1' is not NAME=HOST: write --servers s1=HOST,s2=HOST"),
        (["--servers", "s1=h1,s1=h2"], "there are two servers called s1"),
        (["--servers", "witness=h1"], "a server cannot be called witness"),
        (["--servers", "s1=h1:99999"], "is not between 1 and 65535"),
        (["--servers", "s1=0.0.0.0,s2=h2", "--witness", "h3"], "not an address that others could call"),
        (["--servers", "s1=10.0.0.1,s2=10.0.0.2"], "the witness would be found by its own machine only"),
        (["--witness", "10.0.0.9"], "s1, s2 would be found by its own machine only"),
        (["--witness", "a b"], "is not an address"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert started(tmp_path / "bank", *arguments) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "bank").exists()


@pytest.mark.parametrize(
    "there", ["config.yaml", "ledger.csv", "certificates", "systemd/bankrmi-server@.service"]
)
def test_nothing_that_is_there_is_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], there: str
) -> None:
    kept = tmp_path / there
    kept.parent.mkdir(exist_ok=True)
    kept.symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))
    assert started(tmp_path, "--systemd") == 2
    assert f"{kept} is there already: nothing was written" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert started(tmp_path / "file" / "bank") == 1
    assert "cannot be written" in capsys.readouterr().err


def test_without_certificates_the_commands_want_insecure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers = ["--servers", "s1=10.0.0.1,s2=10.0.0.2", "--witness", "10.0.0.3"]
    assert started(tmp_path / "bank", "--no-certificates", *servers) == 0
    assert "each command wants --insecure" in capsys.readouterr().err
    assert not (tmp_path / "bank" / "certificates").exists()
    assert started(tmp_path / "units", "--no-certificates", "--systemd", *servers) == 0
    for unit in (tmp_path / "units" / "systemd").iterdir():
        assert " -m bankrmi --insecure --config " in unit.read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("name", ["bank", "a bank at 100 %"])
def test_systemd_takes_the_units(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    assert started(folder, "--systemd") == 0
    units = sorted((folder / "systemd").iterdir())
    assert [unit.name for unit in units] == ["bankrmi-nameserver.service", "bankrmi-server@.service"]
    shutil.copy(units[1], folder / "systemd" / "bankrmi-server@s1.service")
    for unit in (units[0], folder / "systemd" / "bankrmi-server@s1.service"):
        looked = subprocess.run(
            ["systemd-analyze", "verify", "--recursive-errors=no", str(unit)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=os.environ | {"SYSTEMD_LOG_LEVEL": "warning"},
        )
        about = [line for line in (looked.stdout + looked.stderr).splitlines() if "bankrmi" in line]
        assert (looked.returncode, about) == (0, [])
    text = units[0].read_text()
    assert f"{sys.executable} -m bankrmi" in text
    assert "{" not in text


@pytest.mark.parametrize(
    ("options", "insecure"), [((), ""), (("--no-certificates",), " --insecure")], ids=["certificates", "none"]
)
def test_a_compose_file_has_a_service_for_each_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], insecure: str
) -> None:
    assert started(tmp_path / "bank", "--compose", *options) == 0
    assert "copy to each machine" not in capsys.readouterr().err
    text = (tmp_path / "bank" / "compose.yaml").read_text()
    compose = YAML(typ="safe").load(text)
    commands = {name: service["command"] for name, service in compose["services"].items()}
    assert commands == {
        "nameserver": f"bankrmi{insecure} nameserver",
        "s1": f"bankrmi{insecure} server s1",
        "s2": f"bankrmi{insecure} server s2",
    }
    assert f"`docker compose exec nameserver bankrmi{insecure} menu`" in text
    assert {service["user"] for service in compose["services"].values()} == {f"{os.geteuid()}:{os.getegid()}"}
    assert "{" not in text
    configuration = load(tmp_path / "bank" / "config.yaml", environment={}, insecure=bool(insecure))
    assert configuration.servers["s1"] == "s1:9101"
    assert configuration.listens_at("s1") == "0.0.0.0:9101"
    assert configuration.listens_at("nameserver") == configuration.listens_at("witness") == "0.0.0.0:9090"
    # The address of a container that stands still may be lent to another one, which refuses.
    assert not configuration.refused_means_gone
    assert configuration.witness == "nameserver:9090"


@pytest.mark.parametrize(
    ("options", "lost"),
    [
        (("--systemd",), "--systemd would be lost"),
        (("--witness", "10.0.0.9", "--systemd"), "--systemd and --witness would be lost"),
        (("--servers", "s1=10.0.0.1,s2=10.0.0.2"), "--servers with other hosts would be lost"),
    ],
)
def test_what_containers_have_no_use_for_is_refused_and_not_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], lost: str
) -> None:
    assert started(tmp_path / "bank", "--compose", *options) == 2
    assert lost in capsys.readouterr().err
    assert not (tmp_path / "bank").exists()
    assert started(tmp_path / "bank", "--compose", "--servers", "a=a,b=b,c=c") == 0
    assert list(load(tmp_path / "bank" / "config.yaml", environment={}).servers) == ["a", "b", "c"]


def test_each_certificate_is_for_the_address_at_which_its_process_is_found(tmp_path: Path) -> None:
    """Also where each has an address of this machine of its own."""
    folder = tmp_path / "bank"
    assert started(folder, "--servers", "s1=127.0.1.1,s2=localhost", "--witness", "127.0.1.3") == 0
    told = {one.name: one.addresses for one in listed(folder / "certificates") if one.role == "server"}
    assert "127.0.1.1" in told["s1"]
    assert "127.0.1.3" in told["nameserver"]
    assert set(told["s2"]) == {"localhost", "127.0.0.1"}
