from __future__ import annotations

import os
import signal
import sys

import pytest
from hypothesis import settings

# Two cores, many processes: a deadline for each example would test the machine, not the code.
settings.register_profile("bankrmi", deadline=None, print_blob=True)
settings.load_profile("bankrmi")

# In the background of a script (`make test &`) Ctrl-C is ignored, also by all that is started from there.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests start hundreds of processes: with PYTHONDONTWRITEBYTECODE each would compile all of bankrmi anew,
# which takes as long as all else that it does.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.fixture(autouse=True)
def _environment_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the BANKRMI_* variables of whoever runs it."""
    for variable in [name for name in os.environ if name.startswith("BANKRMI_")]:
        monkeypatch.delenv(variable)
