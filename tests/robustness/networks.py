"""Networks of our own, for the tests that need one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import pytest

from bankrmi.robustness.chaos.network import NoNamespaces

Given = ParamSpec("Given")


def in_a_thread(test: Callable[Given, None]) -> Callable[Given, None]:
    """Run a test in a thread of its own: only that one leaves the network of the others."""

    @wraps(test)
    def run(*args: Given.args, **kwargs: Given.kwargs) -> None:
        failures: list[BaseException] = []
        missing_here: list[str] = []

        def body() -> None:
            try:
                test(*args, **kwargs)
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

    return run
