"""Debian's Chromium, and one page in it with all that its script complained of and all that it asked for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Literal

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, ViewportSize, expect, sync_playwright

__all__ = ["CHROMIUM", "PATIENCE_MS", "OpenPage", "in_chromium", "started"]

CHROMIUM = shutil.which("chromium")
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)  # Five seconds are not much for a machine that others use, too.
WIDE, NARROW = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)

in_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="the page is looked at in Chromium, which is not here: apt install chromium"
)


@contextmanager
def started() -> Iterator[Browser]:
    """A browser that asks for nothing by itself."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
                *("--disable-background-networking", "--disable-component-update"),
            ],
        )
        yield browser
        browser.close()


class OpenPage:
    """One page, until the end of the `with`."""

    def __init__(
        self,
        browser: Browser,
        address: str,
        *,
        narrow: bool = False,
        colours: Literal["light", "dark"] = "light",
        scripted: bool = True,
    ) -> None:
        self.page: Page = browser.new_page(
            viewport=NARROW if narrow else WIDE, color_scheme=colours, java_script_enabled=scripted
        )
        self.page.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        self.asked_for: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._note)
        self.page.on("request", lambda request: self.asked_for.append(request.url))
        self.page.goto(address)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def __enter__(self) -> OpenPage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, _: TracebackType | None
    ) -> None:
        self.page.close()
        if failure is None:
            assert self.complaints == [], self.complaints
