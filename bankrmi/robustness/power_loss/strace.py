"""strace: the command that records a process, and what it wrote, line by line.

Rule 1: with `-D` the process that we start is the one recorded: signals and exit codes are its own.
Rule 2: one file a thread (`-ff`): each line is a whole call, with the time when it began and its duration.
Rule 3: a line that cannot be read is an error, never skipped.
Rule 4: a thread killed at the door of a call did not make it: Linux skips a call at whose beginning a tracer
    is told if the thread is being killed. There strace comes too late to read the data, or even which call it
    is (`???`).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bankrmi.errors import OperationFailed

__all__ = ["SystemCall", "calls", "cut_off", "failing", "fd_path", "recording", "strings", "without_strace"]

_FILES = "openat,open,creat,lseek,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate"
_NAMES = "rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,symlink,symlinkat"
_SYNCS = "fsync,fdatasync,sync_file_range,syncfs,sync,mmap,copy_file_range,sendfile,splice,io_uring_setup"
_SOCKETS = "sendto,sendmsg,sendmmsg"
_LONGEST = 1 << 27
_TAIL_BYTES, _TAIL_LINES = 1 << 24, 3
"""Where the last calls of a thread are found; longer lines are those of sockets."""

_LINE = re.compile(r"(\d+\.\d+) (\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+|\?)(.*?)(?: <(\d+\.\d+)>)?\n?")
_UNFINISHED = re.compile(r"(\d+\.\d+) (\w+)\((.*?)(?: <(?:unfinished|detached) \.\.\.>|\)? += \?.*)\n?")
_WITHOUT_CALL = re.compile(r"^\s*$| exited with |killed by| resumed>|^\d+\.\d+ \?\?\?\(\) += \?$")
_STRING = re.compile(r'"([\\x0-9a-f]*)"(\.\.\.)?')  # `-xx` escapes every byte.
_DESCRIPTOR = re.compile(r"(\d+)<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemCall:
    """One call of the system, of one thread; `returned` is None if the process died in it."""

    began: float
    ended: float
    name: str
    arguments: str
    returned: int | None
    rest: str
    thread: int = 0


def without_strace() -> str | None:
    """Return the sentence for a machine on which strace is not installed; None if it is."""
    if shutil.which("strace") is None:
        return "strace is not installed: apt install strace"
    return None


def recording(output: Path, command: list[str]) -> list[str]:
    """Return the command that runs `command` and writes down what it does to files and sockets."""
    _check()
    traced = f"trace={_FILES},{_NAMES},{_SYNCS},{_SOCKETS}"
    how = ["-D", "-ff", "-f", "--seccomp-bpf", "-qqq", "-ttt", "-T", "-y", "-xx", "-s", str(_LONGEST)]
    return ["strace", *how, "-e", "signal=none", "-e", traced, "-o", str(output), *command]


def failing(output: Path, names: str, error: str, when: str, command: list[str]) -> list[str]:
    """Return the command that runs `command` and has the calls of these names fail.

    `when` is "7" for the seventh call of each name alone, "7+" for that and all later ones. What goes out on
    sockets is written down, too.
    """
    _check()
    how = ["-D", "-ff", "-f", "--seccomp-bpf", "-qqq", "-ttt", "-T", "-y", "-xx", "-s", str(_LONGEST)]
    inject = ["-e", f"trace={names},{_SOCKETS}", "-e", f"inject={names}:error={error}:when={when}"]
    return ["strace", *how, "-e", "signal=none", *inject, "-o", str(output), *command]


def _check() -> None:
    missing = without_strace()
    if missing is not None:
        raise OperationFailed(missing)


def calls(output: Path) -> list[SystemCall]:
    """Return all calls of all threads of one process, in the order in which they took effect."""
    found: list[SystemCall] = []
    for thread, file in enumerate(sorted(output.parent.glob(f"{output.name}.*"))):
        with file.open(encoding="ascii") as lines:
            found += _calls(lines, thread)
    return sorted(found, key=lambda call: call.ended if call.name in _SYNCS else call.began)


def cut_off(output: Path) -> list[SystemCall]:
    """Return the calls in which the threads of a process were when it was killed."""
    found: list[SystemCall] = []
    for file in sorted(output.parent.glob(f"{output.name}.*")):
        with file.open("rb") as lines:
            begin = max(0, file.stat().st_size - _TAIL_BYTES)
            lines.seek(begin)
            tail = lines.read().decode("ascii").split("\n")
        whole = tail[1:] if begin else tail  # What stands before the first end of a line is a part of one.
        found += [call for call in _calls(whole[-_TAIL_LINES:]) if call.returned is None]
    return found


def _calls(lines: Iterable[str], thread: int = 0) -> Iterator[SystemCall]:
    for line in lines:
        whole = _LINE.fullmatch(line)
        if whole is not None and whole[4] != "?":
            began, took = float(whole[1]), float(whole[6] or 0)
            yield SystemCall(
                began=began,
                ended=began + took,
                name=whole[2],
                arguments=whole[3],
                returned=int(whole[4], 0),
                rest=whole[5],
                thread=thread,
            )
        elif _WITHOUT_CALL.search(line) is None:
            cut = _UNFINISHED.fullmatch(line)
            if cut is None:
                raise ValueError(f"a line of strace that cannot be read: {line[:200]!r}")
            began = float(cut[1])
            yield SystemCall(
                began=began, ended=began, name=cut[2], arguments=cut[3], returned=None, rest="", thread=thread
            )


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


def strings(text: str) -> list[bytes]:
    """Return all strings among the arguments."""
    found = []
    for match in _STRING.finditer(text):
        if match[2]:
            raise ValueError("strace cut a string off")
        found.append(_bytes(match[1]))
    return found


def fd_path(text: str) -> tuple[int, str, bool] | None:
    """Return number, path and "is it deleted?" of the descriptor that the text begins with."""
    match = _DESCRIPTOR.match(text)
    if match is None:
        return None
    return int(match[1]), os.fsdecode(_bytes(match[2])), match[3] is not None
