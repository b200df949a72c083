"""What Linux makes of pages whose sync has failed: they count as written, and are not."""

from __future__ import annotations

import errno
import os
from itertools import chain, zip_longest
from pathlib import Path

import pytest


class ForgetfulDisk:
    """A log whose sync fails once; then its pages count as written, and are not, as Linux has it."""

    def __init__(self, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._log = log
        self._durable = log.read_bytes()
        self._at_failure: bytes | None = None
        self._again: list[range] = []
        self.fails_next = False
        self._pwrite = os.pwrite
        monkeypatch.setattr(os, "pwrite", self._write)
        monkeypatch.setattr(os, "fdatasync", self._sync)

    def _write(self, descriptor: int, content: bytes, offset: int) -> int:
        if len(content) > 1 << 12:
            content = content[: len(content) // 2]  # A short write is none that failed.
        written = self._pwrite(descriptor, content, offset)
        self._again.append(range(offset, offset + written))
        return written

    def _sync(self, descriptor: int) -> None:
        content = self._log.read_bytes()
        if self.fails_next:
            self.fails_next, self._at_failure = False, content
            self._again.clear()
            raise OSError(errno.EIO, "the disk is on fire")
        self._durable = content if self._at_failure is None else self._what_was_written_again(content)

    def _what_was_written_again(self, content: bytes) -> bytes:
        before = self._at_failure
        assert before is not None
        durable = bytearray(self._durable.ljust(len(content), b"\0"))
        changed = [at for at, (was, now) in enumerate(zip_longest(before, content)) if was != now]
        for at in chain(changed, *self._again):
            durable[at] = content[at]
        return bytes(durable)

    def lose_power(self) -> None:
        self._log.write_bytes(self._durable)
