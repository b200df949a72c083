"""Commands on certificates: the bank's own authority, and all that it issues, renews and takes back.

Rule 1: nothing is replaced and nothing is revoked unless that is asked for.
Rule 2: what has to be copied where is said, for a key that lies in the wrong place is a way in.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bankrmi import config
from bankrmi.cli.cert_list import shown_as_json, shown_as_table
from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.invocation import Invocation, confirm, say, show_json, tell
from bankrmi.config import CertificateSettings, Configuration, configuration_file, split_address
from bankrmi.config_settings import checked_server_name
from bankrmi.errors import ConfigurationError

if TYPE_CHECKING:
    from bankrmi.certificates.authority import Made

__all__ = ["COMMANDS"]

_Command = Callable[..., Any]

_AUTHORITY_DAYS, _DAYS, _DAYS_AT_MOST = 3650, 365, 36_500
_NAMESERVER = "nameserver"


def _folder_option(command: _Command) -> _Command:
    return click.option(
        "--folder",
        metavar="PATH",
        type=click.Path(path_type=Path),
        help="Where the certificates are; else what the configuration says, else `certificates` beside it.",
    )(command)


def _days_option(default: int) -> Callable[[_Command], _Command]:
    return click.option(
        "--days",
        metavar="N",
        type=click.IntRange(1, _DAYS_AT_MOST),
        default=default,
        show_default=True,
        help="How long it counts.",
    )


def _address_option(command: _Command) -> _Command:
    return click.option(
        "--address",
        metavar="HOST[,HOST...]",
        help="Names and IP addresses at which others reach it, without a port.",
    )(command)


def _overwrite_option(command: _Command) -> _Command:
    return click.option(
        "--overwrite", is_flag=True, help="Replace what there is; it counts until it is revoked."
    )(command)


@click.group()
def cert() -> None:
    """Certificates: who may call, who is a server, and who is an operator.

    Make them in one place, which keeps ca.key; copy to each machine ca.pem, revoked.txt, and the certificates
    and keys of those who are on it.
    """


@cert.command("create-ca")
@_days_option(_AUTHORITY_DAYS)
@_folder_option
@click.pass_obj
def create_ca(invocation: Invocation, days: int, folder: Path | None) -> None:
    """Make the bank's authority, which issues all its certificates."""
    from bankrmi.certificates import authority

    made = authority.create_authority(_folder(invocation, folder), days=days)
    _tell(made, "the bank's authority")
    say(f"whoever has {made.files.key.name} can call himself anybody: keep it off the machines of the bank")


@cert.command("create-server")
@click.argument("name", metavar="NAME")
@_address_option
@_days_option(_DAYS)
@_overwrite_option
@_folder_option
@click.pass_obj
def create_server(
    invocation: Invocation, name: str, address: str | None, days: int, overwrite: bool, folder: Path | None
) -> None:
    """Make the certificate of server NAME; `nameserver` is the process of name server and witness.

    Without --address, the host is taken that the configuration has for it.
    """
    _check_server_name(name)
    hosts = _hosts(invocation, name, address)
    _create(invocation, folder, "server", name, days=days, overwrite=overwrite, addresses=hosts)


@cert.command("create-client")
@click.argument("name", metavar="NAME")
@_days_option(_DAYS)
@_overwrite_option
@_folder_option
@click.pass_obj
def create_client(invocation: Invocation, name: str, days: int, overwrite: bool, folder: Path | None) -> None:
    """Make the certificate of client NAME, who may call accounts."""
    _create(invocation, folder, "client", name, days=days, overwrite=overwrite)


@cert.command("create-operator")
@click.argument("name", metavar="NAME")
@_days_option(_DAYS)
@_overwrite_option
@_folder_option
@click.pass_obj
def create_operator(
    invocation: Invocation, name: str, days: int, overwrite: bool, folder: Path | None
) -> None:
    """Make the certificate of operator NAME, who may hand over, export and restore."""
    _create(invocation, folder, "operator", name, days=days, overwrite=overwrite)


@cert.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--all", "with_earlier", is_flag=True, help="Also what was issued before a renewal.")
@_folder_option
@click.pass_obj
def list_all(invocation: Invocation, as_json: bool, with_earlier: bool, folder: Path | None) -> None:
    """List the certificates in the folder: whose, until when, and whether they count."""
    from bankrmi.certificates.known import listed

    place = _folder(invocation, folder)
    rows = listed(place, with_earlier=with_earlier)
    if as_json:
        show_json(shown_as_json(place, rows))
    else:
        for line in shown_as_table(rows):
            tell(line)


@cert.command()
@click.argument("name", metavar="NAME")
@_address_option
@click.option(
    "--days",
    metavar="N",
    type=click.IntRange(1, _DAYS_AT_MOST),
    help=f"How long it counts from now on; {_DAYS}, and {_AUTHORITY_DAYS} for the authority.",
)
@_folder_option
@click.pass_obj
def renew(
    invocation: Invocation, name: str, address: str | None, days: int | None, folder: Path | None
) -> None:
    """Issue the certificate of NAME again with another end; its key stays as it is.

    NAME is a name, or role and name, like server-s1; `ca` is the authority itself. Only the certificate has
    to be copied then; a process that runs takes it without a restart.
    """
    from bankrmi.certificates import authority, forms, known

    place = _folder(invocation, folder)
    holder = known.holder_called(place, name)
    hosts = forms.checked_addresses(address) if address is not None else ()
    if holder is not None:
        made = authority.renew(place, *holder, days=days or _DAYS, addresses=hosts)
        _tell(made, str(made.holder), what="renewed")
        return
    if hosts:
        raise click.UsageError("the authority has no addresses")
    made = authority.renew_authority(place, days=days or _AUTHORITY_DAYS)
    _tell(made, "the bank's authority", what="renewed")
    say(f"copy {made.files.certificate.name} to every machine before the old one ends")


@cert.command()
@click.argument("name", metavar="NAME")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_folder_option
@click.pass_obj
def revoke(invocation: Invocation, name: str, yes: bool, folder: Path | None) -> ExitCode:
    """Let every certificate that NAME was ever issued count for nothing from now on.

    NAME is a name, or role and name, like client-anna. The list, revoked.txt, has to be copied to every
    machine; a process that runs reads it anew within seconds, and cuts off whoever is on it.
    """
    from bankrmi.certificates import authority, known
    from bankrmi.certificates.identity import in_hex

    place = _folder(invocation, folder)
    holder = known.holder_called(place, name)
    if holder is None:
        raise ConfigurationError(
            "the authority cannot be revoked: make another in a new folder, and all certificates with it"
        )
    found = authority.revocable(place, *holder)
    if not found:
        say(f"every certificate of {' '.join(holder)} is revoked already, or has ended")
        return ExitCode.DONE
    say("\n".join(f"{each}, {in_hex(each.serial)}, until {each.not_after:%Y-%m-%d}" for each in found))
    confirm("Let these count for nothing, for ever?", yes=yes)
    file = authority.revoke(place, found)
    tell(f"revoked: {' '.join(holder)}, in {file}")
    say(f"copy {file.name} to the folder of certificates on every machine of the bank")
    return ExitCode.DONE


def _create(
    invocation: Invocation,
    folder: Path | None,
    role: str,
    name: str,
    *,
    days: int,
    overwrite: bool,
    addresses: tuple[str, ...] = (),
) -> None:
    from bankrmi.certificates import authority
    from bankrmi.certificates.identity import LONGEST_NAME, is_name

    if not is_name(name):
        raise ConfigurationError(
            f"{name!r:.80} is not a name: letters, digits, - (not first) and _, at most {LONGEST_NAME}"
        )
    place = _folder(invocation, folder)
    made = authority.create(place, role, name, days=days, addresses=addresses, overwrite=overwrite)
    at = f" at {', '.join(addresses)}" if addresses else ""
    _tell(made, f"{role} {name}{at}")


def _tell(made: Made, whose: str, what: str = "made") -> None:
    files = made.files
    written = f"{files.certificate} and {files.key.name}" if what == "made" else str(files.certificate)
    tell(f"{what} {written}: {whose}, until {made.ends:%Y-%m-%d}")


def _folder(invocation: Invocation, given: Path | None) -> Path:
    if given is not None:
        return given
    configuration = _configuration(invocation)
    if configuration is not None and configuration.certificates is not None:
        return configuration.certificates.folder
    return configuration_file(invocation.path).parent / CertificateSettings().folder


def _configuration(invocation: Invocation) -> Configuration | None:
    """Return the configuration; None if there is none yet, and none was named: certificates come first."""
    file = configuration_file(invocation.path)
    named = invocation.path is not None or file != Path("config.yaml")
    if not named and not file.exists():
        return None
    return config.load(file, insecure=True)  # Nobody is called.


def _check_server_name(name: str) -> None:
    if name == _NAMESERVER:
        return
    if name == "witness":
        raise ConfigurationError(
            "the witness has no certificate of its own: it is in the process of the name server, for which "
            f"there is `bankrmi cert create-server {_NAMESERVER}`"
        )
    try:
        checked_server_name(name)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def _hosts(invocation: Invocation, name: str, written: str | None) -> tuple[str, ...]:
    """Return the hosts of a server: those that were written, else those of the configuration."""
    from bankrmi.certificates.forms import checked_addresses

    if written is not None:
        return checked_addresses(written)
    configuration = _configuration(invocation)
    addresses = [] if configuration is None else [configuration.servers.get(name)]
    if configuration is not None and name == _NAMESERVER:
        addresses = [configuration.nameserver, configuration.witness_address]
    hosts = [split_address(address)[0] for address in addresses if address]
    if not hosts:
        where = f"{configuration.path} has no server {name}" if configuration else "there is no configuration"
        raise click.UsageError(f"say --address HOST, at which others reach {name}: {where}")
    return checked_addresses(",".join(hosts))


COMMANDS = (cert,)
