"""The group of all commands, and the one place where an error becomes a sentence and an exit code."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import structlog
from click.exceptions import NoArgsIsHelpError

import bankrmi
from bankrmi.cli.commands_by_name import CommandsByName, names_in
from bankrmi.cli.exit_codes import ExitCode, exit_code_of
from bankrmi.cli.interruption import (
    heed_the_end_of_the_terminal,
    interruptible,
    interruption_behind,
    what_was_under_way,
)
from bankrmi.cli.invocation import VOICE, Invocation, say
from bankrmi.cli.sentences import sentence_of
from bankrmi.errors import BankError
from bankrmi.logging_setup import configure

__all__ = ["commands", "main"]

_EPILOG = """\b
Exit codes: 0 done, 1 error, 2 usage or invalid input, 3 account not found,
4 declined (insufficient balance, balance too large), 5 nobody could be reached
and nothing was done, 6 outcome unknown, or not to be shown (the request id is printed),
130, 143, 129 interrupted by Ctrl-C, SIGTERM, SIGHUP.

\b
Shell completion, for bash, zsh and fish:
  eval "$(_BANKRMI_COMPLETE=bash_source bankrmi)"
  eval "$(_BANKRMI_COMPLETE=zsh_source bankrmi)"
  _BANKRMI_COMPLETE=fish_source bankrmi | source

NO_COLOR=1 turns colours off."""


_OUTLIVING = names_in("processes", "serve")
"""These say themselves what the end of the terminal is to them."""
_LOGGING = ("nameserver", "server")
"""Those that have a log, which begins with their first line."""


@click.group(
    commands=CommandsByName(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EPILOG,
)
@click.option(
    "--config",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="The configuration; else that of BANKRMI_CONFIG, else ./config.yaml.",
)
@click.option(
    "--insecure",
    is_flag=True,
    envvar="BANKRMI_INSECURE",
    help="Allow addresses that other machines can reach, though nobody has to prove who they are.",
)
@click.option("--log-json", is_flag=True, envvar="BANKRMI_LOG_JSON", help="Log one JSON object a line.")
@click.version_option(bankrmi.__version__, "-V", "--version", prog_name="bankrmi")
@click.pass_context
def commands(context: click.Context, config: Path | None, insecure: bool, log_json: bool) -> None:
    """A bank whose accounts survive the loss of a machine.

    Data goes to standard output, chatter to standard error.
    """
    if context.invoked_subcommand not in _OUTLIVING:
        heed_the_end_of_the_terminal()
    if log_json and context.invoked_subcommand in _LOGGING:
        configure(True, context.invoked_subcommand)
        if isinstance(context.obj, _Voice):
            context.obj.is_a_log = True
    context.meta[VOICE] = context.obj
    context.obj = Invocation(path=config, insecure=insecure, log_json=log_json)


def main(arguments: list[str]) -> int:
    """Run one command line; return its exit code."""
    _open_what_is_closed()
    try:
        return _run(arguments)
    finally:
        _drop_what_cannot_be_written()


class _Voice:
    """How what ends a command is told: to a person, or as a line of a log that has not begun yet."""

    is_a_log = False

    def complain(self, text: str) -> None:
        """Say why the command ends."""
        if self.is_a_log:
            structlog.get_logger("bankrmi").error(text)
        else:
            say(text)


def _run(arguments: list[str]) -> int:
    voice = _Voice()
    try:
        with interruptible():
            result = commands.main(arguments, prog_name="bankrmi", standalone_mode=False, obj=voice)
            sys.stdout.flush()
    except BankError as error:
        voice.complain(_told(error))
        return exit_code_of(error)
    except click.ClickException as error:
        voice.complain(_usage(error))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt, OSError) as error:
        return _cut_short(error)
    except Exception as error:  # A bug of ours; a sentence for the user, the rest for those who ask for it.
        if os.environ.get("BANKRMI_TRACEBACK"):
            raise
        voice.complain(
            f"This is a bug in bankrmi: {type(error).__name__}: {error} (BANKRMI_TRACEBACK=1 shows where)"
        )
        return ExitCode.ERROR
    return result if isinstance(result, int) else ExitCode.DONE


def _open_what_is_closed() -> None:
    """Stand in for a standard stream that the caller closed (`>&-`): nothing comes in, nothing goes out."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 (stays open)


def _drop_what_cannot_be_written() -> None:
    """Else Python would try once more at its end, and make an exit code of its own of it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _cut_short(error: BaseException) -> int:
    """Say what ended the command, and what was under way."""
    interruption = interruption_behind(error)
    if isinstance(error, OSError) and interruption is None:
        if not isinstance(error, BrokenPipeError):  # Else whoever read our output has enough, as `head` does.
            say(f"{error.filename or 'bankrmi'}: {error.strerror or error}")
        return ExitCode.ERROR
    for line in what_was_under_way(interruption or error):
        say(line)
    return getattr(interruption, "exit_code", ExitCode.INTERRUPTED)


def _told(error: BankError) -> str:
    return sentence_of(error) or type(error).__name__


def _usage(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None or isinstance(error, NoArgsIsHelpError):
        return message
    if isinstance(error, click.NoSuchOption) and _is_of_all_commands(error.option_name):
        program, _, command = context.command_path.partition(" ")
        return f"Write {error.option_name} before the command: {program} {error.option_name} ... {command}"
    return f"{message} (see {context.command_path} --help)"


def _is_of_all_commands(option: str) -> bool:
    return any(option in parameter.opts for parameter in commands.params)
