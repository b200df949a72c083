"""A bank that `up` runs, with its console."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.console.page_of import Page
from tests.system.cluster import Cluster
from tests.system.ports import own_addresses
from tests.system.supervised import Up

__all__ = ["shown"]


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
