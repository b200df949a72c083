"""Networks of our own, for the tests that need one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from bankrmi.robustness.chaos.network import NoNamespaces


def in_a_thread(test: Callable[[], None]) -> Callable[[], None]:
    """Run a test in a thread of its own: only that one leaves the network of the others."""

    def run() -> None:
        failures: list[BaseException] = []
        missing_here: list[str] = []

        def body() -> None:
            try:
                test()
            except NoNamespaces as missing:
                if os.environ.get("CI"):
                    failures.append(missing)
                else:
                    missing_here.append(str(missing))
            except BaseException as failure:
                failures.append(failure)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if failures:
            raise failures[0]
        if missing_here:
            pytest.skip(missing_here[0])

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
