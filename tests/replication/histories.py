"""Steps that several histories share."""

from __future__ import annotations

from collections.abc import Callable

from bankrmi.replication.events import LinkChanged
from tests.replication.scenario import Bank, Letter


def dies(bank: Bank, name: str, *, wipe: bool = False) -> None:
    """End a process, with its disk or not; the others notice that their connections are lost."""
    bank.crash(name, wipe=wipe)
    for other in list(bank.replicas):
        bank.take(other, LinkChanged(server=name, up=False))


def comes_back(bank: Bank, name: str) -> None:
    """Start a process, and connect it to all that run."""
    others = list(bank.replicas)
    bank.start(name)
    for other in others:
        bank.link(other, name)


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


def takes_over_unheard(bank: Bank, name: str) -> None:
    """Let a standby that hears nobody but the witness take over after the lease, and lead."""
    settle_among(bank, {name, "witness"}, lambda: bank.replicas[name].primary is not None)


def settle_among(bank: Bank, some: set[str], done: Callable[[], bool], rounds: int = 0) -> None:
    """Let time pass, and whatever these say to each other arrive, until `done`, or for `rounds` rounds.

    The others stand still.
    """
    for _ in range(rounds or 400):
        bank.tick(*(some - {"witness"}))
        for letter in list(bank.mail):
            if letter in bank.mail and ends_of(letter) <= some:
                bank.mail.remove(letter)
                letter.arrive()
        if done():
            return
        bank.wait(25)
    assert rounds, "it never came to that: " + "; ".join(bank.trace[-12:])


def settle_without_witness(
    bank: Bank, deaf: str, done: Callable[[], bool], rounds: int = 0, *, sent: bool = True
) -> None:
    """Let time pass and everything arrive, but for what these servers ask the witness, or cannot even ask."""
    for _ in range(rounds or 1200):
        bank.tick()
        for letter in list(bank.mail):
            if letter in bank.mail:
                bank.mail.remove(letter)
                sender, _, what = letter.text.partition(" ")
                if sender in deaf.split() and what.startswith(("proposes", "reads the view")):
                    bank.witness_silent(sender, proposal=what.startswith("proposes"), sent=sent)
                else:
                    letter.arrive()
        if done():
            return
        bank.wait(25)
    assert rounds, "it never came to that: " + "; ".join(bank.trace[-12:])


def ends_of(letter: Letter) -> set[str]:
    """Return who sends a letter, and who gets it."""
    sender, _, rest = letter.text.partition(" ")
    verb, _, receiver = rest.partition(" ")
    if verb == "->":
        return {sender, receiver.partition(":")[0].partition(" ")[0]}
    if verb in ("looks", "fetches"):
        return {sender, receiver.rpartition(" ")[2]}
    return {sender, "witness"}
