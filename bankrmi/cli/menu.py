"""The menu: look up, withdraw, save, and more, until 4, the end of the input, or Ctrl-C.

Rule 1: its first screen is fixed, to the character, and so are the texts of its four choices (`sentences` has
        the answers).
Rule 2: whatever happens, a person gets a sentence; nothing but 4, the end of the input and Ctrl-C ends it. An
        empty line leads back to the menu.
Rule 3: an unknown outcome is never passed over: it is said, and asking again is offered.
Rule 4: a script gets no second chance: the first piped line that is not what was asked for ends it, before a
        line that was meant for one question answers another one (see `screen`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import click

from bankrmi.bank.operations import LARGEST, Receipt
from bankrmi.bank.statements import Statement
from bankrmi.cli.interruption import under_way
from bankrmi.cli.invocation import Invocation
from bankrmi.cli.screen import Screen
from bankrmi.cli.sentences import lines_of, result_of, sentence_of
from bankrmi.cli.written_numbers import RealRange, is_too_large, whole_number
from bankrmi.errors import BankError, Cancelled, InDoubt, Refused, Unreached, Unsettled

__all__ = ["COMMANDS", "Menu", "MenuClient"]

WELCOME = """\
Welcome to Distributed Bank!
-----------------------------------
* Enter your operation:           *
*   1: Look up balance            *
*   2: Withdraw an amount of money*
*   3: Save an amount of money    *
*   4: Terminating program        *
-----------------------------------
"""

MORE = "More… 5: transfer, 6: open an account, 7: close an account, 8: statement."
"""What there is besides: said to whoever enters something else, since the screen is fixed."""

_CHOICES = {str(number) for number in range(1, 9)}


class MenuClient(Protocol):
    """What the menu needs of a client."""

    def balance(self, account: int, /) -> Receipt: ...
    def withdraw(self, account: int, amount: int, /) -> Receipt: ...
    def deposit(self, account: int, amount: int, /) -> Receipt: ...
    def transfer(self, from_account: int, to_account: int, amount: int, /) -> Receipt: ...
    def open_account(self, account: int, /) -> Receipt: ...
    def close_account(self, account: int, /) -> Receipt: ...
    def statement(self, account: int, /) -> Statement: ...
    def outcome(self, request_id: str, /) -> list[Receipt | Refused]: ...


class _Back(Exception):
    """The person wants to go back to the menu."""


class Menu:
    """One person in front of one screen."""

    def __init__(self, bank: MenuClient, screen: Screen) -> None:
        self._bank = bank
        self._screen = screen

    def run(self) -> None:
        """Show the menu again and again, until 4 or the end of the input."""
        choices = {
            "1": self._look_up,
            "2": self._withdraw,
            "3": self._save,
            "5": self._transfer,
            "6": self._open,
            "7": self._close,
            "8": self._statement,
        }
        try:
            while True:
                self._screen.write(WELCOME)
                choice = self._choice()
                if choice == "4":
                    return
                try:
                    choices[choice]()
                except _Back:
                    continue
                self._screen.turn_page()
        except EOFError:
            return

    def _choice(self) -> str:
        while (choice := self._screen.ask("Your choice: ")) not in _CHOICES:
            if not choice and not self._screen.is_person and self._screen.rest_is_blank():
                raise EOFError
            self._screen.refuse(choice, f"Please enter 1, 2, 3 or 4. {MORE}")
        return choice

    def _account(self, prompt: str = "Enter your account ID: ") -> int:
        return self._number(
            prompt,
            "An account ID is a whole number, like 2.",
            f"An account ID is {LARGEST} at most.",
        )

    def _number(self, prompt: str, mistake: str, too_large: str) -> int:
        while True:
            entered = self._screen.ask(prompt)
            if not entered and self._screen.is_person:
                raise _Back
            number = whole_number(entered)
            if isinstance(number, int) and number <= LARGEST:
                return number
            self._screen.refuse(entered, too_large if is_too_large(entered) else mistake)

    def _amount(self, prompt: str) -> int:
        return self._number(
            prompt,
            "An amount is a whole number that is not negative, like 10.",
            f"An amount is {LARGEST} at most.",
        )

    def _look_up(self) -> None:
        account = self._account()
        self._answer(lambda: self._bank.balance(account))

    def _withdraw(self) -> None:
        account = self._account()
        amount = self._amount("Enter amount you want to withdraw: ")
        self._answer(lambda: self._bank.withdraw(account, amount))

    def _save(self) -> None:
        account = self._account()
        amount = self._amount("Enter amount you want to deposit: ")
        self._answer(lambda: self._bank.deposit(account, amount))

    def _transfer(self) -> None:
        account = self._account()
        payee = self._account("Enter the account ID to transfer to: ")
        amount = self._amount("Enter amount you want to transfer: ")
        self._answer(lambda: self._bank.transfer(account, payee, amount))

    def _open(self) -> None:
        account = self._account("Enter the account ID to open: ")
        self._answer(lambda: self._bank.open_account(account))

    def _close(self) -> None:
        account = self._account("Enter the account ID to close: ")
        self._answer(lambda: self._bank.close_account(account), "Account closed")

    def _statement(self) -> None:
        account = self._account()
        try:
            statement = self._bank.statement(account)
        except BankError as error:
            self._screen.write(sentence_of(error))
            return
        if not statement.entries and statement.balance is None:
            self._screen.write("Account not found")
            return
        for line in lines_of(statement):
            self._screen.write(line)

    def _answer(self, operation: Callable[[], Receipt], sentence: str = "") -> None:
        try:
            receipt = operation()
            with under_way(receipt.request_id):
                self._screen.write(sentence or sentence_of(receipt))
        except Unsettled as error:
            request_id = error.details.get("request_id")
            if isinstance(request_id, str):
                try:
                    self._settle(request_id)
                except OSError:  # It cannot be shown, and must be told.
                    raise InDoubt(error.message, request_id=request_id) from error
            else:
                self._screen.write(sentence_of(error))
        except BankError as error:
            self._screen.write(sentence_of(error))

    def _settle(self, request_id: str) -> None:
        """Ask what became of a request, as often as the person wants to."""
        self._screen.write(
            f"Nobody answered in time: it is not known whether request {request_id} was carried out."
        )
        while self._wants_to_ask_again(request_id):
            try:
                for result in self._bank.outcome(request_id):
                    self._screen.write(sentence_of(result))
            except Cancelled as cancelled:
                self._screen.write(result_of(cancelled).capitalize())
            except BankError as error:
                silent = isinstance(error, Unsettled | Unreached)
                self._screen.write("Nobody answered this time either." if silent else sentence_of(error))
                continue
            return
        self._screen.write(f"Later, 'bankrmi outcome {request_id}' will say what became of it.")

    def _wants_to_ask_again(self, request_id: str) -> bool:
        """Ask; a script that could not know of the question meant its next line for something else."""
        try:
            answer = self._screen.ask("Ask again? (y/n): ").lower()
        except EOFError:
            if self._screen.is_person:
                raise
            raise InDoubt(f"the outcome of {request_id} is unknown", request_id=request_id) from None
        if answer not in {"y", "yes", "n", "no"} and not self._screen.is_person:
            raise InDoubt(
                f"the outcome of {request_id} is unknown, and {answer!r:.60} does not say whether to "
                "ask again: nothing from there on was done",
                request_id=request_id,
            )
        return answer in {"y", "yes"}


@click.command()
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=RealRange(min=0, min_open=True, max=3600),
    help="When to give up an operation; else the client's timeout_ms of the configuration.",
)
@click.pass_obj
def menu(invocation: Invocation, timeout: float | None) -> None:
    """Look up, withdraw and save money.

    And more: 5 transfers, 6 opens an account, 7 closes one, 8 lists what happened on one.

    An empty line leads back to the menu. Works with piped input, too: there, the first line that
    is not what was asked for ends it (exit code 2), and nothing after it is done.
    """
    screen = Screen()
    with invocation.connect(timeout=timeout, on_waiting=screen.show_waiting) as bank:
        Menu(bank, screen).run()


COMMANDS = (menu,)
