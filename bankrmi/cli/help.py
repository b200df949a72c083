"""The command that says what commands do: `bankrmi help status` is `bankrmi status --help`."""

from __future__ import annotations

import click
from click.exceptions import NoSuchCommand
from click.shell_completion import CompletionItem

__all__ = ["COMMANDS"]


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the commands that there are below those that were written already."""
    group: click.Command = context.find_root().command
    for name in context.params.get(parameter.name or "", ()):
        group = group.commands.get(name, group) if isinstance(group, click.Group) else group
    if not isinstance(group, click.Group):
        return []
    return [
        CompletionItem(name, help=command.get_short_help_str())
        for name, command in group.commands.items()
        if name.startswith(incomplete) and not command.hidden
    ]


@click.command("help")
@click.argument("names", nargs=-1, metavar="[COMMAND]...", shell_complete=_complete)
@click.pass_context
def help_(context: click.Context, names: tuple[str, ...]) -> None:
    """Say what COMMAND does, and which options it has; without one, which commands there are."""
    of = context.find_root()
    for name in names:
        if not isinstance(of.command, click.Group):
            raise click.UsageError(f"{of.command_path} has no commands of its own, and {name!r} is none", of)
        command = of.command.get_command(of, name)
        if command is None:
            raise NoSuchCommand(name, possibilities=of.command.commands, ctx=of)
        of = click.Context(command, info_name=name, parent=of)
    click.echo(of.get_help())


COMMANDS = (help_,)
