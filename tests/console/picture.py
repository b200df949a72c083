"""The picture of README.md: the page of a real bank in the moment of a failover; `make picture`.

    python -m tests.console.picture docs/failover.png

The picture has the parts of the page in it that it was taken of, as text (a chunk of the PNG): by these a
test notices that the page has changed since. Pixels are another matter; they differ with fonts and with luck.

Rule: nothing is staged: it is `bankrmi demo`, and a click on the button that kills the primary.
"""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.console.browsers import started

__all__ = ["parts_in", "parts_of"]

_PATIENCE_MS = 60_000
_SIZE = {"width": 1280, "height": 1240}
_KEY = b"Parts of the page"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TRIES = 5

_PARTS = {
    "region": "main section > h2",
    "way there": "nav a",
    "what can be done": "#misfortunes button[data-misfortune]"
    ":not([data-misfortune=cut], [data-misfortune=slow], [data-misfortune=fill])",
}
"""What makes the page what it is, whatever the bank does, and how to find it: shown just now or not.

(Links can be cut where there are relays, and disks filled where they are small.)"""


def parts_of(page: Page) -> dict[str, list[str]]:
    """Return what a person finds on the page: the words on its parts, each once."""
    found = {what: page.locator(where).all_inner_texts() for what, where in _PARTS.items()}
    assert all(found.values()), f"nothing is found of some: {found}"
    return {what: sorted({" ".join(text.split()) for text in texts}) for what, texts in found.items()}


# -- what is in the file -----------------------------------------------------------------------------


def parts_in(picture: bytes) -> dict[str, list[str]]:
    """Return the parts of the page that a picture was taken of."""
    for kind, content in _chunks(picture):
        key, _, text = content.partition(b"\0")
        if kind == b"tEXt" and key == _KEY:
            parts: dict[str, list[str]] = json.loads(text)
            return parts
    raise ValueError("this picture does not say what it shows: `make picture`")


def _with_parts(picture: bytes, parts: dict[str, list[str]]) -> bytes:
    content = _KEY + b"\0" + json.dumps(parts).encode("ascii")
    chunk = (
        struct.pack(">I", len(content)) + b"tEXt" + content + struct.pack(">I", zlib.crc32(b"tEXt" + content))
    )
    end = picture.rindex(b"IEND") - 4
    return picture[:end] + chunk + picture[end:]


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    assert picture.startswith(_SIGNATURE)
    place = len(_SIGNATURE)
    while place < len(picture):
        [length] = struct.unpack_from(">I", picture, place)
        yield picture[place + 4 : place + 8], picture[place + 8 : place + 8 + length]
        place += length + 12


# -- taking it ---------------------------------------------------------------------------------------


@contextmanager
def _demo() -> Iterator[str]:
    """Run one; give the address of its page."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bankrmi", "demo", "--no-menu"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://\S+#token=\S+", line):
                yield found[0]
                return
        raise RuntimeError("the demo ended without a page")
    finally:
        process.terminate()
        process.communicate()


def take(page: Page) -> bytes:
    """Kill the primary by a click; return the picture of the moment in which one copy is left."""
    headline = page.locator("h1")
    page.get_by_role("button", name="8 clients").click()
    for _ in range(_TRIES):
        expect(headline).to_contain_text("in sync", timeout=_PATIENCE_MS)
        expect(page.get_by_text("8 clients are at work")).to_be_visible()
        page.evaluate("scrollTo(0, 0)")
        primary = headline.inner_text()[:2]
        server = page.get_by_role("article", name=primary, exact=True)
        server.get_by_role("button", name="kill -9").click()
        expect(headline).not_to_contain_text(re.compile(f"^{primary} leads"), timeout=_PATIENCE_MS)
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        before = headline.inner_text()
        picture = page.screenshot()
        if "in sync" not in before and headline.inner_text() == before:
            return picture
    raise RuntimeError(f"{_TRIES} times the killed server was back before the picture was taken")


def main(file: Path) -> None:
    """Write the picture."""
    with _demo() as address, started() as browser:
        page = browser.new_page(viewport=_SIZE, color_scheme="light")  # type: ignore[arg-type]
        page.set_default_timeout(_PATIENCE_MS)
        page.goto(address)
        expect(page.locator("h1")).to_contain_text("in sync", timeout=_PATIENCE_MS)
        parts = parts_of(page)
        file.write_bytes(_with_parts(take(page), parts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
