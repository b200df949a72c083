"""A program that is none of ours, kept: `python -m bankrmi.patroni.kept OPTIONS -- PROGRAM ARGUMENT …`.

Patroni starts PostgreSQL as nobody's child, so that it outlives Patroni; and none of them knows of `up`. So
two processes stand in between. Both adopt whoever in their descent loses his parent: so all can be found.

    up, chaos ──> the front ──> the keeper ──> the program ──> its children, …

Rule 1: whichever of the two ends, by whatever signal, the other ends all that is left. Only who kills both at
        once leaves something behind.
Rule 2: SIGTERM and SIGINT end the program in its own time, and then the rest; SIGQUIT ends all at once.
        SIGHUP ends nothing: `up` passes it on so that logs are opened anew, and these are not.
Rule 3: a program that ends by itself takes all with it, and its exit code is ours. With `--hold`, one that is
        killed is started again, as a service manager would, and its children live on meanwhile; and not as
        long as that file is there.
Assumption: Linux; and whoever runs this may signal all whom the program starts.
"""

from __future__ import annotations

import argparse
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from http.client import OK
from pathlib import Path

from bankrmi.parent_death import adopt_orphans, end_with_parent
from bankrmi.patroni.descent import descendants, signal_all
from bankrmi.patroni.http import asked_http
from bankrmi.readiness import say_ready

__all__ = ["kept_command", "main"]

_TOLD = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_AWAITED = frozenset({*_TOLD, signal.SIGHUP, signal.SIGCHLD})
_LOOK_S = 0.1
_AGAIN_S = 0.2
_ANSWER_S = 0.5
_REAP_S = 0.01
_NOT_FOR_OTHERS = ("BANKRMI_", "PATRONI_", "PG", "PYTHON", "ETCD_")
"""What of our environment would change what a program does that is configured by its own files."""


def kept_command(
    words: Sequence[str],
    *,
    parent_pid: str,
    name: str,
    address: str,
    user: str | None = None,
    folder: Path | None = None,
    hold: Path | None = None,
    ready: Sequence[str] = (),
) -> list[str]:
    """Return the command that keeps a program, as `user` if we are root, in this folder.

    With `ready`, places (host:port/path) of which one answers with success when it does its work, that is
    told to whoever starts it, with name and address.
    """
    command = [sys.executable, "-m", __name__, "--parent-pid", parent_pid, "--name", name]
    command += [] if user is None else ["--user", user]
    command += [] if folder is None else ["--folder", str(folder)]
    command += [] if hold is None else ["--hold", str(hold)]
    if ready:
        command += ["--address", address, "--ready-fd", "{ready_fd}"]
        command += [part for place in ready for part in ("--ready-at", place)]
    return [*command, "--", *words]


def main(arguments: Sequence[str]) -> int:
    """Keep a program to its end; return the exit code of the front, or of the keeper."""
    asked = _asked(arguments)
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    adopt_orphans()
    end_with_parent(asked.parent_pid, signal.SIGQUIT)
    front = os.getpid()
    keeper = os.fork()
    if keeper == 0:
        adopt_orphans()
        end_with_parent(front, signal.SIGQUIT)
        return _Keeper(asked).keep()
    if asked.ready_fd is not None:
        os.close(asked.ready_fd)
    return _stand_in_front_of(keeper)


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bankrmi.patroni.kept", description=(__doc__ or "").splitlines()[0])
    for option in ("--parent-pid", "--ready-fd"):
        parser.add_argument(option, type=int)
    for option in ("--folder", "--hold"):
        parser.add_argument(option, type=Path)
    for option in ("--user", "--name", "--address"):
        parser.add_argument(option)
    parser.add_argument("--ready-at", action="append", default=[])
    parser.add_argument("words", nargs="+")
    return parser.parse_args(arguments)


def _stand_in_front_of(keeper: int) -> int:
    """Pass signals on to the keeper; when it is gone, end all that it left, and return its exit code."""
    while True:
        number = signal.sigwait(_AWAITED)
        if number in _TOLD:
            os.kill(keeper, number)
        for pid, code in _reaped():
            if pid == keeper:
                _end_all()
                return code if code >= 0 else 128 - code


def _reaped() -> list[tuple[int, int]]:
    """Wait for all children that have ended; return them with how they did."""
    ended = []
    with suppress(ChildProcessError):
        while (one := os.waitpid(-1, os.WNOHANG))[0]:
            ended.append((one[0], os.waitstatus_to_exitcode(one[1])))
    return ended


def _end_all() -> None:
    """End everybody who descends from us; return when nobody is left."""
    while left := descendants(os.getpid()):
        signal_all(left, signal.SIGKILL)
        _reaped()
        time.sleep(_REAP_S)


class _Keeper:
    """The parent of the program."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self._asked = asked
        self._stopping = False
        self._is_ready = not asked.ready_at

    def keep(self) -> int:
        """Run the program to its end, perhaps more than once; return the exit code."""
        while True:
            code = self._run()
            if not self._is_started_again(code):
                break
        _end_all()
        return 0 if self._stopping else code if code >= 0 else 128 - code

    def _run(self) -> int:
        asked = self._asked
        group = None if asked.user is None else pwd.getpwnam(asked.user).pw_gid
        program = subprocess.Popen(
            asked.words,
            stdin=subprocess.DEVNULL,
            user=asked.user,
            group=group,
            extra_groups=None if asked.user is None else [],
            cwd=asked.folder,
            env=_environment(),
            start_new_session=True,
            preexec_fn=_let_through,
        )
        while True:
            number = self._next_signal()
            if number == signal.SIGQUIT:
                self._stopping = True
                _end_all()
                return 0
            if number in _TOLD:
                self._stopping = True
                signal_all(descendants(os.getpid()), signal.SIGCONT)  # Who stands still hears nothing.
                with suppress(ProcessLookupError):
                    os.kill(program.pid, signal.SIGTERM)
            for pid, code in _reaped():
                if pid == program.pid:
                    program.returncode = code  # It is waited for by us, and by nobody else.
                    return code

    def _next_signal(self) -> int | None:
        """Return the next signal; None if there was none while the program is not ready yet."""
        if self._is_ready:
            return signal.sigwait(_AWAITED)
        found = signal.sigtimedwait(_AWAITED, _LOOK_S)
        if found is not None:
            return found.si_signo
        self._look()
        return None

    def _look(self) -> None:
        asked = self._asked
        if any(map(_answers, asked.ready_at)):
            say_ready(asked.ready_fd, server=asked.name, address=asked.address)
            self._is_ready = True

    def _is_started_again(self, code: int) -> bool:
        """Return whether it is; waits for the moment."""
        hold: Path | None = self._asked.hold
        if self._stopping or hold is None or code >= 0:
            return False
        again_s = time.monotonic() + _AGAIN_S
        while hold.exists() or time.monotonic() < again_s:
            found = signal.sigtimedwait(_AWAITED, _LOOK_S)
            if found is not None and found.si_signo in _TOLD:
                self._stopping = True
                return False
            _reaped()
        return True


def _answers(place: str) -> bool:
    address, _, path = place.partition("/")
    return asked_http(address, "GET", f"/{path}", seconds=_ANSWER_S)[0] == OK


def _let_through() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_NOT_FOR_OTHERS)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
