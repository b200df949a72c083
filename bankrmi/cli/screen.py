"""The terminal, or the pipe in its place: lines in, lines out.

Rule 1: only a terminal is cleared, waited on for a key, or written over; what has scrolled away stays.
Rule 2: what comes through a pipe is written after its prompt, so that the transcript reads as on a terminal.
Rule 3: a terminal obeys nothing that is in a text, whoever wrote it.
Rule 4: no escape code is sent to a terminal that calls itself dumb, and lines are edited there by the system.
Rule 5: whether there is a person goes by the input: a terminal, though what is said may go through `tee`.
Rule 6: a terminal that is gone ends it like SIGHUP, which may come a moment later.
Rule 7: a pipe gets no second chance: a line that is not what was asked for would shift what all others mean.
"""

from __future__ import annotations

import errno
import io
import signal
import sys
import threading
from contextlib import suppress
from types import ModuleType
from typing import TextIO

import click

from bankrmi.cli.interruption import Interrupted
from bankrmi.cli.invocation import say
from bankrmi.foreign_text import visible
from bankrmi.written_over import CLEAR_LINE, is_dumb

__all__ = ["NotUnderstood", "Screen"]

_CLEAR_SCREEN = "\x1b[H\x1b[2J"
_BYTE_ORDER_MARKS = ("\ufeff", "\xef\xbb\xbf")
"""As text, and as what is left of it where text is not UTF-8."""
_SHOWN_CHARACTERS = 60


class NotUnderstood(click.ClickException):
    """A line of piped input is not what was asked for; nothing after it is done."""

    exit_code = 2


class Screen:
    """Standard input and output, as one person's screen."""

    def __init__(self, source: TextIO | None = None, sink: TextIO | None = None) -> None:
        self._source = source or sys.stdin
        self._sink = sink or sys.stdout
        for stream in (self._source, self._sink):
            if isinstance(stream, io.TextIOWrapper):  # Nobody is thrown out for a byte that is not a letter.
                with suppress(io.UnsupportedOperation):  # It has been read from already, as it is.
                    stream.reconfigure(errors="replace")
        self.is_person = self._source.isatty()
        """Whether lines are typed, and not piped in; wherever what is said to them goes."""
        self.is_terminal = self.is_person and self._sink.isatty()
        self._is_dumb = is_dumb()
        own = source is None and sink is None
        self._editor = _line_editor() if own and self.is_terminal and not self._is_dumb else None
        self._lines_read = self._asked_for = 0
        self._asking = ""
        self._end_of_line = "\n"
        self._waiting = False
        # Reports about child processes come from another thread.
        self._one_at_a_time = threading.Lock()

    def write(self, text: str) -> None:
        """Write one line, in the place of "connecting…" if that is there."""
        with self._one_at_a_time:
            self._sink.write(f"{self._start_of_line()}{visible(text, lines=True)}\n")
            self._sink.flush()

    def ask(self, prompt: str) -> str:
        """Return what is entered after the prompt; raise EOFError at the end of the input."""
        try:
            line = self._edited(prompt) if self._editor is not None else self._read(prompt)
        except OSError as error:
            if self.is_person and error.errno == errno.EIO:
                raise Interrupted(signal.SIGHUP) from error
            raise
        return line.strip()

    def refuse(self, line: str, why: str) -> None:
        """Say why a line is not what was asked for; raise NotUnderstood where nobody can correct it."""
        if self.is_person:
            self.write(why)
            return
        shown = line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}…"
        raise NotUnderstood(
            f"line {self._asked_for} of the input is {shown!r}. {why} Nothing from there on was done."
        )

    def rest_is_blank(self) -> bool:
        """Whether nothing but blank lines is left of what is piped in; it is read, and answers nothing."""
        while line := self._source.readline():
            self._lines_read += 1
            if line.strip():
                return False
        return True

    def show_waiting(self) -> None:
        """Say once, for as long as it takes, that there is no answer yet."""
        with self._one_at_a_time:
            if not self._waiting and self.is_terminal:
                self._waiting = True
                self._sink.write("connecting…")
                self._sink.flush()

    def interject(self, text: str) -> None:
        """Write a line that nobody asked for, if anybody can read it, and the prompt that it interrupted."""
        if not self.is_terminal:
            say(text)
            return
        text = visible(text, lines=True)
        with self._one_at_a_time, suppress(OSError):
            start = "\n" if self._is_dumb and self._asking else "" if self._is_dumb else CLEAR_LINE
            entered = self._editor.get_line_buffer() if self._editor is not None and self._asking else ""
            self._sink.write(f"{start}{text}{self._end_of_line}{self._asking}{entered}")
            self._sink.flush()

    def turn_page(self) -> None:
        """Clear the screen, once a key says that it was read."""
        if not self.is_terminal:
            self.write("")
            return
        self._prompt("Press any key to go on ")
        self._end_of_line = "\r\n"  # Until then the terminal does not return the carriage by itself.
        try:
            click.getchar()
        finally:
            self._asking, self._end_of_line = "", "\n"
        self._sink.write("\n\n" if self._is_dumb else _CLEAR_SCREEN)
        self._sink.flush()

    def _read(self, prompt: str) -> str:
        self._prompt(prompt)
        try:
            line = self._source.readline()
        finally:
            self._asking = ""
        if not line:
            self._sink.write("\n")
            raise EOFError
        self._lines_read += 1
        self._asked_for = self._lines_read
        if not self.is_person:
            line = self._without_mark(line)
            self._sink.write(line if line.endswith("\n") else f"{line}\n")
        return line

    def _without_mark(self, line: str) -> str:
        """Windows begins files with a byte-order mark, which is not part of the first line."""
        if self._lines_read == 1:
            for mark in _BYTE_ORDER_MARKS:
                line = line.removeprefix(mark)
        return line

    def _edited(self, prompt: str) -> str:
        with self._one_at_a_time:
            self._asking = prompt
            self._sink.write(self._start_of_line())
            self._sink.flush()
        try:
            return input(prompt)
        except EOFError:
            self._sink.write("\n")
            raise
        finally:
            self._asking = ""

    def _prompt(self, prompt: str) -> None:
        with self._one_at_a_time:
            self._asking = prompt
            self._sink.write(self._start_of_line() + prompt)
            self._sink.flush()

    def _start_of_line(self) -> str:
        waiting, self._waiting = self._waiting, False
        if not waiting:
            return ""
        return "\n" if self._is_dumb else CLEAR_LINE


def _line_editor() -> ModuleType | None:
    """Return what edits the line that `input` reads, where Python has it."""
    try:
        import readline
    except ImportError:
        return None
    # Else it turns a mode of the terminal on and off around each line, for nothing.
    readline.parse_and_bind("set enable-bracketed-paste off")
    return readline
