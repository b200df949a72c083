from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Iterator

import pexpect
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.bank.operations import LARGEST, Receipt
from bankrmi.cli.menu import WELCOME, Menu
from bankrmi.cli.screen import Screen
from bankrmi.errors import BalanceTooLarge, Cancelled, InDoubt, InsufficientFunds, NotPrimary, Unreached
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


@pytest.mark.parametrize(
    "nonsense", ["", "two", "-1", "1.5", "1e3", "+1", " ", "٣", str(LARGEST + 1), "9" * 50]
)
def test_what_is_no_number_gets_a_sentence_and_is_asked_again(nonsense: str) -> None:
    shown = transcript(f"2\n{nonsense}\n2\n{nonsense}\n10\n4\n")
    assert "An account ID is a whole number, like 2." in shown
    assert "An amount is a whole number that is not negative, like 10." in shown
    assert "Current balance: 290" in shown


def test_a_choice_that_there_is_not_gets_a_sentence_and_is_asked_again() -> None:
    assert transcript("5\n\n12\n1\n2\n4\n")[:6] == [
        "Your choice: 5",
        "Please enter 1, 2, 3 or 4.",
        "Your choice: ",
        "Please enter 1, 2, 3 or 4.",
        "Your choice: 12",
        "Please enter 1, 2, 3 or 4.",
    ]


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


@given(lines=st.lists(st.sampled_from(["1", "2", "3", "5", "50", "-1", "", "x", "10", "y", "n", "é"])))
def test_whatever_is_piped_in_the_menu_ends_with_the_input(lines: list[str]) -> None:
    """And no money is made or lost on the way but what was saved or withdrawn."""
    bank = FakeBank()
    shown = transcript("\n".join(lines), bank)
    assert all(balance >= 0 for balance in bank.balances.values())
    assert shown


def test_bytes_that_are_no_text_get_a_sentence_too() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "tests.cli.fake_menu"],
        input=b"1\n\xff\n2\n4\n",
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert (
        "An account ID is a whole number, like 2.\nEnter your account ID: 2\nCurrent balance: 300\n" in shown
    )


# On a pseudo-terminal.


@pytest.fixture
def terminal() -> Iterator[Callable[..., pexpect.spawn]]:
    """Return what starts the menu on a terminal of its own."""
    started: list[pexpect.spawn] = []

    def start(*scene: str) -> pexpect.spawn:
        menu = pexpect.spawn(
            sys.executable, ["-m", "tests.cli.fake_menu", *scene], timeout=20, encoding="utf-8", echo=True
        )
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
    menu.expect_exact("\x1b[2J")
    menu.expect_exact("Welcome to Distributed Bank!")
    menu.expect_exact("Your choice: ")
    answer(menu, "4")
    menu.expect(pexpect.EOF)
    menu.close()
    assert menu.exitstatus == 0


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
