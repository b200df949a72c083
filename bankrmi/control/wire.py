"""What `up` and whoever asks it say: a JSON object in a line; and where the socket is.

{"do": "cut", "ways": [["s1", "s2"]]}      {"held": 7}
{"undo": 7}                                {}
{"tell": true}                             {"told": {…}}
                                           {"error": "a sentence"}
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["LINE_BYTES", "SOCKET", "as_line", "from_line", "short_path"]

SOCKET = "up.sock"
"""In the data directory; no server can be called that."""
LINE_BYTES = 16_000


def as_line(what: Mapping[str, Any]) -> bytes:
    """Return it as a line."""
    return json.dumps(what, separators=(",", ":")).encode() + b"\n"


def from_line(line: bytes) -> dict[str, Any]:
    """Read a line; raises ValueError."""
    try:
        read = json.loads(line)
    except RecursionError:
        raise ValueError("that is nested too deep") from None
    if not isinstance(read, dict):
        raise ValueError("a JSON object is wanted")
    return read


@contextmanager
def short_path(directory: Path) -> Iterator[str]:
    """Give a name of the socket that is short enough for the kernel, however deep the directory lies.

    Raises OSError.
    """
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)
