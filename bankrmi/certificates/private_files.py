"""Files read with care, and written whole or not at all.

Rule 1: a file that is read is a plain one, of a bounded size; nothing waits for a pipe that never ends.
Rule 2: a private key that others can read is not used; what everybody may write is not believed.
Rule 3: what is written is there after a power loss, or not at all; nothing is replaced unasked.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bankrmi.errors import ConfigurationError, OperationFailed

__all__ = ["DIRECTORY_MODE", "make_folder", "owned", "read_file", "read_secret", "write_file", "write_files"]

DIRECTORY_MODE = 0o700
_FILE_MODE = 0o600
_BYTES_AT_MOST = 1 << 20
_ROOT = 0


def read_file(file: Path) -> bytes:
    """Return the content of a file that nobody but its owner and group can have written.

    Raises FileNotFoundError; ConfigurationError for whatever else is wrong with it.
    """
    content, found = _read(file)
    if found.st_mode & stat.S_IWOTH:
        raise ConfigurationError(f"{file} can be written by everybody: chmod o-w {file}")
    return content


def read_secret(file: Path) -> bytes:
    """Return the content of a file that is its owner's secret.

    A file of root's may be readable by its group, as service managers and containers hand it out.

    Raises FileNotFoundError; ConfigurationError for whatever else is wrong with it.
    """
    content, found = _read(file)
    handed_out = found.st_uid == _ROOT and os.geteuid() != _ROOT
    if found.st_mode & (0o027 if handed_out else 0o077):
        mode = stat.S_IMODE(found.st_mode)
        raise ConfigurationError(
            f"{file} can be used by others than its owner (mode {mode:04o}), and a private key has to be "
            f"a secret: chmod 600 {file}"
        )
    return content


def _read(file: Path) -> tuple[bytes, os.stat_result]:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ConfigurationError(f"{file} is not a plain file")
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                content = stream.read(_BYTES_AT_MOST + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{file} cannot be read ({getattr(error, 'strerror', None) or error})"
        ) from error
    if len(content) > _BYTES_AT_MOST:
        raise ConfigurationError(f"{file} has over {_BYTES_AT_MOST} bytes, which is far too many")
    return content, found


def make_folder(folder: Path) -> None:
    """Make a folder for its owner only; one that is there keeps its mode. Raises OperationFailed."""
    try:
        folder.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise OperationFailed(f"{folder} cannot be made: {error.strerror}") from error


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Keep every other `bankrmi cert` out of the folder meanwhile; raises OperationFailed if one is in it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise OperationFailed(f"{folder} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise OperationFailed(
            f"another `bankrmi cert` is at work in {folder}: try again when it is done"
        ) from error
    finally:
        os.close(descriptor)


def write_file(file: Path, content: bytes, *, replace: bool = False) -> None:
    """Write one file; see `write_files`."""
    write_files([(file, content)], replace=replace)


def write_files(files: Sequence[tuple[Path, bytes]], *, replace: bool = False) -> None:
    """Write files of one folder, for their owner only; none takes its place before all are on the disk.

    Raises ConfigurationError if there is one that is not to be replaced; OperationFailed if it fails.
    """
    beside = {file: file.with_name(f".{secrets.token_hex(8)}.tmp") for file, _ in files}
    written = files[0][0]
    try:
        for written, content in files:
            _write_through(beside[written], content)
        for written, waiting in beside.items():
            if replace:
                waiting.replace(written)
            else:
                written.hardlink_to(waiting)
        _sync(written.parent)
    except FileExistsError:
        raise ConfigurationError(f"{written} is there already") from None
    except OSError as error:
        raise OperationFailed(f"{written} cannot be written: {error.strerror}") from error
    finally:
        for waiting in beside.values():
            with suppress(OSError):
                waiting.unlink(missing_ok=True)


def _write_through(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
