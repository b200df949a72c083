"""Tables of the reference that are made of the code: settings, exit codes, errors, figures.

    ```{settings}       every key of the configuration: of `config_settings`, with what stands below each
    ```{exit-codes}     of `cli.exit_codes`, likewise
    ```{errors}         the tree of `errors`: code, `happened`, what the class says of itself
    ```{metrics}        the measures of servers and a name server, with their meaning

Rule 1: nothing is said here of what the tables are about; what the code does not say ends the build.
Rule 2: what the code says is Markdown, as on every page.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from enum import IntEnum
from types import UnionType
from typing import Any, Union, get_args, get_origin

from docutils import nodes
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

from bankrmi import errors
from bankrmi.cli.exit_codes import ExitCode, HealthCode
from bankrmi.config_settings import ConfigSettings
from bankrmi.engine import measures as of_engine
from bankrmi.metrics.measure import Measure
from bankrmi.nameserver import measures as of_nameserver
from bankrmi.server import measures as of_server
from bankrmi.server.method_figures import MethodFigures
from bankrmi.service import ServedServices, Service, described, query

Row = Sequence[str]

_SERVERS = ("s1", "s2", "s3")
_DERIVED_DEFAULTS = {
    "witness": "the name server's",
    "servers": "needed, except by clients",
    "certificates.client": "the only one",
    "certificates.operator": "the only one",
}
"""What stands for a default that is no value."""


class _Anything(Service):
    @query
    def look(self) -> None:
        """Return nothing."""


_CLASSES = ServedServices(described(_Anything), {"another": described(_Anything)}, home_name="any")
"""Of which there are figures that a bank has not."""


class _Table(SphinxDirective):
    """A table, of whatever `rows` are."""

    heads: Row = ()
    widths: Sequence[int] = ()
    """How wide each column is, to the others."""

    def rows(self) -> Iterator[Row]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        lines = [self.heads, ["---"] * len(self.heads), *self.rows()]
        text = "\n".join(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
        )
        made = self.parse_text_to_nodes(text)
        for table in made:
            table["classes"] = ["colwidths-given"]
            for column, width in zip(table.findall(nodes.colspec), self.widths, strict=True):
                column["colwidth"] = width
        return made

    def said_of(self, owner: type, attribute: str) -> str:
        """Return what stands below an attribute in its class."""
        said = ModuleAnalyzer.for_module(owner.__module__).find_attr_docs()
        if (owner.__qualname__, attribute) not in said:
            raise self.error(f"say below {owner.__module__}.{owner.__qualname__}.{attribute} what it means")
        return " ".join(said[owner.__qualname__, attribute]).strip()


class Settings(_Table):
    """Every key of the configuration."""

    heads = ("key", "default", "meaning")
    widths = (30, 15, 55)

    def rows(self) -> Iterator[Row]:
        yield from self._rows_of(ConfigSettings)

    def _rows_of(self, kind: type[BaseModel], above: str = "") -> Iterator[Row]:
        for name, field in kind.model_fields.items():
            key = f"{above}{name}"
            inner = list(_models_in(field.annotation))
            if not inner or kind is ConfigSettings:
                yield f"`{key}`", _default(key, field, inner), self.said_of(kind, name)
            for model in inner:
                yield from self._rows_of(model, f"{key}.")


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, UnionType) or hasattr(annotation, "__metadata__"):
        for part in get_args(annotation):
            yield from _models_in(part)


def _default(key: str, field: FieldInfo, inner: Sequence[type[BaseModel]]) -> str:
    if key in _DERIVED_DEFAULTS:
        return _DERIVED_DEFAULTS[key]
    if field.is_required():
        return "needed"
    if field.default is None:
        return "none"
    if inner:
        return "as below"
    default = field.get_default()
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


class ExitCodes(_Table):
    """How a command can end."""

    heads = ("code", "name", "meaning")
    widths = (10, 30, 60)

    def rows(self) -> Iterator[Row]:
        codes: list[IntEnum] = [*ExitCode, *HealthCode]
        for code in sorted(codes):
            yield str(int(code)), f"`{code.name}`", self.said_of(type(code), code.name)


class Errors(_Table):
    """Every error that a caller can get."""

    heads = ("error", "`code`", "`happened`", "when")
    widths = (25, 22, 13, 40)

    def rows(self) -> Iterator[Row]:
        yield from self._rows_below(errors.BankError)

    def _rows_below(self, kind: type[errors.BankError], depth: int = 0) -> Iterator[Row]:
        for below in kind.__subclasses__():
            if below.__module__ == errors.__name__:
                name = "– " * depth + f"`{below.__name__}`"
                yield name, f"`{below.code}`", f"`{below.happened}`", " ".join((below.__doc__ or "").split())
                yield from self._rows_below(below, depth + 1)


class Metrics(_Table):
    """Every figure that a process shows."""

    heads = ("figure", "type", "labels", "shown by", "meaning")
    widths = (32, 12, 15, 13, 28)

    def rows(self) -> Iterator[Row]:
        of_a_bank = of_server.measures_of("s1", _SERVERS, "account")
        usual = {measure.name for measure in of_a_bank}
        of_classes = of_server.measures_of("s1", _SERVERS, "any", methods=MethodFigures(_CLASSES))
        shown: dict[str, Sequence[Measure[Any]]] = {
            "server": of_a_bank,
            "server of classes": [measure for measure in of_classes if measure.name not in usual],
            "server on a database": of_engine.engine_measures("s1", "account"),
            "name server": of_nameserver.measures_of(_SERVERS, "account"),
        }
        found: dict[str, tuple[Measure[Any], list[str]]] = {}
        for process, measures in shown.items():
            for measure in measures:
                found.setdefault(measure.name, (measure, []))[1].append(process)
        for name, (measure, processes) in found.items():
            labels = ", ".join(f"`{label}`" for label in measure.labels)
            yield f"`{name}`", measure.kind, labels, ", ".join(processes), measure.meaning


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx what there is."""
    app.add_lexer("layers", TextLexer)  # The picture of the rooms, which `tests/test_docs.py` reads.
    app.add_directive("settings", Settings)
    app.add_directive("exit-codes", ExitCodes)
    app.add_directive("errors", Errors)
    app.add_directive("metrics", Metrics)
    return {"parallel_read_safe": True}
