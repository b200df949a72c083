"""Where in the modules of classes an exception was raised, in few words: for whoever wrote it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

__all__ = ["line_of"]


def line_of(error: BaseException, modules: Collection[str]) -> str:
    """Return the innermost line of these modules that an error came by: "inventory.py, line 12"; or
    nothing."""
    found, traceback = "", error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_globals.get("__name__") in modules:
            found = f"{Path(frame.f_code.co_filename).name}, line {traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found
