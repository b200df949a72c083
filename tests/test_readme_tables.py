"""The tables of README.md, its configurations and what it points to are those of the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard, get_args

import click
import pytest
from pydantic import BaseModel

from bankrmi.cli.exit_codes import ExitCode, HealthCode
from bankrmi.cli.main import commands
from bankrmi.cli.processes import RUNS
from bankrmi.config import ConfigSettings, EtcdSettings, load
from bankrmi.errors import ConfigurationError
from tests.readme_page import ADDRESSES, README, ROOT, blocks_of


def rows_below(heading: str) -> list[list[str]]:
    """Return the cells of the first table after a heading."""
    text = README.partition(f"\n{heading}\n")[2]
    lines = text.partition("\n|")[2].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("| "))] for line in lines[2:]]


def is_model(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def settings_of(kind: type[BaseModel], above: str = "") -> Iterator[tuple[str, str]]:
    for name, field in kind.model_fields.items():
        inner = next(
            (kind for kind in (field.annotation, *get_args(field.annotation)) if is_model(kind)), None
        )
        if inner is not None:
            yield from settings_of(inner, f"{name}.")
        elif above == "certificates." and field.default is None:
            yield f"{above}{name}", "the only one"
        elif name == "witness":
            yield name, "the name server's"
        elif name == "serves":
            yield name, "the accounts of a bank"
        elif name == "servers":
            yield name, "needed, except by clients"
        else:
            default = field.get_default()
            needed = field.is_required()
            shown = str(default).lower() if isinstance(default, bool) else str(default)
            yield f"`{above}{name}`".strip("`"), "needed" if needed else f"`{shown}`"


def test_every_key_of_the_configuration_is_in_the_table_with_its_default() -> None:
    shown = [(row[0].strip("`"), row[1]) for row in rows_below("## Configuration")]
    assert shown == list(settings_of(ConfigSettings))


def test_every_exit_code_is_in_the_table() -> None:
    assert [int(row[0]) for row in rows_below("## Exit codes")] == sorted(map(int, [*ExitCode, *HealthCode]))


def leaves(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{above}{name} ")
        else:
            yield ("server NAME" if name == RUNS else f"{above}{name}"), command


@pytest.mark.parametrize(("name", "command"), list(leaves(commands)))
def test_every_command_is_in_the_table_with_its_options(name: str, command: click.Command) -> None:
    [row] = [row for row in rows_below("## Commands") if re.search(rf"`{name}[ `]", row[0])]
    options = [param for param in command.params if isinstance(param, click.Option) and not param.hidden]
    for option in options:
        assert set(option.opts) & set(re.findall(r"--?[\w-]+", " ".join(row))), option.opts


def test_the_configuration_for_three_machines_works_and_is_guarded(tmp_path: Path) -> None:
    [block, *_] = [block for block in blocks_of(README) if block.language == "yaml"]
    file = tmp_path / "three-machines.yaml"
    file.write_text(block.text)
    assert load(file, insecure=True).witness == "10.0.0.10:9090"
    with pytest.raises(ConfigurationError, match="--insecure"):
        load(file)


def test_the_configuration_with_etcd_works_and_names_every_key_of_it(tmp_path: Path) -> None:
    [_, block, _] = [block for block in blocks_of(README) if block.language == "yaml"]
    file = tmp_path / "with-etcd.yaml"
    file.write_text(block.text)
    etcd = load(file, insecure=True).etcd
    assert etcd is not None
    assert etcd.addresses() == ["10.0.0.10:2379", "10.0.0.11:2379", "10.0.0.12:2379"]
    [row] = [row for row in rows_below("## Configuration") if row[0] == "`witness`"]
    assert all(f"`{key}`" in row[2] for key in EtcdSettings.model_fields)


def test_the_configuration_of_where_processes_listen_is_one(tmp_path: Path) -> None:
    [*_, block] = [block for block in blocks_of(README) if block.language == "yaml"]
    file = tmp_path / "listening.yaml"
    file.write_text(block.text)
    told = load(file, insecure=True)
    assert [told.listens_at(name) for name in ("witness", "s1", "s2")] == [
        "0.0.0.0:9090",
        "0.0.0.0:9101",
        "[::]:9101",
    ]
    file.write_text(block.text.replace("  s1: 0.0", "  # s1: 0.0").replace("# s1: 192", "s1: 192"))
    with pytest.raises(ConfigurationError, match="refused_means_gone must be false"):
        load(file, insecure=True)


def test_the_shipped_configuration_holds_the_defaults() -> None:
    shipped = load(ROOT / "config.yaml")
    needed = {name: getattr(shipped, name) for name in ("nameserver", "servers")}
    assert ConfigSettings(**needed).model_dump(exclude={"ledger", "data_dir"}) == shipped.model_dump(
        exclude={"path", "insecure", "ledger", "data_dir"}
    )
    assert list(load(ROOT / "config.yaml").servers.values()) == list(ADDRESSES[1:])


def test_what_the_page_points_to_is_there() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), target
