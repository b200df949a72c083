"""From the calls that strace saw to what happened to one disk: operations, in order.

Rule 1: several processes may follow each other on one disk; what was not synced when one died is still only
        in the kernel's memory when the next one starts.
Rule 2: a call that could change the disk and that is not understood is an error, never skipped.
Rule 3: a sync covers what had been written when it began; what other threads wrote meanwhile may be left out.
Assumption: nobody else writes below `root` while it is recorded; paths are absolute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from bankrmi.robustness.power_loss.operations import (
    DirectorySynced,
    FileSynced,
    MadeDirectory,
    Named,
    Operation,
    Renamed,
    Resized,
    Unnamed,
    Written,
    above,
)
from bankrmi.robustness.power_loss.strace import SystemCall, fd_path, strings
from bankrmi.robustness.power_loss.told import Listener

__all__ = ["DiskRecorder", "cut_writes_done"]

_HARMLESS = frozenset({"sync_file_range", "lseek", "mmap"})
_SHARED_MEMORY = "-shm"
"""SQLite's index of a write-ahead log: made anew after a crash, never trusted, and mapped into memory."""


class DiskRecorder:
    """Reads the calls of one process after the other, all on the disk below `root`."""

    def __init__(self, root: Path, *, witness: bool = False) -> None:
        self.operations: list[Operation] = []
        self.lay_there = 0
        """How many syncs stand for what was on the disk before."""
        self._root = f"{root}/"
        self._witness = witness
        self._names: dict[str, int] = {}
        self._directories: set[str] = {""}
        self._gone: dict[str, int] = {}
        self._sizes: dict[int, int] = {}
        self._changes: dict[int, list[SystemCall | None]] = {}
        """Of each file's content: the calls that made them."""
        self._call: SystemCall | None = None
        self._places: dict[int, int] = {}
        self._listener = Listener(witness=witness)

    def lies_there(self, path: str, content: bytes) -> None:
        """Begin with this file on the disk, synced."""
        self._make_directory(above(path))
        file = self._make(path)
        self._take(Written(file, 0, content))
        self.operations += [FileSynced(file), DirectorySynced(above(path))]
        self.lay_there = sum(isinstance(one, FileSynced | DirectorySynced) for one in self.operations)

    def _make_directory(self, path: str) -> None:
        if path not in self._directories:
            self._make_directory(above(path))
            self._directories.add(path)
            self._take(MadeDirectory(path))
            self.operations.append(DirectorySynced(above(path)))

    def take_process(self, calls: Iterable[SystemCall], cut_done: frozenset[float] = frozenset()) -> None:
        """Take all calls of one process; `cut_done` says which of those it was killed in were done."""
        self._places = {}
        self._listener = Listener(witness=self._witness)
        for call in calls:
            done = call.began in cut_done if call.returned is None else call.returned >= 0
            if done:
                self._take_call(call)

    def _take_call(self, call: SystemCall) -> None:
        self._call = call
        handler = getattr(self, f"_{call.name}", None)
        if handler is not None:
            handler(call)
        elif any(self._inside(path) is not None for path in _paths(call)) and call.name not in _HARMLESS:
            raise ValueError(f"a call that the model does not know: {call.name}({call.arguments[:200]}")

    def _inside(self, path: str) -> str | None:
        """Return the path below our root; None for what lies elsewhere."""
        if f"{path}/" == self._root:
            return ""
        return path[len(self._root) :] if path.startswith(self._root) else None

    def _take(self, operation: Operation) -> None:
        self.operations.append(operation)
        if isinstance(operation, Written | Resized):
            self._changes.setdefault(operation.file, []).append(self._call)
        if isinstance(operation, Written):
            end = operation.offset + len(operation.data)
            self._sizes[operation.file] = max(self._sizes[operation.file], end)
        elif isinstance(operation, Resized):
            self._sizes[operation.file] = operation.size

    def _make(self, path: str) -> int:
        file = self._names[path] = len(self._sizes) + 1
        self._sizes[file] = 0
        self._take(Named(path, file))
        return file

    def _file(self, call: SystemCall) -> int | None:
        """Return the file that the call's first descriptor means; None if it is not ours."""
        found = fd_path(call.arguments)
        inside = None if found is None else self._inside(found[1])
        if found is None or inside is None or inside.endswith(_SHARED_MEMORY):
            return None
        return self._gone[inside] if found[2] else self._names.get(inside)

    # -- names -----------------------------------------------------------------------------------

    def _openat(self, call: SystemCall) -> None:
        found = fd_path(f"{call.returned}{call.rest}")
        inside = None if found is None else self._inside(found[1])
        if found is None or inside is None or inside in self._directories or inside.endswith(_SHARED_MEMORY):
            return
        if inside not in self._names:
            if "O_CREAT" not in call.arguments:
                raise ValueError(f"{inside} was opened, and nothing is known of it")
            self._make(inside)
        file = self._names[inside]
        if "O_TRUNC" in call.arguments and self._sizes[file]:
            self._take(Resized(file, 0))
        self._places[found[0]] = -1 if "O_APPEND" in call.arguments else 0

    _open = _openat

    def _mkdir(self, call: SystemCall) -> None:
        for inside in self._named_in(call):
            self._directories.add(inside)
            self._take(MadeDirectory(inside))

    _mkdirat = _mkdir

    def _unlink(self, call: SystemCall) -> None:
        for inside in self._named_in(call):
            if not inside.endswith(_SHARED_MEMORY):
                self._gone[inside] = self._names.pop(inside)
                self._take(Unnamed(inside))

    _unlinkat = _unlink

    def _rename(self, call: SystemCall) -> None:
        match self._named_in(call):
            case [path, to]:
                if to in self._names:
                    self._gone[to] = self._names[to]
                file = self._names[to] = self._names.pop(path)
                self._take(Renamed(path, to, file))
            case [_]:
                raise ValueError(f"a file came in, or went out: {call.arguments[:200]}")

    _renameat = _renameat2 = _rename

    def _named_in(self, call: SystemCall) -> list[str]:
        paths = [name.decode() for name in strings(call.arguments)]
        if any(not path.startswith("/") for path in paths):
            raise ValueError(f"a path that is not absolute: {paths}")
        return [inside for path in paths if (inside := self._inside(path)) is not None]

    # -- contents --------------------------------------------------------------------------------

    def _pwrite64(self, call: SystemCall) -> None:
        file = self._file(call)
        if file is not None:
            data = strings(call.arguments)[0]
            offset = int(call.arguments.rpartition(",")[2])
            self._take(Written(file, offset, data[: call.returned]))

    def _write(self, call: SystemCall) -> None:
        found = fd_path(call.arguments)
        if found is not None and found[1].startswith("socket:"):
            self._sendto(call)
            return
        file = self._file(call)
        if file is not None and found is not None:
            data = b"".join(strings(call.arguments))[: call.returned]
            place = self._places[found[0]]
            self._take(Written(file, self._sizes[file] if place < 0 else place, data))
            if place >= 0:
                self._places[found[0]] = place + len(data)

    _writev = _write

    def _lseek(self, call: SystemCall) -> None:
        found = fd_path(call.arguments)
        if found is not None and self._places.get(found[0], -1) >= 0 and call.returned is not None:
            self._places[found[0]] = call.returned

    def _ftruncate(self, call: SystemCall) -> None:
        file = self._file(call)
        if file is not None:
            size = int(call.arguments.rpartition(",")[2])
            if size != self._sizes[file]:
                self._take(Resized(file, size))

    def _fallocate(self, call: SystemCall) -> None:
        file = self._file(call)
        if file is not None:
            _, mode, offset, size = call.arguments.rsplit(",", 3)
            if mode.strip() != "0":
                raise ValueError(f"a fallocate of an unknown kind: {mode}")
            self._take(Resized(file, max(self._sizes[file], int(offset) + int(size))))

    def _mmap(self, call: SystemCall) -> None:
        if "MAP_SHARED" in call.arguments and "PROT_WRITE" in call.arguments:
            for path in _paths(call):
                inside = self._inside(path)
                if inside is not None and not inside.endswith(_SHARED_MEMORY):
                    raise ValueError(f"{inside} is written through memory, which strace cannot see")

    # -- syncing, telling --------------------------------------------------------------------------

    def _fsync(self, call: SystemCall) -> None:
        found = fd_path(call.arguments)
        inside = None if found is None else self._inside(found[1])
        if inside is not None and inside in self._directories:
            self.operations.append(DirectorySynced(inside))
            return
        file = self._file(call)
        if file is not None:
            self.operations.append(FileSynced(file, self._covered(file, call)))

    _fdatasync = _fsync

    def _covered(self, file: int, sync: SystemCall) -> int:
        """Return how many changes of a file had ended when this sync began."""
        changes = self._changes.get(file, [])
        covered = len(changes)
        while covered and _may_be_later(changes[covered - 1], sync):
            covered -= 1
        return covered

    def _sendto(self, call: SystemCall) -> None:
        found = fd_path(call.arguments)
        if found is not None and found[1].startswith("socket:"):
            data = b"".join(strings(call.arguments))[: call.returned]
            self.operations += self._listener.hears(found[1], data)

    _sendmsg = _sendto


def _may_be_later(change: SystemCall | None, sync: SystemCall) -> bool:
    """Whether another thread had not ended this change when the sync began."""
    return change is not None and change.thread != sync.thread and change.ended > sync.began


def cut_writes_done(calls: Iterable[SystemCall]) -> frozenset[float]:
    """Return when those writes began that were done, though their process was killed in them.

    To be asked before anybody else writes there. A write whose data strace came too late to read was not done
    (rule 4 of the module strace).
    """
    done = set()
    for call in calls:
        found, texts = fd_path(call.arguments), strings(call.arguments)
        if call.name == "pwrite64" and found is not None and not found[2] and texts:
            data, offset = texts[0], int(call.arguments.rpartition(",")[2])
            with Path(found[1]).open("rb") as file:
                file.seek(offset)
                if file.read(len(data)) == data:
                    done.add(call.began)
    return frozenset(done)


def _paths(call: SystemCall) -> Iterator[str]:
    """Every path among the arguments: of descriptors, and as strings."""
    for part in call.arguments.split(", "):
        found = fd_path(part)
        if found is not None:
            yield found[1]
        for text in strings(part) if part.startswith('"') else ():
            yield text.decode(errors="replace")
