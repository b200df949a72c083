"""Steps that several histories share."""

from __future__ import annotations

from bankrmi.replication.events import LinkChanged
from tests.replication.scenario import Bank


def alone(bank: Bank, name: str) -> None:
    """Let a primary go on without those that are silent."""
    bank.wait(600)
    bank.tick(name)
    bank.drop(f"{name} ->")
    bank.deliver(f"{name} proposes", f"witness -> {name}")


def taken_over(bank: Bank, name: str, gone: str) -> None:
    """Let a standby find the dead primary's address refusing, take over and lead."""
    bank.take(name, LinkChanged(server=gone, up=False))
    bank.deliver(f"{name} looks at {gone}", f"{name} proposes", f"witness -> {name}")


def until_proposed(bank: Bank, name: str) -> None:
    """Deliver one letter after the other, until this server has sent a proposal."""
    for _ in range(100):
        while bank.mail:
            if bank.mail[0].text.startswith(f"{name} proposes"):
                return
            bank.mail.pop(0).arrive()
        bank.wait(25)
        bank.tick()
    raise AssertionError(f"{name} never proposed")
