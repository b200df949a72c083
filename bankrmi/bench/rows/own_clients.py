"""What one process of our own asyncio clients asks of a bank, and what they cost besides the calls."""

from __future__ import annotations

from collections.abc import Iterator

from bankrmi.bench.bank import running_bank
from bankrmi.bench.figures import Finding
from bankrmi.bench.rows.row import Asked, load, own_order, rates
from bankrmi.bench.shapes import shape_called

__all__ = ["own_clients"]

_SHAPES = ("32x1", "800x1", "16x1000")


def own_clients(asked: Asked) -> Iterator[Finding]:
    """Yield operations a second, messages an answer, connections, errors, changes of the view."""
    for name in _SHAPES:
        shape = shape_called(name)
        assert shape is not None
        with running_bank() as bank:
            before = bank.epoch()
            asked.progress.show(f"own-clients: {name}")
            answers = [load(bank, own_order(bank, shape, asked.seconds)) for _ in range(asked.rounds)]
            changes = bank.epoch() - before
        notes = [answer.notes or {} for answer in answers]
        found = {"rate, op/s": rates(answers)} | {
            note: tuple(one[note] for one in notes) for note in notes[0]
        }
        for key, values in (found | {"changes of the view, times": (changes,)}).items():
            what, _, unit = key.rpartition(", ")
            yield Finding(row="own-clients", what=f"{name}: {what}", unit=unit, values=values)
