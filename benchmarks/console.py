"""Does the console's page keep up?  So many events a second in a real browser: frames a second, and memory.

    python benchmarks/console.py [--events 100] [--seconds 60] [--width 1280] [--calm]

The page is that of `bankrmi console`; what happens to the bank is made up: states that change, calls, sums
four times a second, a takeover every ten seconds. Frames are counted by the page itself
(requestAnimationFrame). The CPU time is that of the tab's process, without the compositing of the browser;
memory is the heap of its script after a collection, and the proportional set size of its process, next to
that of an empty page. `--calm` asks for reduced motion. Needs playwright and Debian's Chromium; nobody else
should use the machine meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import socket
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn

from bankrmi.config import Configuration
from bankrmi.console.app import Console
from bankrmi.console.feed import Feed
from bankrmi.console.teller import MOST_CLIENTS

SERVERS = ("s1", "s2")
TAKEOVER_S = 10.0
EMPTY_S = 10.0
COUNTING = """
() => {
  window.frames_seen = [];
  let last = performance.now();
  const frame = now => { window.frames_seen.push(now - last); last = now; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
}
"""


# -- a console of a bank that is made up -----------------------------------------------------------------


class MadeUpBank:
    """Tells what would happen to a busy bank."""

    def __init__(self, feed: Feed, events_per_second: int) -> None:
        self._feed = feed
        self._rest = events_per_second
        self._action = 1000
        self._epoch = 2
        self._primary = "s1"

    async def live(self) -> None:
        """Go on until cancelled."""
        self._view()
        began, told = time.monotonic(), 0
        while True:
            now = time.monotonic() - began
            if now > TAKEOVER_S * (self._epoch - 1):
                self._take_over()
            while told < now * self._rest:
                self._tell(told)
                told += 1
            await asyncio.sleep(0.01)

    def _tell(self, number: int) -> None:
        """A rate in every 25, a state in every 5, else a call: at 100 a second, 4 and 20 and 76 of them."""
        self._action += 3
        if number % 25 == 0:
            self._rate()
        elif number % 5 == 0:
            self._state()
        else:
            self._call(number)

    def _rate(self) -> None:
        calls = 300 + self._action % 50
        self._feed.put(
            "rate",
            from_ms=now_ms() - 250,
            calls=calls,
            done=calls,
            declined=0,
            failed=0,
            in_doubt=0,
            per_second=4 * calls,
            median_us=800,
            p99_us=4000 + self._action % 900,
            slowest_us=9000,
            left_out=calls - 19,
        )

    def _state(self) -> None:
        self._feed.put(
            "state",
            view=self._shown_view(),
            view_from="witness",
            keeper={"reachable": True, "reason": None, "process": "running"},
            nameserver={"reachable": True, "reason": None, "process": None},
            servers=[self._server(name) for name in SERVERS],
            cut=[],
            late=[],
            down=[],
        )

    def _server(self, name: str) -> dict[str, Any]:
        leads = name == self._primary
        return {
            "name": name,
            "address": f"127.0.0.1:910{name[1]}",
            "reachable": True,
            "reason": None,
            "silent": False,
            "role": "primary" if leads else "standby",
            "epoch": self._epoch,
            "action_id": self._action - (0 if leads else 2),
            "acknowledged": self._action - 2,
            "digest": f"{self._action:032x}",
            "lag": 2,
            "pid": 1000 + int(name[1]),
            "connected": [other for other in SERVERS if other != name],
            "in_sync": True,
            "lease": leads,
            "process": "running",
        }

    def _call(self, number: int) -> None:
        self._feed.put(
            "call",
            client=f"client {number % 8}",
            request_id=f"t1a22a89{number:020x}:1",
            what=("withdraw", "deposit", "balance")[number % 3],
            account=number % 10,
            amount=1,
            outcome="done",
            message="",
            balance=1000 + number % 7,
            action_id=self._action,
            took_us=700 + number % 400,
            again=False,
        )

    def _take_over(self) -> None:
        dead, self._primary = self._primary, "s2" if self._primary == "s1" else "s1"
        self._epoch += 1
        self._feed.put(
            "fault",
            id=self._epoch,
            what="kill",
            whom=dead,
            words=f"{dead} was killed",
            command="kill -9 1001",
            since_ms=now_ms(),
            until_ms=now_ms() + 400,
            undo=None,
        )
        self._view()

    def _shown_view(self) -> dict[str, Any]:
        return {"history": "h", "epoch": self._epoch, "primary": self._primary, "in_sync": list(SERVERS)}

    def _view(self) -> None:
        self._feed.put(
            "view",
            **self._shown_view(),
            why=f"crash of {self._primary}",
            by=self._primary,
            cause_kind="crash",
            changed_ms=now_ms(),
            took_ms=12.5,
            before=False,
            takes_time=True,
        )


class MadeUpConsole(Console):
    """The real page and the real stream, of that bank; nothing can be done to it."""

    def __init__(self, configuration: Configuration, port: int) -> None:
        super().__init__(configuration, "127.0.0.1", port, "token")
        self._feed = Feed(now_ms)

    @property
    def feed(self) -> Feed:
        """Whoever is told."""
        return self._feed

    def _hello(self) -> dict[str, Any]:
        return {
            "t": now_ms(),
            "kind": "hello",
            "format": 1,
            "version": "made up",
            "service": "account",
            "servers": {name: f"127.0.0.1:910{name[1]}" for name in SERVERS},
            "keeper": "witness",
            "told_by": "console",
            "accounts": list(range(1, 11)),
            "load": {
                "clients": 8,
                "at_most": MOST_CLIENTS,
                "reads": 0.5,
                "accounts": 10,
                "most_accounts": 10,
            },
            "misfortunes": [],
            "rules": [],
        }


def now_ms() -> int:
    """Return the time of day."""
    return time.time_ns() // 1_000_000


# -- the browser -----------------------------------------------------------------------------------------


def descendants(pid: int) -> list[int]:
    """Return all processes that this one has started, and those that they have."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *descendants(child)]
    return found


def renderers() -> set[int]:
    """Return the processes of our browser that draw pages."""
    found = set()
    for pid in descendants(os.getpid()):
        with suppress(OSError):
            if b"--type=renderer" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(pid)
    return found


def pss_mb(pid: int) -> float:
    """Return its proportional set size: what it has alone, and its share of what others have, too."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1000
    return 0.0


def cpu_s(pid: int) -> float:
    """Return the CPU time that it has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Empty(NamedTuple):
    """What a page costs on which nothing happens: how the machine is just now."""

    frames: list[float]
    mb: float


async def measure(arguments: argparse.Namespace) -> None:
    """Open the page, let it live, and print what it took."""
    from playwright.async_api import async_playwright

    with socket.create_server(("127.0.0.1", 0)) as listening, tempfile.TemporaryDirectory() as folder:
        port = listening.getsockname()[1]
        console = MadeUpConsole(configuration(Path(folder)), port)
        settings = uvicorn.Config(console.application(), log_config=None, lifespan="off", ws="none")
        server = uvicorn.Server(settings)
        serving = asyncio.create_task(server.serve([listening]))
        living = asyncio.create_task(MadeUpBank(console.feed, arguments.events).live())
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"],
            )
            blank = await browser.new_page()
            await blank.evaluate(COUNTING)
            await asyncio.sleep(min(EMPTY_S, arguments.seconds))
            empty = Empty(
                await blank.evaluate("window.frames_seen"), max(map(pss_mb, renderers()), default=0.0)
            )
            page = await browser.new_page(
                viewport={"width": arguments.width, "height": 900},
                reduced_motion="reduce" if arguments.calm else "no-preference",
            )
            await blank.close()
            await page.goto(f"http://127.0.0.1:{port}/")
            await page.get_by_text("live", exact=True).wait_for()
            await page.evaluate(COUNTING)
            spent_s, began = {pid: cpu_s(pid) for pid in renderers()}, time.monotonic()
            await asyncio.sleep(arguments.seconds)
            seconds = time.monotonic() - began
            used_s = {pid: cpu_s(pid) - spent_s[pid] for pid in renderers() if pid in spent_s}
            tab = max(used_s, key=used_s.__getitem__)  # Others are kept for the next page.
            share = used_s[tab] / seconds
            frames = await page.evaluate("window.frames_seen")
            session = await page.context.new_cdp_session(page)
            await session.send("HeapProfiler.enable")
            await session.send("HeapProfiler.collectGarbage")
            heap = (await session.send("Runtime.getHeapUsage"))["usedSize"] / 1e6
            tell(frames, seconds, share, heap, pss_mb(tab), empty)
            await browser.close()
        living.cancel()
        server.should_exit = True
        console.feed.close()
        await serving


def tell(frames: list[float], seconds: float, share: float, heap: float, tab_mb: float, empty: Empty) -> None:
    """Print it, a line each."""
    frames.sort()
    late = sum(frame > 50 for frame in frames)
    most = 1000 * len(empty.frames) / sum(empty.frames)
    print(
        f"frames a second           {len(frames) / seconds:8.1f}      an empty page, just before: {most:.1f}"
    )
    print(f"a frame, median           {statistics.median(frames):8.1f} ms")
    print(f"a frame, 99 % within      {frames[len(frames) * 99 // 100]:8.1f} ms")
    print(f"frames of over 50 ms      {late:8d} of {len(frames)}")
    print(f"CPU of the tab            {100 * share:8.1f} %")
    print(f"heap of its script        {heap:8.1f} MB")
    print(f"its process               {tab_mb:8.1f} MB   an empty page: {empty.mb:.1f}")


def configuration(folder: Path) -> Configuration:
    """Return one that names the bank that is made up."""
    (folder / "ledger.csv").write_text("1,100\n2,200\n")
    return Configuration.model_validate(
        {
            "path": folder / "config.yaml",
            "nameserver": "127.0.0.1:9090",
            "servers": {name: f"127.0.0.1:910{name[1]}" for name in SERVERS},
            "ledger": folder / "ledger.csv",
            "data_dir": folder / "data",
        }
    )


def main() -> None:
    """Read what is wanted, and measure it."""
    parser = argparse.ArgumentParser(
        prog=Path(__file__).name, description=__doc__.partition("\n")[0], usage="%(prog)s [options]"
    )
    parser.add_argument("--events", type=int, default=100, help="a second (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="(default: %(default)s)")
    parser.add_argument("--width", type=int, default=1280, help="of the page (default: %(default)s)")
    parser.add_argument("--calm", action="store_true", help="ask for reduced motion")
    arguments = parser.parse_args()
    if shutil.which("chromium") is None:
        sys.exit("Chromium is not here: apt install chromium")
    asyncio.run(measure(arguments))


if __name__ == "__main__":
    main()
