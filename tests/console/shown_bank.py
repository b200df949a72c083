"""A bank that `up` runs, with its console; and a console that somebody has started by hand."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from os import pread
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from tests import warm
from tests.console.page_of import Page
from tests.system.cluster import DEADLINE_S, Cluster
from tests.system.ports import own_addresses
from tests.system.supervised import Up

__all__ = ["console_of", "shown"]


@contextmanager
def shown(folder: Path, *options: str, **settings: Any) -> Iterator[tuple[Cluster, Up, Page]]:
    """A bank that `up` runs, all in sync, and its page; `settings` are those of its configuration."""
    with (
        own_addresses(1) as [address],
        Cluster(folder, **settings) as cluster,
        Up(cluster, "--console", address, *options) as up,
    ):
        up.wait_until_running()
        up.wait_until_in_sync()
        cluster.until(lambda: "the console is ready" in up.said, "the console is ready")
        [page_address] = re.findall(r"http://\S+#token=\S+", up.said)
        with Page(page_address) as page:
            cluster.until(lambda: page.of("state"), "the page is told how the bank is")
            yield cluster, up, page


@contextmanager
def console_of(config: Path) -> Iterator[Page]:
    """A console that somebody has started by hand."""
    with own_addresses(1) as [address], TemporaryFile() as said:
        arguments = ["--config", str(config), "console", "--listen", address]
        process = warm.start(arguments, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            deadline = time.monotonic() + DEADLINE_S
            while not (found := re.findall(rb"http://\S+#token=\S+", pread(said.fileno(), 10_000, 0))):
                assert time.monotonic() < deadline, "it prints its address"
                time.sleep(0.02)
            with Page(found[0].decode()) as page:
                yield page
        finally:
            process.kill()
            process.wait()
