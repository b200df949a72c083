"""A recording: a file of events, written line by line, and read though others may have written it.

Rule 1: what is written is only ever appended, and whole at every moment but for its last line: whoever reads
        it reads over a line that is torn.
Rule 2: a file has a budget, for whoever writes it and for whoever reads it.
Rule 3: a line that is no event is left out, and said, once for all of them.
"""

from __future__ import annotations

import gzip
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bankrmi.console.events import AnyEvent, HelloEvent, UnknownKind, event_of, read_event, text_of
from bankrmi.counted import counted
from bankrmi.errors import BankError, ConfigurationError, OperationFailed
from bankrmi.foreign_text import foreign
from bankrmi.storage.database import private_opener

__all__ = ["READ_BYTES", "BudgetSpent", "ReadRecording", "Recording", "packed", "read_recording"]

READ_BYTES = 512 << 20
"""Of a recording, unpacked: half a day of a busy bank."""
LINE_BYTES = 1 << 20
LINES = 4_000_000
BAD_LINES = 1_000
"""With more of them it is something else."""
_GZIP_MAGIC = b"\x1f\x8b"
_PIECE = 1 << 16


class BudgetSpent(BankError):
    """The recording has grown as large as it may."""


class Recording:
    """One that is being written; each event is with the system before the next one comes."""

    def __init__(
        self, path: Path, hello: HelloEvent, *, now_ms: Callable[[], float], most_bytes: int
    ) -> None:
        """Begin a file that is not there yet.  Raises ConfigurationError if it is, or cannot be."""
        self._now_ms = now_ms
        self._most_bytes = most_bytes
        self.path = path
        self.bytes = 0
        try:
            self._file = open(path, "xb", buffering=0, opener=private_opener)  # noqa: SIM115 (until `close`)
        except FileExistsError:
            raise ConfigurationError(f"{path} is there already: name a file that is not") from None
        except OSError as error:
            raise ConfigurationError(f"the recording {path} cannot be written: {error.strerror}") from None
        self._packer = zlib.compressobj(wbits=31) if path.suffix == ".gz" else None
        self.write(hello)

    def put(self, kind: str, **values: Any) -> None:
        """Write an event that happens now.  Raises BudgetSpent, OperationFailed."""
        self.write(event_of(kind, self._now_ms(), values))

    def write(self, event: AnyEvent) -> None:
        """Write an event.  Raises BudgetSpent, OperationFailed."""
        line = text_of(event).encode() + b"\n"
        if self._packer is not None:
            line = self._packer.compress(line) + self._packer.flush(zlib.Z_SYNC_FLUSH)
        if self.bytes + len(line) > self._most_bytes:
            self._packer = None  # What it has taken in is not in the file.
            raise BudgetSpent(f"{self.path} has reached {self._most_bytes >> 20} MB")
        self._append(line)

    def _append(self, content: bytes) -> None:
        try:
            while content:
                written = self._file.write(content) or 0
                self.bytes += written
                content = content[written:]
        except OSError as error:
            raise OperationFailed(f"{self.path} cannot be written any more: {error.strerror}") from error

    def close(self) -> None:
        """End it in good order; what cannot be written any more is only the end of a packed file."""
        if not self._file.closed:
            if self._packer is not None:
                with suppress(OperationFailed):
                    self._append(self._packer.flush())
            self._file.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRecording:
    """One that was read."""

    hello: HelloEvent
    events: tuple[AnyEvent, ...]
    """All of them, `hello` first, each as it is described."""
    left_out: str
    """What could not be read, in a sentence; empty if all could."""


def read_recording(path: Path, *, most_bytes: int = READ_BYTES) -> ReadRecording:
    """Read what somebody may have recorded.  Raises ConfigurationError if it is no recording, or too long."""
    try:
        with path.open("rb") as file:
            return _read(path, file, most_bytes)
    except OSError as error:
        raise ConfigurationError(f"the recording {path} cannot be read: {error.strerror}") from None


def _read(path: Path, file: IO[bytes], most_bytes: int) -> ReadRecording:
    lines = _lines(path, file, most_bytes)
    hello = _hello(path, next(lines, (b"", True)))
    events: list[AnyEvent] = [hello]
    bad, unknown, first = 0, 0, ""
    for number, (line, is_whole) in enumerate(lines, 2):
        if bad > BAD_LINES or number > LINES:
            too_many = f"{BAD_LINES} of its lines are no events" if bad > BAD_LINES else f"{LINES} lines"
            raise ConfigurationError(f"{path} cannot be shown: over {too_many}")
        try:
            event = read_event(line)
            if isinstance(event, HelloEvent):
                raise ValueError("a second beginning")
            events.append(event)
        except UnknownKind:
            unknown += 1
        except ValueError as error:
            if is_whole:  # Else whoever wrote it was killed.
                bad += 1
                first = first or f"line {number}: {foreign(error)}"
    said = _left_out(path, bad, first, unknown)
    return ReadRecording(hello=hello, events=tuple(events), left_out="; ".join(said))


def _left_out(path: Path, bad: int, first: str, unknown: int) -> Iterator[str]:
    if bad:
        yield f"{counted(bad, 'line')} of {path} {'is no event' if bad == 1 else 'are no events'} ({first})"
    if unknown:
        are = "is" if unknown == 1 else "are"
        yield f"{counted(unknown, 'event')} of {path} {are} of a kind that this version does not know"


def _hello(path: Path, first: tuple[bytes, bool]) -> HelloEvent:
    try:
        event = read_event(first[0])
    except ValueError as error:
        newer = "format" in str(error)
        raise ConfigurationError(
            f"{path} is a recording of another version of bankrmi: read it with that one"
            if newer
            else f"{path} is no recording of bankrmi: it does not begin as one"
        ) from None
    if not isinstance(event, HelloEvent):
        raise ConfigurationError(f"{path} is no recording of bankrmi: it does not begin as one")
    return event


def _lines(path: Path, file: IO[bytes], most_bytes: int) -> Iterator[tuple[bytes, bool]]:
    """Yield each line, and whether it has its end."""
    rest, read = bytearray(), 0
    for piece in _pieces(path, file):
        read += len(piece)
        if read > most_bytes:
            raise ConfigurationError(f"{path} is longer than {most_bytes >> 20} MB: too long for one page")
        rest += piece
        *whole, last = rest.split(b"\n")
        rest = last
        if len(rest) > LINE_BYTES or any(len(line) > LINE_BYTES for line in whole):
            raise ConfigurationError(
                f"{path} is no recording of bankrmi: it has a line of over {LINE_BYTES >> 20} MB"
            )
        for line in whole:
            yield bytes(line), True
    if rest:
        yield bytes(rest), False


def _pieces(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    """Yield the content, unpacked if it is packed; as far as it goes."""
    piece = file.read(_PIECE)
    if not piece.startswith(_GZIP_MAGIC):
        while piece:
            yield piece
            piece = file.read(_PIECE)
        return
    unpacker = zlib.decompressobj(wbits=31)
    try:
        while piece and not unpacker.eof:
            yield unpacker.decompress(piece, _PIECE)
            while unpacker.unconsumed_tail:
                yield unpacker.decompress(unpacker.unconsumed_tail, _PIECE)
            piece = file.read(_PIECE)
    except zlib.error as error:
        raise ConfigurationError(f"{path} is damaged: it cannot be unpacked ({error})") from None


def packed(events: Iterable[AnyEvent]) -> str:
    """Return all of it as a page has it within itself: gzip, as base64."""
    content = "".join(text_of(event) + "\n" for event in events).encode()
    return b64encode(gzip.compress(content, mtime=0)).decode()
