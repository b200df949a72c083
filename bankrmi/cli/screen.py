"""The terminal, or the pipe in its place: lines in, lines out.

Rule 1: only a terminal is cleared, waited on for a key, or written over.
Rule 2: what comes through a pipe is written after its prompt, so that the transcript reads as on a terminal.
Rule 3: a terminal obeys nothing that is in a text, whoever wrote it.
"""

from __future__ import annotations

import io
import sys
import threading
from typing import TextIO

import click

from bankrmi.foreign_text import visible

__all__ = ["Screen"]

_CLEAR_SCREEN = "\x1b[H\x1b[2J\x1b[3J"
_CLEAR_LINE = "\r\x1b[K"


class Screen:
    """Standard input and output, as one person's screen."""

    def __init__(self, source: TextIO | None = None, sink: TextIO | None = None) -> None:
        self._source = source or sys.stdin
        self._sink = sink or sys.stdout
        for stream in (self._source, self._sink):
            if isinstance(stream, io.TextIOWrapper):  # Nobody is thrown out for a byte that is no letter.
                stream.reconfigure(errors="replace")
        self.is_terminal = self._source.isatty() and self._sink.isatty()
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
        self._prompt(prompt)
        try:
            line = self._source.readline()
        finally:
            self._asking = ""
        if not line:
            self._sink.write("\n")
            raise EOFError
        if not self.is_terminal:
            self._sink.write(line if line.endswith("\n") else f"{line}\n")
        return line.strip()

    def show_waiting(self) -> None:
        """Say once, for as long as it takes, that there is no answer yet."""
        with self._one_at_a_time:
            if not self._waiting and self.is_terminal:
                self._waiting = True
                self._sink.write("connecting…")
                self._sink.flush()

    def interject(self, text: str) -> None:
        """Write a line that nobody asked for, and the prompt again that it interrupted."""
        text = visible(text, lines=True)
        if not self.is_terminal:
            click.echo(text, err=True)
            return
        with self._one_at_a_time:
            self._sink.write(f"{_CLEAR_LINE}{text}{self._end_of_line}{self._asking}")
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
        self._sink.write(_CLEAR_SCREEN)
        self._sink.flush()

    def _prompt(self, prompt: str) -> None:
        with self._one_at_a_time:
            self._asking = prompt
            self._sink.write(self._start_of_line() + prompt)
            self._sink.flush()

    def _start_of_line(self) -> str:
        waiting, self._waiting = self._waiting, False
        return _CLEAR_LINE if waiting else ""
