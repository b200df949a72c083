"""Processes of bankrmi that start in milliseconds: forked from an interpreter that has imported all of it.

    run(["status"], timeout=60)                                    one command to its end
    start(["server", "s1"], stdin=null, stdout=log, stderr=log)    one that goes on
    terminal(["menu"])                                             one on a terminal of its own
    Popen([sys.executable, "-m", "bankrmi", ...], stdout=PIPE)     as `subprocess.Popen`, for modules of ours,
                                                                   and programs that use them
    run_command([sys.executable, "examples/x.py"], timeout=60)     one of these to its end

Tests start about a thousand processes, and to import what a server needs takes half a second of CPU: half of
what the default run took. Here one interpreter, a child of ours, imports it once, and each process is a fork
of it that runs the command line from its first line, with the arguments, files, folder and environment that
it is given. It is as real a process as any other: a child of ours, with a pid, to be killed, paused and
waited for. What it starts itself (`up` its servers) is forked in the same way, and is a child of it.

Rule 1: what is forked has done nothing yet: no thread, no loop, no socket, no file; see `warm_interpreter`.
Rule 2: a process that ends ends alone, and whoever started it waits for it as its parent.
Rule 3: where the start itself is what is tested (imports, an environment that the interpreter reads),
        `subprocess` is used as ever; so it is where coverage is measured. What README.md shows is started as
        a reader would.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tempfile
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pexpect
import ptyprocess

from tests.warm_popen import Popen, fork

__all__ = ["Popen", "Process", "run", "run_command", "start", "terminal"]

Process = subprocess.Popen[Any]


def start(
    arguments: Sequence[str],
    *,
    stdin: int | IO[Any],
    stdout: int | IO[Any],
    stderr: int | IO[Any],
    pass_fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
    files: int | None = None,
    cwd: Path | None = None,
) -> Process:
    """Start `python -m bankrmi *arguments`; it may have `files` open at most.

    It starts in the folder that we are in; or in `cwd`, with the code that is there, if there is any.
    """
    command = [sys.executable, "-m", "bankrmi", *arguments]
    return Popen(
        command,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        env=env,
        cwd=cwd,
        most_files=files,
    )


def run(
    arguments: Sequence[str],
    *,
    typed: str | bytes = "",
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    module: str = "bankrmi",
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, as `start` does; the result has what it prints on each of its outputs."""
    command = [sys.executable, "-m", module, *arguments]
    return run_command(command, typed=typed, timeout=timeout, env=env, cwd=cwd)


def run_command(
    command: Sequence[str],
    *,
    typed: str | bytes = "",
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run Python with this command line to its end; the result has what it prints on each of its outputs.

    It may be a program that uses our code, and does not mind that this is imported already.
    """
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        stdin.write(typed if isinstance(typed, bytes) else typed.encode())
        stdin.seek(0)
        process = Popen(command, stdin=stdin, stdout=out, stderr=err, env=env, cwd=cwd, uses_ours=True)
        try:
            code = process.wait(timeout)
        except BaseException:
            process.kill()
            process.wait()
            raise
        printed = []
        for file in (out, err):
            file.seek(0)
            printed.append(file.read().decode())
    return subprocess.CompletedProcess(command, code, *printed)


def terminal(arguments: Sequence[str], *, module: str = "bankrmi", **keywords: Any) -> pexpect.spawn:
    """Start `python -m bankrmi *arguments` on a terminal of its own; `keywords` are those of pexpect."""
    return _Terminal(sys.executable, ["-m", module, *arguments], **{"encoding": "utf-8"} | keywords)


class _Terminal(pexpect.spawn):  # type: ignore[misc]
    """The one place of it that starts a process is ours."""

    def _spawnpty(self, args: Sequence[bytes], **keywords: Any) -> ptyprocess.PtyProcess:
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(ours, keywords.get("dimensions", (24, 80)))
        try:
            pid = fork(
                [os.fsdecode(word) for word in args],
                files=dict.fromkeys(range(3), theirs),
                folder=keywords.get("cwd"),
                environment=keywords.get("env"),
                on_a_terminal=True,
            )
        finally:
            os.close(theirs)
        if pid is None:
            os.close(ours)
            return super()._spawnpty(args, **keywords)
        return ptyprocess.PtyProcess(pid, ours)
