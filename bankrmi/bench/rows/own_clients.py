"""What one process of our own asyncio clients asks of a bank, and what they cost besides the calls."""

from __future__ import annotations

from collections.abc import Iterator

from bankrmi.bench.bank import running_bank
from bankrmi.bench.figures import Finding
from bankrmi.bench.rows.row import Row, RowOptions, load, own_order, rates, shapes_of

__all__ = ["OWN_CLIENTS"]


def _own_clients(asked: RowOptions) -> Iterator[Finding]:
    """Yield operations a second, messages an answer, connections, errors, changes of the view."""
    for shape in shapes_of(asked):
        with running_bank(servers=asked.servers, unlimited=False) as bank:
            before = bank.epoch()
            answers = []
            for number in range(1, asked.rounds + 1):
                asked.progress.show(f"own-clients: {shape.name}, round {number} of {asked.rounds}")
                answers.append(load(bank, own_order(bank, shape, asked.seconds)))
            changes = bank.epoch() - before
        notes = [answer.notes or {} for answer in answers]
        found: dict[str, tuple[float, ...]] = {"rate, op/s": rates(answers)}
        found["median, ms"] = tuple(answer.median_us / 1e3 for answer in answers)
        for note in dict.fromkeys(note for one in notes for note in one):
            found[note] = tuple(one.get(note, 0.0) for one in notes)
        found["changes of the view, times"] = (changes,)
        for key, values in found.items():
            what, _, unit = key.rpartition(", ")
            yield Finding(row="own-clients", what=f"{shape.name}: {what}", unit=unit, values=values)


OWN_CLIENTS = Row(measure=_own_clients, parts=("32x1", "800x1", "16x1000"), shapes=True)
