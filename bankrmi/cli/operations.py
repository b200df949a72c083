"""Commands on accounts: one operation each, what became of one, and the ledger as it is now."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from bankrmi.bank.ledger_file import write_ledger
from bankrmi.bank.operations import LARGEST, Receipt, check_account, check_amount, parse_request_id
from bankrmi.cli.interruption import under_way
from bankrmi.cli.invocation import Invocation, check_server_now, complete_server, say, show_json, tell
from bankrmi.cli.sentences import lines_of, result_of, sentence_of
from bankrmi.cli.written_files import write_file
from bankrmi.cli.written_numbers import RealRange, whole_number
from bankrmi.errors import AccountNotFound, Cancelled, InvalidRequest, Refused, ServiceError
from bankrmi.foreign_text import foreign
from bankrmi.written_over import WrittenOver

if TYPE_CHECKING:
    from bankrmi.config import Configuration

__all__ = ["COMMANDS"]

_PROGRESS_EVERY_S = 0.2

_Command = Callable[..., Any]

# `withdraw 2 -5` is refused for its amount, not for an option -5 that does not exist.
_NEGATIVE_NUMBERS = {"ignore_unknown_options": True}


def _json_option(command: _Command) -> _Command:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(command)


def _timeout_option(command: _Command) -> _Command:
    return click.option(
        "--timeout",
        metavar="SECONDS",
        type=RealRange(min=0, min_open=True, max=3600),
        help="When to give up; else the client's timeout_ms of the configuration.",
    )(command)


def _request_id_option(command: _Command) -> _Command:
    return click.option(
        "--request-id",
        metavar="SESSION:SEQ",
        help="Makes it safe to run the same command again: what was done is not done twice.",
    )(command)


@click.command(context_settings=_NEGATIVE_NUMBERS)
@click.argument("account", metavar="ID")
@_json_option
@_timeout_option
@click.pass_obj
def balance(invocation: Invocation, account: str, as_json: bool, timeout: float | None) -> None:
    """Look up the balance of account ID."""
    number = check_account(whole_number(account))
    with invocation.connect(timeout=timeout) as bank:
        _show(bank.balance(number), as_json=as_json)


@click.command(context_settings=_NEGATIVE_NUMBERS)
@click.argument("account", metavar="ID")
@click.argument("amount")
@_request_id_option
@_json_option
@_timeout_option
@click.pass_obj
def withdraw(
    invocation: Invocation,
    account: str,
    amount: str,
    request_id: str | None,
    as_json: bool,
    timeout: float | None,
) -> None:
    """Take AMOUNT off account ID, unless it exceeds the balance."""
    numbers = check_account(whole_number(account)), check_amount(whole_number(amount))
    with invocation.connect(timeout=timeout) as bank:
        _show(bank.withdraw(*numbers, request_id=request_id), as_json=as_json)


@click.command(context_settings=_NEGATIVE_NUMBERS)
@click.argument("account", metavar="ID")
@click.argument("amount")
@_request_id_option
@_json_option
@_timeout_option
@click.pass_obj
def deposit(
    invocation: Invocation,
    account: str,
    amount: str,
    request_id: str | None,
    as_json: bool,
    timeout: float | None,
) -> None:
    """Put AMOUNT on account ID."""
    numbers = check_account(whole_number(account)), check_amount(whole_number(amount))
    with invocation.connect(timeout=timeout) as bank:
        _show(bank.deposit(*numbers, request_id=request_id), as_json=as_json)


@click.command(context_settings=_NEGATIVE_NUMBERS)
@click.argument("from_account", metavar="FROM")
@click.argument("to_account", metavar="TO")
@click.argument("amount")
@_request_id_option
@_json_option
@_timeout_option
@click.pass_obj
def transfer(
    invocation: Invocation,
    from_account: str,
    to_account: str,
    amount: str,
    request_id: str | None,
    as_json: bool,
    timeout: float | None,
) -> None:
    """Take AMOUNT off account FROM and put it on account TO: both, or neither.

    What is printed is the balance of account FROM.
    """
    accounts = check_account(whole_number(from_account)), check_account(whole_number(to_account))
    number = check_amount(whole_number(amount))
    with invocation.connect(timeout=timeout) as bank:
        _show(bank.transfer(*accounts, number, request_id=request_id), as_json=as_json)


@click.command("open-account", context_settings=_NEGATIVE_NUMBERS)
@click.argument("account", metavar="ID")
@_request_id_option
@_json_option
@_timeout_option
@click.pass_obj
def open_account(
    invocation: Invocation, account: str, request_id: str | None, as_json: bool, timeout: float | None
) -> None:
    """Have an account ID, where there is none; its balance is 0."""
    number = check_account(whole_number(account))
    with invocation.connect(timeout=timeout) as bank:
        _show(bank.open_account(number, request_id=request_id), as_json=as_json, sentence="Account opened")


@click.command("close-account", context_settings=_NEGATIVE_NUMBERS)
@click.argument("account", metavar="ID")
@_request_id_option
@_json_option
@_timeout_option
@click.pass_obj
def close_account(
    invocation: Invocation, account: str, request_id: str | None, as_json: bool, timeout: float | None
) -> None:
    """Have no account ID any more, if its balance is 0."""
    number = check_account(whole_number(account))
    with invocation.connect(timeout=timeout) as bank:
        _show(bank.close_account(number, request_id=request_id), as_json=as_json, sentence="Account closed")


@click.command()
@_json_option
@_timeout_option
@click.pass_obj
def total(invocation: Invocation, as_json: bool, timeout: float | None) -> None:
    """Say what all accounts hold together, and after which entry."""
    with invocation.connect(timeout=timeout) as bank:
        whole = bank.total()
    if as_json:
        show_json({"total": whole.total, "action_id": whole.action_id})
    else:
        tell(f"All accounts: {whole.total}, at action id {whole.action_id}")


@click.command(context_settings=_NEGATIVE_NUMBERS)
@click.argument("account", metavar="ID")
@click.option(
    "--since",
    metavar="ACTION_ID",
    default="0",
    help="Only entries after this one; the journal is looked through from there on.",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, help="The newest so many (100).")
@_json_option
@_timeout_option
@click.pass_obj
def statement(
    invocation: Invocation, account: str, since: str, limit: int, as_json: bool, timeout: float | None
) -> None:
    """List the entries of account ID, the newest last: when, what, and the balance after it.

    Declined ones are among them. `--timeout` is for each of the calls that a long journal takes.
    """
    number, after = check_account(whole_number(account)), _action_id(since)
    with invocation.connect(timeout=timeout) as bank:
        listed = bank.statement(number, since=after, limit=limit)
    if as_json:
        show_json(asdict(listed))
        return
    if not listed.entries and listed.balance is None:
        raise AccountNotFound(f"there is no account {number}", account=number)
    for line in lines_of(listed, after):
        tell(line)


def _action_id(text: str) -> int:
    number = whole_number(text)
    if not isinstance(number, int) or number > LARGEST:
        raise InvalidRequest(f"not an action id: {text!r:.40} (a whole number from 0 on)")
    return number


@click.command()
@click.argument("request_id", metavar="SESSION:SEQ")
@_json_option
@_timeout_option
@click.pass_obj
def outcome(invocation: Invocation, request_id: str, as_json: bool, timeout: float | None) -> None:
    """Say what became of a request, for good.

    A request that has not arrived by now is cancelled: it did not happen, and never will.
    Every answer is exit code 0, a declined or cancelled request included.
    """
    parse_request_id(request_id)
    if invocation.serves_classes():
        _outcome_of_call(invocation, request_id, as_json=as_json, timeout=timeout)
        return
    with invocation.connect(timeout=timeout) as bank:
        try:
            results = bank.outcome(request_id)
        except Cancelled as cancelled:
            results = [cancelled]
    if as_json:
        show_json({"request_id": request_id, "results": [_plain(result) for result in results]})
        return
    for result in results:
        tell(result_of(result))


def _outcome_of_call(
    invocation: Invocation, request_id: str, *, as_json: bool, timeout: float | None
) -> None:
    """Say what came of a call of a class."""
    with invocation.connect_to_service(timeout=timeout) as service:
        try:
            came: dict[str, Any] = {"value": service.outcome(request_id)}
        except (Cancelled, ServiceError) as error:
            came = {"code": error.code, "message": error.message}
    if as_json:
        show_json({"request_id": request_id, "results": [came]})
    else:
        tell(came["message"] if "message" in came else f"it was done, and returned {foreign(came['value'])}")


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option(
    "--server",
    metavar="NAME",
    shell_complete=complete_server,
    help="Export this server's copy, to compare copies; else the primary's.",
)
@click.pass_obj
def export(invocation: Invocation, file: Path | None, server: str | None) -> None:
    """Write the ledger as it is now; or the state of a class that is served.

    CSV, or of a class a line of JSON for each row, to FILE or standard output. A plain FILE is replaced as a
    whole, and keeps its mode; a device, a pipe or a link is written into. It is one consistent state; its
    action id is printed on standard error.
    """
    from bankrmi import client

    configuration = invocation.configuration()
    if server is not None:
        configuration = check_server_now(configuration, server)
    if configuration.serves is not None:
        _export_state(configuration, file, server)
        return
    with client.export(configuration, server) as copy:
        if file is None or str(file) == "-":
            _print_whole(lambda stream: write_ledger(stream, copy.balances))
        else:
            write_file(file, lambda stream: write_ledger(stream, copy.balances))
    say(f"action id {foreign(copy.action_id)}, history {foreign(copy.history)}")


def _export_state(configuration: Configuration, file: Path | None, server: str | None) -> None:
    """Write the state of a class."""
    from bankrmi.backup.service_export import exported_service
    from bankrmi.backup.taking import BYTES_PER_SECOND

    progress = WrittenOver(every_s=_PROGRESS_EVERY_S)
    with exported_service(configuration, server, rate=BYTES_PER_SECOND, progress=progress.show) as state:
        progress.clear()

        def write(stream: TextIO) -> None:
            stream.writelines(state.lines)

        if file is None or str(file) == "-":
            _print_whole(write)
        else:
            write_file(file, write)
    say(f"action id {state.label.tip.action_id}, history {state.label.history}")


def _print_whole(write: Callable[[TextIO], None]) -> None:
    """Print when all of it is here: half a ledger must never look like one."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n") as whole:
        write(whole)
        whole.seek(0)
        for piece in iter(lambda: whole.read(1 << 16), ""):
            sys.stdout.write(piece)


def _show(receipt: Receipt, *, as_json: bool, sentence: str = "") -> None:
    with under_way(receipt.request_id):
        if as_json:
            show_json(_plain(receipt))
        else:
            tell(sentence or sentence_of(receipt))


def _plain(result: Receipt | Refused) -> dict[str, str | int]:
    if isinstance(result, Refused):
        return {"code": result.code, "message": sentence_of(result)}
    plain: dict[str, str | int] = {
        "account": result.account,
        "balance": result.balance,
        "action_id": result.action_id,
    }
    if result.request_id is not None:
        plain["request_id"] = result.request_id
    return plain


COMMANDS = (
    balance,
    withdraw,
    deposit,
    transfer,
    open_account,
    close_account,
    statement,
    total,
    outcome,
    export,
)
