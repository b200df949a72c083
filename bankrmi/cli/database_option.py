"""The URL of a database on a command line: checked, and never told with its password."""

from __future__ import annotations

import click

from bankrmi.database_url import checked_database_url, database_in_words

__all__ = ["DatabaseUrl", "without_password"]


class DatabaseUrl(click.ParamType[str]):
    """`postgresql://user@host:5432/database`."""

    name = "url"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it, if libpq would take it."""
        try:
            return checked_database_url(str(value))
        except ValueError as error:
            self.fail(str(error).replace("engine", "the URL", 1), param, ctx)


def without_password(argument: str) -> str:
    """Return an argument as it may be recorded: of the URL of a database, where that is."""
    named = argument.startswith("--engine=")
    option, equals, url = argument.partition("=") if named else ("", "", argument)
    try:
        return f"{option}{equals}{database_in_words(checked_database_url(url))}"
    except ValueError:
        return argument
