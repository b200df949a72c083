"""The command that writes all that a new bank needs.

Rule: all or nothing, as far as that can be: what is there already is found before anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TextIO

import click

from bankrmi.cli.invocation import class_by_variable, say, tell
from bankrmi.cli.new_bank import CERTIFICATES, NewBank, conflicts, read_address, read_servers
from bankrmi.cli.written_files import write_file
from bankrmi.config_settings import is_loopback
from bankrmi.errors import ConfigurationError, OperationFailed

__all__ = ["COMMANDS", "write_texts"]

_DAYS, _AUTHORITY_DAYS = 365, 3650
_CLIENT, _OPERATOR = "teller", "operator"


@click.command()
@click.argument("folder", metavar="[FOLDER]", type=click.Path(path_type=Path), default=Path())
@click.option(
    "--servers",
    metavar="NAME=HOST[:PORT],...",
    help="The servers, one machine each; else two on this machine.",
)
@click.option(
    "--witness",
    metavar="HOST[:PORT]",
    help="The machine of the name server and the witness: a third one; else this one.",
)
@click.option("--no-certificates", is_flag=True, help="Let everybody in who can reach it.")
@click.option("--systemd", is_flag=True, help="Write unit files as well.")
@click.option("--compose", is_flag=True, help="Write a file for `docker compose`, and addresses that fit it.")
def init(
    folder: Path,
    servers: str | None,
    witness: str | None,
    no_certificates: bool,
    systemd: bool,
    compose: bool,
) -> None:
    """Write what a new bank begins with: configuration, ledger, certificates; then `bankrmi up`.

    Nothing that is there already is changed.
    """
    bank = NewBank(
        servers=read_servers(servers),
        witness=read_address(witness or "127.0.0.1"),
        certificates=not no_certificates,
        serves=class_by_variable(),
    )
    if compose and bank.serves is not None:
        raise ConfigurationError("--compose writes containers of a bank, in which there is no class of yours")
    if compose:
        contained = bank.in_containers()
        asked = {"--systemd": systemd, "--witness": witness is not None}
        asked["--servers with other hosts"] = servers is not None and bank.servers != contained.servers
        if lost := [option for option, is_given in asked.items() if is_given]:
            raise click.UsageError(
                f"with --compose each process has a container, which the others find by its name: "
                f"{' and '.join(lost)} would be lost; more servers are --servers s1=s1,s2=s2,s3=s3"
            )
        bank = contained
    texts = bank.texts()
    if systemd:
        texts |= bank.units(folder.absolute())
    if compose:
        texts |= bank.compose()
    _check_nothing_is_there(folder, [*texts, *([CERTIFICATES] if bank.certificates else [])])
    _check_reachable(bank)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if bank.certificates:
            _issue(bank, folder / CERTIFICATES)
        write_texts(folder, texts)
    except OSError as error:
        raise OperationFailed(f"{error.filename or folder} cannot be written: {error.strerror}") from error
    _tell(bank, folder, list(texts))


def _check_nothing_is_there(folder: Path, names: list[str]) -> None:
    there = conflicts(folder, names)
    if there:
        raise ConfigurationError(
            f"{', '.join(map(str, there))} {'is' if len(there) == 1 else 'are'} there already: nothing was "
            "written; name another folder, or move what is there away"
        )


def _check_reachable(bank: NewBank) -> None:
    """A server on another machine cannot find a witness that is its own machine's loopback."""
    addresses = {"the witness": bank.witness, **bank.servers}
    near = [name for name, address in addresses.items() if is_loopback(address)]
    if near and len(near) < len(addresses):
        raise ConfigurationError(
            f"{', '.join(near)} would be found by its own machine only, and the others are on other ones: "
            "write addresses that all of them reach (--servers, --witness)"
        )


def _issue(bank: NewBank, folder: Path) -> None:
    from bankrmi.certificates.authority import create, create_authority

    create_authority(folder, days=_AUTHORITY_DAYS)
    for name, hosts in bank.hosts().items():
        create(folder, "server", name, days=_DAYS, addresses=hosts)
    create(folder, "client", _CLIENT, days=_DAYS)
    create(folder, "operator", _OPERATOR, days=_DAYS)


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    """Write the files of a new bank into `folder`; raises OSError."""
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        write_file(folder / name, partial(_write, text))


def _write(text: str, stream: TextIO) -> None:
    stream.write(text)


def _tell(bank: NewBank, folder: Path, names: list[str]) -> None:
    for name in [*names, *([f"{CERTIFICATES}/"] if bank.certificates else [])]:
        tell(str(folder / name))
    if bank.needs_insecure:
        say("nobody has to prove who he is: each command wants --insecure")
    if bank.certificates and not (bank.is_on_one_machine or bank.contained):
        content = "ledger.csv" if bank.serves is None else f"the module of {bank.serves}"
        say(
            f"copy to each machine config.yaml, {content}, and of {CERTIFICATES}/ ca.pem and its own .pem "
            "and .key (and revoked.txt, once there is one); ca.key stays here"
        )
    if any(name.startswith("systemd/") for name in names):
        say("systemctl needs the units in /etc/systemd/system, and the user that they name")
    say("the next step: docker compose up" if "compose.yaml" in names else _next_step(bank, folder))


def _next_step(bank: NewBank, folder: Path) -> str:
    where = "" if folder == Path() else f"cd {folder} && "
    if bank.is_on_one_machine:
        return f"the next step: {where}bankrmi up"
    return "the next step, each on its machine: bankrmi nameserver, and bankrmi server NAME"


COMMANDS = (init,)
