"""A recording and all of the page in one HTML file, which needs nothing else: no server, no file, no net.

Rule 1: its own policy allows this very script and this very style, and nothing from anywhere.
Rule 2: what was recorded is in it as base64 of gzip, and becomes text of the page, never a part of it.
Rule 3: without its script, or before it has done its work, it still says the verdict, and who led when.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files

from bankrmi.console.bundle import bundle
from bankrmi.console.events import AnyEvent
from bankrmi.console.recording import packed
from bankrmi.console.retelling import in_words, title_of

__all__ = ["MARK", "one_page"]

MARK = '<meta name="generator" content="bankrmi recording">'
"""By which a page is known to be one of these."""

_ENTRY = "replay.js"
_TEMPLATE = "recording.html"
_DATA = "application/octet-stream"


def one_page(events: Sequence[AnyEvent]) -> str:
    """Return the page."""
    parts = {
        path.name: path.read_text(encoding="utf-8")
        for path in files("bankrmi.console").joinpath("page").iterdir()
    }
    style, script = parts["page.css"], bundle(_ENTRY, parts)
    icon = b64encode(parts["icon.svg"].encode()).decode()
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    filled = {
        "<!--policy-->": f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n{MARK}',
        "<!--title-->": f"<title>{escape(title_of(events))}</title>",
        "<!--icon-->": f'<link rel="icon" href="data:image/svg+xml;base64,{icon}">',
        "<!--style-->": f"<style>{style}</style>",
        "<!--head-->": escape(title_of(events)),
        "<!--words-->": escape("\n".join(in_words(events))),
        "<!--recording-->": f'<script type="{_DATA}" id="recording">{packed(events)}</script>',
        "<!--script-->": f"<script>{script}</script>",
    }
    return re.sub("|".join(filled), lambda place: filled[place[0]], parts[_TEMPLATE])


def _digest(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"
