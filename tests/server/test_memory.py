"""Memory is given back after a peak, and nobody waits for that."""

from __future__ import annotations

from bankrmi.server.memory import BUSY_MS, BUSY_WORTH_BYTES, IDLE_MS, WORTH_BYTES, MemoryTrimmer


class Process:
    """A process that grows as the test likes."""

    def __init__(self) -> None:
        self.now_ms = 0.0
        self.busy = False
        self.tip = 0
        self.resident = 50 << 20
        self.shrunk = 0
        self.trimmed = 0
        self.memory = MemoryTrimmer(
            lambda: self.busy,
            lambda: self.tip,
            lambda: self.now_ms,
            self.shrink,
            resident=lambda: self.resident,
            trim=self.trim,
        )
        self.pass_ms(IDLE_MS)
        self.pass_ms(IDLE_MS)
        self.shrunk = self.trimmed = 0

    def trim(self) -> None:
        self.trimmed += 1

    def shrink(self) -> None:
        self.shrunk += 1
        self.resident = 50 << 20

    def pass_ms(self, ms: float) -> None:
        self.now_ms += ms
        self.memory.tick()


def test_after_a_peak_memory_is_given_back_once_nobody_has_waited_for_a_while() -> None:
    process = Process()
    process.busy, process.resident = True, 300 << 20
    for _ in range(100):
        process.pass_ms(IDLE_MS)
    assert process.shrunk == 0
    process.busy = False
    process.pass_ms(IDLE_MS - 1)
    assert process.shrunk == 0
    process.pass_ms(1)
    assert process.shrunk == 1
    process.resident = 300 << 20
    process.pass_ms(IDLE_MS)
    assert process.shrunk == 1, "nothing has happened since"


def test_so_it_is_on_a_standby_which_nobody_asks() -> None:
    process = Process()
    process.resident = 100 << 20
    for _ in range(10):
        process.tip += 1
        process.pass_ms(IDLE_MS)
    assert process.shrunk == 0
    process.pass_ms(IDLE_MS)
    assert process.shrunk == 1


def test_for_little_it_is_not_worth_it() -> None:
    process = Process()
    process.resident += WORTH_BYTES - 1
    process.tip += 1
    process.pass_ms(1)
    process.pass_ms(IDLE_MS)
    assert process.shrunk == 0


def test_a_bank_that_is_never_idle_gives_back_what_is_free_now_and_then_if_it_is_much() -> None:
    process = Process()
    process.busy = True
    process.resident += BUSY_WORTH_BYTES
    for _ in range(round(3 * BUSY_MS / IDLE_MS)):
        process.pass_ms(IDLE_MS)
    assert (process.trimmed, process.shrunk) == (3, 0)
    process.resident -= 1
    process.pass_ms(BUSY_MS)
    assert process.trimmed == 3
