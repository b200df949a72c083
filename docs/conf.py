"""How the pages of docs/ become a site: `make docs` (Sphinx, MyST, furo; ADR 39)."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "extensions")]

import bankrmi  # noqa: E402 - found by the line above

project = "bankrmi"
author = "The bankrmi maintainers"
copyright = author
release = version = bankrmi.__version__

# Every name that is meant to lead somewhere does; what is not ours is not looked for.
nitpicky = True
nitpick_ignore_regex = [
    ("py:class", r"(asyncio|collections\.abc|datetime|pathlib|random|types)\..*"),
    ("py:class", r"bankrmi\.config\.Configuration"),
    ("py:class", r"(.*\._(Served|F|S)|AsyncServiceClient)"),  # Whatever class is served; and a client of it.
    ("py:class", r"bankrmi\.testing\..*(ServiceT|_OtherT|_Value)"),
    ("py:class", r"dict\[str|.*\.MethodCounts"),
    ("py:class", r"bankrmi\.service\.tables\..*"),
]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click", "made_of_the_code"]
exclude_patterns = ["man"]
html_theme = "furo"
html_title = f"bankrmi {release}"
html_static_path = ["static"]
html_css_files = ["tables.css"]
html_extra_path = ["alerts.yaml", "grafana.json"]
html_theme_options = {"source_directory": "docs/"}

myst_heading_anchors = 3
myst_enable_extensions = ["fieldlist"]

# Docstrings and help texts write code in single backticks.
default_role = "code"
smartquotes = False  # `--force` is two hyphens.
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_type_aliases = {"AccountId": "int", "Amount": "int", "Count": "int"}  # Of bankrmi.Account.
toc_object_entries = False
