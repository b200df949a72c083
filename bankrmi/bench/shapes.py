"""What is asked of a system: how many clients, operations a call, and how many of the calls are reads."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["SHAPES", "Shape", "shape_called"]

_WRITTEN = re.compile(r"(loop-)?([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")
_MOST_OPERATIONS = 8192
"""What a request may hold, unless the configuration says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One kind of load."""

    name: str
    clients: int
    operations: int = 1
    reads: float = 0.0
    """The share of the calls that look up a balance instead."""
    library: bool = False
    """By the library that a person uses, and not by the leanest client that there is."""
    loop: bool = False
    """A batch is done one operation after the other, where a peer has a faster way for all of them."""


SHAPES = {
    shape.name: shape
    for shape in (
        Shape(name="user", clients=1, library=True),
        *(
            Shape(name=f"{clients}x{operations}", clients=clients, operations=operations)
            for clients, operations in ((1, 1), (8, 1), (32, 1), (128, 1), (1, 100), (2, 1000), (1, 8000))
        ),
        Shape(name="reads-9:1", clients=32, reads=0.9),
        Shape(name="reads", clients=32, reads=1.0),
    )
}
"""Those that are measured unless others are asked for."""


def shape_called(name: str) -> Shape | None:
    """Return the shape of a name: one of the table, or any "clients x operations", `loop-` before it."""
    if name in SHAPES:
        return SHAPES[name]
    written = _WRITTEN.fullmatch(name)
    if written is None or int(written[3]) > _MOST_OPERATIONS:
        return None
    return Shape(name=name, clients=int(written[2]), operations=int(written[3]), loop=written[1] is not None)
