"""What pages show as a configuration is one, and what the reference is made of says what it means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bankrmi.cli.main import commands
from bankrmi.config import ConfigSettings, EtcdSettings, load
from bankrmi.errors import ConfigurationError
from tests.pages import ADDRESSES, ROOT, blocks_of, page_text


def the_configuration_in(name: str) -> str:
    """Return the one block of a page that is a file of YAML."""
    [block] = [block for block in blocks_of(page_text(name)) if block.language == "yaml"]
    return block.text


def leaves(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


@pytest.mark.parametrize(("name", "command"), list(leaves(commands)))
def test_every_command_and_every_option_says_what_it_does(name: str, command: click.Command) -> None:
    """The reference, the manual pages and `--help` are made of that."""
    assert command.help, name
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.help, option.opts


def test_the_configuration_for_three_machines_works_and_is_guarded(tmp_path: Path) -> None:
    file = tmp_path / "three-machines.yaml"
    file.write_text(the_configuration_in("docs/tutorial/three-machines.md"))
    assert load(file, insecure=True).witness == "10.0.0.10:9090"
    with pytest.raises(ConfigurationError, match="--insecure"):
        load(file)


def test_the_configuration_with_etcd_works_and_names_every_key_of_it(tmp_path: Path) -> None:
    shown = the_configuration_in("docs/how-to/etcd.md")
    file = tmp_path / "with-etcd.yaml"
    file.write_text(shown)
    etcd = load(file, insecure=True).etcd
    assert etcd is not None
    assert etcd.addresses() == ["10.0.0.10:2379", "10.0.0.11:2379", "10.0.0.12:2379"]
    left_out = {"password": "password_file", "prefix": "`prefix`"}
    for key in EtcdSettings.model_fields:
        assert f"  {key}:" in shown or left_out[key] in page_text("docs/how-to/etcd.md"), key


def test_the_configuration_of_where_processes_listen_is_one(tmp_path: Path) -> None:
    shown = the_configuration_in("docs/how-to/listen-elsewhere.md")
    file = tmp_path / "listening.yaml"
    file.write_text(shown)
    told = load(file, insecure=True)
    assert [told.listens_at(name) for name in ("witness", "s1", "s2")] == [
        "0.0.0.0:9090",
        "0.0.0.0:9101",
        "[::]:9101",
    ]
    file.write_text(shown.replace("  s1: 0.0", "  # s1: 0.0").replace("# s1: 192", "s1: 192"))
    with pytest.raises(ConfigurationError, match="refused_means_gone must be false"):
        load(file, insecure=True)


def test_the_shipped_configuration_holds_the_defaults() -> None:
    shipped = load(ROOT / "config.yaml")
    needed = {name: getattr(shipped, name) for name in ("nameserver", "servers")}
    assert ConfigSettings(**needed).model_dump(exclude={"ledger", "data_dir"}) == shipped.model_dump(
        exclude={"path", "insecure", "relayed", "ledger", "data_dir"}
    )
    assert list(load(ROOT / "config.yaml").servers.values()) == list(ADDRESSES[1:])
