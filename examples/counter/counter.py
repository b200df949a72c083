"""A counter; each `add` is counted once, whatever dies meanwhile."""

import bankrmi


class Counter(bankrmi.Service):
    def create(self) -> None:
        self.db.execute("CREATE TABLE counter (id INTEGER PRIMARY KEY, value INTEGER NOT NULL)")
        self.db.execute("INSERT INTO counter VALUES (1, 0)")

    @bankrmi.update
    def add(self, amount: int) -> int:
        return int(self.db.execute("UPDATE counter SET value = value + ? RETURNING value", (amount,)).value)
