"""The report in a real browser: it renders, measured from inside, with and without its script."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import zlib
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from bankrmi.robustness.chaos.report import report
from tests.robustness.made_up_runs import made_up_run

MISSING = "the report is looked at in Chromium, which is not here: apt install chromium"
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-logging=stderr",
)  # fmt: skip

# Runs in the page, after everything else, and leaves what it has found in the page.
MEASURE = """
const all = chosen => [...document.querySelectorAll(chosen)];
const box = chosen => all(chosen).map(one => {
  const r = one.getBoundingClientRect();
  return [r.left, r.top, r.width, r.height].map(Math.round);
});
const narrow = 400;  // A window is never narrower than 500, a telephone is.
if (innerWidth < 640) Object.assign(document.body.style, {margin: 0, width: `${narrow}px`});
const found = {
  room: innerWidth < 640 ? narrow : innerWidth, page: document.body.scrollWidth, title: document.title,
  scripted: document.documentElement.classList.contains("js"),
  heading: box("h1"), lanes: box(".timeline[data-zoomed] .lane .track"), timelines: box(".timeline"),
  roles: box(".timeline[data-zoomed] .role"), drawings: box(".timeline svg[role=img]"),
  drawn: all(".timeline[data-zoomed] svg[role=img] path").map(
    one => [one.getAttribute("class"), one.getBBox().width]),
  dots: box(".dots svg"), tools: box(".tools button"),
  says: all(".tools output").map(one => one.textContent),
  view: all(".timeline[data-zoomed] svg[role=img]").map(one => one.getAttribute("viewBox")),
  ticks: all(".timeline[data-zoomed] .tick").map(one => one.textContent),
  colour: getComputedStyle(document.body).color,
};
const left = document.createElement("pre");
left.id = "found"; left.textContent = JSON.stringify(found);
document.body.append(left);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the browser made of a page."""

    found: dict[str, Any]
    complaints: list[str]
    size: tuple[int, int]
    first_pixel: tuple[int, ...]
    busy: float  # which part of the picture's bytes differs from what the pixel before or above foretells


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return found


@pytest.fixture(scope="module")
def page() -> str:
    return report(made_up_run(seconds=30))


def prepared(page: str, *, scripted: bool) -> str:
    """Let the measuring script run in a page; and the page's own, or not."""
    digest = b64encode(sha256(MEASURE.encode()).digest()).decode()
    page = page.replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    if not scripted:
        page = page[: page.rindex("<script>")] + "</body>\n</html>\n"
    return page.replace("</body>", f"<script>{MEASURE}</script></body>")


def look(chromium: str, page: str, folder: Path, *options: str, at: str = "") -> Seen:
    """Open a page, once, for its elements and for a picture."""
    file, picture = folder / "report.html", folder / "report.png"
    file.write_text(page, encoding="utf-8")
    done = subprocess.run(
        [
            chromium, *OPTIONS, *options, f"--user-data-dir={folder / 'profile'}",
            "--dump-dom", f"--screenshot={picture}", f"{file.as_uri()}{at}",
        ],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    measured = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert measured, done.stderr
    size, first_pixel, busy = picture_facts(picture.read_bytes())
    return Seen(
        found=json.loads(unescape(measured[1])),
        complaints=[line for line in done.stderr.splitlines() if "CONSOLE" in line],
        size=size, first_pixel=first_pixel, busy=busy,
    )  # fmt: skip


def picture_facts(data: bytes) -> tuple[tuple[int, int], tuple[int, ...], float]:
    """Return width and height, the first pixel (no filter changes it), and how busy the picture is."""
    width, height, _, colours = struct.unpack(">IIBB", data[16:26])
    packed, at = b"", 8
    while at < len(data):
        [length] = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += 12 + length
    rows = zlib.decompress(packed)
    channels = {2: 3, 6: 4}[colours]
    assert len(rows) == height * (1 + width * channels)
    return (width, height), tuple(rows[1:4]), 1 - rows.count(0) / len(rows)


def check_boxes(seen: Seen) -> None:
    found = seen.found
    assert found["page"] <= found["room"], "the page is wider than the window"
    assert len(found["heading"]) == 1
    assert len(found["lanes"]) == 3
    assert len(found["timelines"]) >= 3
    for kind in ("heading", "lanes", "timelines", "drawings", "dots"):
        assert found[kind], kind
        for left, _, width, height in found[kind]:
            assert width > 0, kind
            assert height > 0, kind
            assert left >= 0, kind
            assert left + width <= found["room"] or kind == "dots", kind  # Tables may be scrolled.
    assert all(width > 100 and height >= 20 for _, _, width, height in found["lanes"])
    assert sum(width > 3 for _, _, width, _ in found["roles"]) > 5
    assert seen.busy > 0.01, "the picture is blank"


@pytest.mark.timeout(240)
def test_it_renders_wide_and_its_script_shows_a_moment_closer(
    chromium: str, page: str, tmp_path: Path
) -> None:
    seen = look(chromium, prepared(page, scripted=True), tmp_path, "--window-size=1280,1500", at="#t=10,14.5")
    assert seen.complaints == []
    check_boxes(seen)
    found = seen.found
    assert found["scripted"]
    assert len(found["tools"]) == 5
    assert found["says"] == ["0:10.0 to 0:14.5"]
    assert found["view"] == ["1000.0 0 450.0 100"] * 2
    assert found["ticks"] == ["0:10", "0:11", "0:12", "0:13", "0:14"]
    drawn = [width for name, width in found["drawn"] if name.startswith("drawn ")]
    assert len(drawn) == 3
    assert all(400 <= width <= 500 for width in drawn)
    assert seen.size == (1280, 1500)


@pytest.mark.timeout(240)
def test_it_renders_narrow_dark_and_without_its_script(chromium: str, page: str, tmp_path: Path) -> None:
    seen = look(
        chromium, prepared(page, scripted=False), tmp_path,
        "--window-size=400,1500", "--blink-settings=preferredColorScheme=0",
    )  # fmt: skip
    assert seen.complaints == []
    check_boxes(seen)
    assert not seen.found["scripted"]
    assert seen.found["room"] == 400
    assert dict(seen.found["drawn"])["rate"] > 2900
    assert seen.found["ticks"]
    assert max(seen.first_pixel) < 60, "paper is dark in the dark"
