"""The page's modules as one script: a browser loads no modules from a file, and a page of one has no others.

Rule 1: only our own modules, which import and export in one plain way, are bundled; anything else is refused,
        and a test bundles them all.
Rule 2: each module stays in a scope of its own, and comes after those that it imports.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["bundle"]

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|function\*?|const|let|class) (\w+))", re.MULTILINE)
_OTHER = re.compile(
    r"^\s*(?:import|export)\b.*|\bimport\(.*|\bimport\.meta\b.*|</script.*|<!--.*", re.MULTILINE
)


def bundle(entry: str, modules: Mapping[str, str]) -> str:
    """Return one script that does what the module `entry` does; raises ValueError if it cannot be one."""
    ordered: dict[str, str] = {}
    _add(entry, modules, ordered, ())
    return '(() => {\n"use strict";\n' + "\n".join(ordered.values()) + "\n})();\n"


def _add(name: str, modules: Mapping[str, str], ordered: dict[str, str], above: tuple[str, ...]) -> None:
    if name in ordered:
        return
    if name in above:
        raise ValueError(f"modules import each other in a circle: {' -> '.join((*above, name))}")
    if name not in modules:
        raise ValueError(f"{above[-1] if above else 'the page'} imports {name}, which is not there")
    source = modules[name]
    for imported in _IMPORT.finditer(source):
        _add(imported[2], modules, ordered, (*above, name))
        missing = {wanted.split(" as ")[0] for wanted in _names(imported[1])} - {
            *_exported(modules[imported[2]])
        }
        if missing:
            raise ValueError(
                f"{name} imports {', '.join(sorted(missing))}, which {imported[2]} does not export"
            )
    body = _EXPORT.sub("", _IMPORT.sub(_taken, source))
    if other := _OTHER.search(body):
        raise ValueError(f"{name} has what cannot be bundled: {other[0].strip()}")
    ordered[name] = (
        f"const {_scope(name)} = (() => {{\n{body}\nreturn {{{', '.join(_exported(source))}}};\n}})();"
    )


def _exported(source: str) -> list[str]:
    """Return the names that a module exports: one each `export`, so that none is missed."""
    return [found[1] for found in _EXPORT.finditer(source)]


def _names(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",") if name.strip()]


def _taken(imported: re.Match[str]) -> str:
    names = ", ".join(name.replace(" as ", ": ") for name in _names(imported[1]))
    return f"const {{{names}}} = {_scope(imported[2])};"


def _scope(module: str) -> str:
    return "$" + module.removesuffix(".js").replace("-", "_")
