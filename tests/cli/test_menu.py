from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pexpect
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.bank.operations import LARGEST, Receipt
from bankrmi.bank.statements import StatementEntry
from bankrmi.cli.menu import MORE, WELCOME, Menu
from bankrmi.cli.screen import NotUnderstood, Screen
from bankrmi.errors import BalanceTooLarge, Cancelled, InDoubt, InsufficientFunds, NotPrimary, Unreached
from tests import warm
from tests.cli.fake_bank import FakeBank


def transcript(lines: str, bank: FakeBank | None = None) -> list[str]:
    """Return what stands on the screen after the menu, without the menu itself."""
    sink = io.StringIO()
    Menu(bank or FakeBank(), Screen(io.StringIO(lines), sink)).run()
    return [line for line in sink.getvalue().replace(WELCOME, "").splitlines() if line]


def test_the_menu_reads_as_it_always_did() -> None:
    """The texts of the issue, to the character."""
    sink = io.StringIO()
    Menu(FakeBank(), Screen(io.StringIO("2\n2\n10\n4\n"), sink)).run()
    assert sink.getvalue().startswith("""\
Welcome to Distributed Bank!
-----------------------------------
* Enter your operation:           *
*   1: Look up balance            *
*   2: Withdraw an amount of money*
*   3: Save an amount of money    *
*   4: Terminating program        *
-----------------------------------

Your choice: 2
Enter your account ID: 2
Enter amount you want to withdraw: 10
Current balance: 290
""")


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        ("1\n2\n", "Current balance: 300"),
        ("2\n2\n300\n", "Current balance: 0"),
        ("2\n2\n301\n", "Withdraw amount must be less than balance"),
        ("2\n50\n1\n", "Account not found"),
        ("1\n50\n", "Account not found"),
        ("3\n5\n0\n", "Current balance: 200"),
        ("3\n5\n25\n", "Current balance: 225"),
    ],
)
def test_each_operation_has_its_answer(lines: str, answer: str) -> None:
    assert transcript(lines + "4\n")[-2:] == [answer, "Your choice: 4"]


def test_saving_asks_for_an_amount_to_deposit() -> None:
    assert "Enter amount you want to deposit: 5" in transcript("3\n2\n5\n4\n")


def test_the_end_of_the_input_ends_the_menu_wherever_it_comes() -> None:
    bank = FakeBank()
    for lines in ("", "2\n", "2\n2\n", "2\n2\n1"):
        assert transcript(lines, bank)[-1].strip() in {
            "Your choice:",
            "Enter your account ID:",
            "Enter amount you want to withdraw:",
        }
    assert bank.balances[2] == 299  # The last line was complete, though it had no end.


def refused(lines: str, bank: FakeBank | None = None) -> str:
    """Return what is said of piped lines that cannot be understood; it ends the menu with exit code 2."""
    with pytest.raises(NotUnderstood) as raised:
        transcript(lines, bank)
    assert raised.value.exit_code == 2
    return raised.value.message


@pytest.mark.parametrize("nonsense", ["", "two", "-1", "1.5", "1e3", "+1", " ", "٣"])
def test_a_piped_line_that_is_no_number_ends_the_menu_before_it_shifts_the_others(nonsense: str) -> None:
    """The rest would pay into an account what was meant for another, or withdraw it."""
    bank = FakeBank()
    said = refused(f"3\n{nonsense}\n2\n5\n2\n1\n1\n4\n", bank)
    assert said == (
        f"line 2 of the input is {nonsense.strip()!r}. An account ID is a whole number, like 2. "
        "Nothing from there on was done."
    )
    said = refused(f"1\n2\n3\n5\n{nonsense}\n2\n2\n10\n4\n", bank)
    assert said.startswith(f"line 5 of the input is {nonsense.strip()!r}. An amount is a whole number")
    assert bank.balances == FakeBank().balances


@pytest.mark.parametrize("number", [str(LARGEST + 1), "9" * 50])
def test_a_number_that_is_too_large_is_called_that(number: str) -> None:
    assert f"An account ID is {LARGEST} at most." in refused(f"1\n{number}\n")
    assert f"An amount is {LARGEST} at most." in refused(f"2\n2\n{number}\n")


@pytest.mark.parametrize("choice", ["9", "0", "12", "x", "", "1 2"])
def test_a_piped_choice_that_there_is_not_ends_the_menu(choice: str) -> None:
    assert refused(f"1\n2\n{choice}\n1\n2\n") == (
        f"line 3 of the input is {choice!r}. Please enter 1, 2, 3 or 4. {MORE} "
        "Nothing from there on was done."
    )


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        ("5\n2\n5\n100\n", ["Enter the account ID to transfer to: 5", "Current balance: 200"]),
        ("5\n2\n5\n301\n", ["The amount exceeds the balance of account 2"]),
        ("5\n2\n50\n1\n", ["There is no account 50"]),
        ("5\n2\n2\n1\n", ["account 2 cannot transfer to itself: name two accounts"]),
        ("6\n50\n", ["Enter the account ID to open: 50", "Current balance: 0"]),
        ("6\n2\n", ["There is such an account already"]),
        ("6\n50\n7\n50\n", ["Account closed"]),
        ("7\n2\n", ["There is money on the account: it is closed when its balance is 0"]),
        ("7\n50\n", ["Account not found"]),
        ("8\n50\n", ["Account not found"]),
    ],
)
def test_there_is_more(lines: str, answer: list[str]) -> None:
    said = transcript(lines + "4\n")
    assert said[-1] == "Your choice: 4"
    assert said[-2] == answer[-1]
    assert set(answer) <= set(said)


def test_a_statement_has_a_line_for_each_entry() -> None:
    bank = FakeBank()
    done = StatementEntry(
        action_id=1,
        time_us=1_500_000,
        request_id="a:1",
        kind="withdraw",
        amount=10,
        paid_by=None,
        paid_to=None,
        status="done",
        balance=290,
        digest="0f",
    )
    bank.entries = [
        done,
        replace(done, action_id=2, kind="transfer", paid_to=5, balance=280),
        replace(done, action_id=4, kind="transfer", paid_by=5, status="done", balance=300),
        replace(done, action_id=6, kind="close_account", amount=None, status="not_empty"),
    ]
    said = transcript("8\n2\n4\n", bank)
    when = "1970-01-01T00:00:01.500Z"
    assert said[-6:-1] == [
        f"1  {when}  withdraw 10, balance 290, request a:1",
        f"2  {when}  transfer 10 to 5, balance 280, request a:1",
        f"4  {when}  transfer 10 from 5, balance 300, request a:1",
        f"6  {when}  close account, declined: not empty, request a:1",
        "Current balance: 300",
    ]


def test_a_blank_line_is_named_where_it_stands_however_many_follow_it() -> None:
    assert refused("1\n2\n\n\n \nabc\n").startswith("line 3 of the input is ''. Please enter")


def test_blank_lines_at_the_end_of_the_input_are_its_end() -> None:
    assert "Current balance: 300" in transcript("1\n2\n\n \n\n")


@pytest.mark.parametrize("mark", ["\ufeff", "\xef\xbb\xbf"])
def test_a_byte_order_mark_is_no_part_of_the_first_line(mark: str) -> None:
    assert transcript(f"{mark}1\n2\n4\n") == [
        "Your choice: 1",
        "Enter your account ID: 2",
        "Current balance: 300",
        "Your choice: 4",
    ]
    assert "line 2 of the input is" in refused(f"1\n{mark}2\n4\n")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (BalanceTooLarge("no"), "The balance would be over 9223372036854775807, the largest there can be"),
        (Unreached("no server could be reached"), "no server could be reached"),
        (NotPrimary("another leads"), "another leads"),
    ],
)
def test_what_goes_wrong_is_a_sentence_and_the_menu_goes_on(error: Exception, sentence: str) -> None:
    bank = FakeBank()
    bank.errors = [error]  # type: ignore[list-item]
    assert transcript("1\n2\n1\n2\n4\n", bank)[2:6] == [
        sentence,
        "Your choice: 1",
        "Enter your account ID: 2",
        "Current balance: 300",
    ]


def in_doubt(*then: BalanceTooLarge | InDoubt | Cancelled | Unreached) -> FakeBank:
    bank = FakeBank()
    bank.errors = [InDoubt("no answer", request_id="s:4"), *then]
    return bank


def test_an_unknown_outcome_is_said_and_settled_by_asking_again() -> None:
    bank = in_doubt(InDoubt("no", request_id="s:4"), Unreached("no"))
    bank.outcomes["s:4"] = [Receipt(2, 290, 8, "s:4")]
    shown = transcript("2\n2\n10\ny\nYES\ny\n4\n", bank)
    assert shown[3:] == [
        "Nobody answered in time: it is not known whether request s:4 was carried out.",
        "Ask again? (y/n): y",
        "Nobody answered this time either.",
        "Ask again? (y/n): YES",
        "Nobody answered this time either.",
        "Ask again? (y/n): y",
        "Current balance: 290",
        "Your choice: 4",
    ]
    assert bank.requests == []  # Asked for, never sent again under another id.


def test_an_unknown_outcome_may_turn_out_declined_or_cancelled() -> None:
    bank = in_doubt()
    bank.outcomes["s:4"] = [InsufficientFunds("no")]
    assert "Withdraw amount must be less than balance" in transcript("2\n2\n10\ny\n4\n", bank)
    assert "Cancelled: it did not happen, and never will" in transcript(
        "2\n2\n10\ny\n4\n", in_doubt(Cancelled("no"))
    )


def test_an_unknown_outcome_can_be_asked_for_later() -> None:
    assert "Later, 'bankrmi outcome s:4' will say what became of it." in transcript(
        "2\n2\n10\nn\n4\n", in_doubt()
    )


def test_a_script_that_does_not_know_of_asking_again_has_none_of_its_lines_taken_for_an_answer() -> None:
    """Its next line was meant for the menu."""
    bank = in_doubt()
    for rest in ("1\n2\n4\n", "", "4\n"):
        bank.errors = [InDoubt("no answer", request_id="s:4")]
        with pytest.raises(InDoubt) as raised:
            transcript(f"2\n2\n10\n{rest}", bank)
        assert raised.value.request_id == "s:4"
    assert bank.requests == []


@given(lines=st.lists(st.sampled_from(["1", "2", "3", "5", "50", "-1", "", "x", "10", "y", "n", "é"])))
def test_whatever_is_piped_in_the_menu_ends_with_the_input(lines: list[str]) -> None:
    """And no money is made or lost on the way but what was saved or withdrawn."""
    bank = FakeBank()
    with suppress(NotUnderstood):
        assert transcript("\n".join(lines), bank)
    assert all(balance >= 0 for balance in bank.balances.values())


def test_bytes_that_are_no_text_get_a_sentence_too() -> None:
    ended = warm.run([], module="tests.cli.fake_menu", typed=b"1\n\xff\n2\n4\n", timeout=60)
    assert "NotUnderstood: line 2 of the input is '\N{REPLACEMENT CHARACTER}'." in ended.stderr
    assert "Current balance" not in ended.stdout


# On a pseudo-terminal.


@pytest.fixture
def terminal() -> Iterator[Callable[..., pexpect.spawn]]:
    """Return what starts the menu on a terminal of its own."""
    started: list[pexpect.spawn] = []

    def start(*scene: str, term: str = "xterm", piped_through: str = "") -> pexpect.spawn:
        common: dict[str, Any] = {"timeout": 20, "env": {**os.environ, "TERM": term}}
        if piped_through:
            command = ["-c", f'"$@" | {piped_through}', "sh", sys.executable, "-m", "tests.cli.fake_menu"]
            menu = pexpect.spawn("/bin/sh", [*command, *scene], encoding="utf-8", **common)
        else:
            menu = warm.terminal(scene, module="tests.cli.fake_menu", **common)
        started.append(menu)
        menu.expect_exact("Your choice: ")
        return menu

    yield start
    for menu in started:
        menu.close(force=True)


def answer(menu: pexpect.spawn, *lines: str) -> None:
    """Enter each line at its prompt."""
    for line in lines:
        menu.sendline(line)
        menu.expect_exact(f"{line}\r\n")  # The terminal's echo: it has been taken.


def test_on_a_terminal_a_key_clears_the_screen_and_shows_the_menu_again(
    terminal: Callable[..., pexpect.spawn],
) -> None:
    menu = terminal()
    answer(menu, "2")
    menu.expect_exact("Enter your account ID: ")
    answer(menu, "2")
    menu.expect_exact("Enter amount you want to withdraw: ")
    answer(menu, "10")
    menu.expect_exact("Current balance: 290\r\n")
    menu.expect_exact("Press any key to go on ")
    assert "Welcome" not in menu.before
    menu.send("x")
    menu.expect_exact("\x1b[2J")  # And not 3J, which would take what has scrolled away.
    menu.expect_exact("Welcome to Distributed Bank!")
    assert "\x1b" not in menu.before
    menu.expect_exact("Your choice: ")
    answer(menu, "4")
    menu.expect(pexpect.EOF)
    menu.close()
    assert menu.exitstatus == 0


@pytest.mark.parametrize("term", ["xterm", "dumb"])
@pytest.mark.parametrize(
    "way", [["1"], ["2"], ["2", "2"], ["3"], ["3", "2"]], ids=lambda way: f"after {' '.join(way)}"
)
def test_on_a_terminal_an_empty_line_leads_back_from_every_prompt(
    terminal: Callable[..., pexpect.spawn], way: list[str], term: str
) -> None:
    menu = terminal(term=term)
    answer(menu, *way)
    menu.expect(r"Enter [a-z ]+(ID|withdraw|deposit): $")
    answer(menu, "")
    menu.expect_exact("Welcome to Distributed Bank!")
    assert "Press" not in menu.before
    menu.expect_exact("Your choice: ")


def test_on_a_terminal_what_is_no_number_gets_a_sentence_and_is_asked_again(
    terminal: Callable[..., pexpect.spawn],
) -> None:
    menu = terminal()
    answer(menu, "9")
    menu.expect_exact(f"Please enter 1, 2, 3 or 4. {MORE}\r\nYour choice: ")
    answer(menu, "1")
    for nonsense, said in (
        ("two", "An account ID is a whole number, like 2."),
        ("9" * 40, f"An account ID is {LARGEST} at most."),
    ):
        menu.expect_exact("Enter your account ID: ")
        answer(menu, nonsense)
        menu.expect_exact(f"{said}\r\n")
    menu.expect_exact("Enter your account ID: ")
    answer(menu, "2")
    menu.expect_exact("Current balance: 300\r\n")


def test_a_person_whose_screen_is_recorded_is_a_person(terminal: Callable[..., pexpect.spawn]) -> None:
    """`bankrmi menu | tee log`: what is typed is asked for again, and an empty line leads back."""
    menu = terminal("", piped_through="cat")
    answer(menu, "9")
    menu.expect_exact("Please enter 1, 2, 3 or 4.")
    menu.expect_exact("Your choice: ")
    answer(menu, "1")
    menu.expect_exact("Enter your account ID: ")
    answer(menu, "")
    menu.expect_exact("Your choice: ")
    answer(menu, "1", "two")
    menu.expect_exact("An account ID is a whole number")
    answer(menu, "2")
    menu.expect_exact("Current balance: 300")
    menu.expect_exact("Your choice: ")
    assert "\x1b" not in menu.before


def test_on_a_terminal_a_line_can_be_edited(terminal: Callable[..., pexpect.spawn]) -> None:
    """The arrow to the left, and what is typed there: no codes in the line."""
    menu = terminal()
    answer(menu, "1")
    menu.expect_exact("Enter your account ID: ")
    menu.send("0\x1b[D5\x7f2\x01\x0b2\r")
    menu.expect_exact("Current balance: 300\r\n")


def test_a_dumb_terminal_gets_no_escape_code(terminal: Callable[..., pexpect.spawn]) -> None:
    menu = terminal("takeover", term="dumb")
    seen = menu.before
    answer(menu, "1")
    menu.expect_exact("Enter your account ID: ")
    seen += menu.before
    answer(menu, "2")
    menu.expect_exact("connecting…\r\nCurrent balance: 300\r\n")
    menu.expect_exact("Press any key to go on ")
    menu.send("x")
    menu.expect_exact("Your choice: ")
    seen += menu.before
    answer(menu, "4")
    menu.expect(pexpect.EOF)
    assert "\x1b" not in seen + menu.before


def test_on_a_terminal_a_takeover_is_one_line_that_goes_away(terminal: Callable[..., pexpect.spawn]) -> None:
    menu = terminal("takeover")
    answer(menu, "1")
    menu.expect_exact("Enter your account ID: ")
    answer(menu, "2")
    menu.expect_exact("connecting…\r\x1b[KCurrent balance: 300\r\n")


def test_on_a_terminal_an_unknown_outcome_is_asked_for_again(terminal: Callable[..., pexpect.spawn]) -> None:
    menu = terminal("in-doubt")
    answer(menu, "2")
    menu.expect_exact("Enter your account ID: ")
    answer(menu, "2")
    menu.expect_exact("Enter amount you want to withdraw: ")
    answer(menu, "10")
    menu.expect_exact("request s:4")
    for heard in ("Nobody answered this time either.", "Current balance: 290"):
        menu.expect_exact("Ask again? (y/n): ")
        answer(menu, "y")
        menu.expect_exact(heard)


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_on_a_terminal_control_c_and_control_d_end_the_menu(
    terminal: Callable[..., pexpect.spawn], key: str
) -> None:
    menu = terminal()
    menu.send(key)
    menu.expect(pexpect.EOF)
    menu.close()
    assert not menu.isalive()
