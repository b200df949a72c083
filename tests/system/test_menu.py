"""A person at a terminal, a script at a pipe, and a bank that loses its primary meanwhile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from bankrmi.cli.menu import MORE
from tests import warm
from tests.system.cluster import DEADLINE_S, Cluster
from tests.system.commands import bankrmi

MENU = """\
Welcome to Distributed Bank!
-----------------------------------
* Enter your operation:           *
*   1: Look up balance            *
*   2: Withdraw an amount of money*
*   3: Save an amount of money    *
*   4: Terminating program        *
-----------------------------------

Your choice: """

ACCOUNT = "Enter your account ID: "
WITHDRAW = "Enter amount you want to withdraw: "
DEPOSIT = "Enter amount you want to deposit: "
LEDGER = {2: 300, 3: 450, 5: 200}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, ledger=LEDGER) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        yield cluster
        cluster.show_logs()


class Person:
    """Types at the menu, and reads what stands on the screen."""

    def __init__(self, cluster: Cluster, *options: str) -> None:
        command = ["--config", str(cluster.config), "menu", *options]
        self.terminal: Any = warm.terminal(command, timeout=DEADLINE_S, dimensions=(40, 100))
        self.reads(MENU)

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *_: object) -> None:
        self.terminal.close(force=True)

    def reads(self, text: str) -> None:
        self.terminal.expect_exact(text.replace("\n", "\r\n"))

    def types(self, line: str) -> None:
        self.terminal.sendline(line)
        self.terminal.expect_exact(f"{line}\r\n")  # The terminal's echo.

    def asks(self, choice: str, *answers: tuple[str, str]) -> None:
        """Choose, and answer each prompt."""
        self.types(choice)
        for prompt, answer in answers:
            self.reads(prompt)
            self.types(answer)

    def gets(self, sentence: str) -> str:
        """Read the answer, and turn the page; return what stood before the answer."""
        self.reads(f"{sentence}\n")
        before = str(self.terminal.before)
        self.reads("Press any key to go on ")
        self.terminal.send("x")
        self.reads("\x1b[H\x1b[2J" + MENU)
        return before

    def ends(self) -> int:
        self.terminal.expect(pexpect.EOF)
        self.terminal.close()
        return int(self.terminal.exitstatus)


def test_a_person_gets_every_answer_of_the_menu(cluster: Cluster) -> None:
    with Person(cluster) as person:
        person.asks("1", (ACCOUNT, "2"))
        person.gets("Current balance: 300")
        person.asks("2", (ACCOUNT, "2"), (WITHDRAW, "10"))
        person.gets("Current balance: 290")
        person.asks("3", (ACCOUNT, "2"), (DEPOSIT, "15"))
        person.gets("Current balance: 305")
        person.asks("2", (ACCOUNT, "2"), (WITHDRAW, "306"))
        person.gets("Withdraw amount must be less than balance")
        person.asks("2", (ACCOUNT, "2"), (WITHDRAW, "305"))
        person.gets("Current balance: 0")
        for choice, amount in (("1", ()), ("2", ((WITHDRAW, "1"),)), ("3", ((DEPOSIT, "1"),))):
            person.asks(choice, (ACCOUNT, "50"), *amount)
            person.gets("Account not found")
        person.types("4")
        assert person.ends() == 0


def test_what_is_no_number_gets_a_sentence_and_is_asked_again(cluster: Cluster) -> None:
    with Person(cluster) as person:
        person.types("9")
        person.reads(f"Please enter 1, 2, 3 or 4. {MORE}\nYour choice: ")
        person.types("2")
        for mistake in ("two", "-2", "2.5"):
            person.reads(ACCOUNT)
            person.types(mistake)
            person.reads("An account ID is a whole number, like 2.\n")
        person.reads(ACCOUNT)
        person.types("2")
        for mistake in ("ten", "-10", "1e1"):
            person.reads(WITHDRAW)
            person.types(mistake)
            person.reads("An amount is a whole number that is not negative, like 10.\n")
        person.reads(WITHDRAW)
        person.types("0")
        person.gets("Current balance: 300")


@pytest.mark.parametrize(("key", "code"), [("\x04", 0), ("\x03", 130)], ids=["ctrl-d", "ctrl-c"])
def test_the_end_of_the_input_and_ctrl_c_end_it(cluster: Cluster, key: str, code: int) -> None:
    with Person(cluster) as person:
        person.asks("1")
        person.reads(ACCOUNT)
        person.terminal.send(key)
        assert person.ends() == code


def test_while_the_primary_is_killed_a_person_sees_at_most_that_it_connects(cluster: Cluster) -> None:
    """kill -9 between two operations, twice; the second one's successor is the first one's victim."""
    with Person(cluster) as person:
        balance = 300
        for _ in range(2):
            person.asks("1", (ACCOUNT, "2"))
            person.gets(f"Current balance: {balance}")
            victim = cluster.primary()
            cluster.kill(victim)
            balance -= 10
            person.asks("2", (ACCOUNT, "2"), (WITHDRAW, "10"))
            before = person.gets(f"Current balance: {balance}")
            assert re.fullmatch(r"(connecting…\r\x1b\[K)?", before)
            cluster.start(victim)
            cluster.wait_until_in_sync()
        person.types("4")
        assert person.ends() == 0


def test_an_unknown_outcome_is_said_and_asking_again_is_offered(cluster: Cluster) -> None:
    """Both servers stand still: nobody answers. They go on: asking again tells what became of it."""
    with Person(cluster, "--timeout", "2") as person:
        person.asks("1", (ACCOUNT, "2"))
        person.gets("Current balance: 300")
        for server in cluster.servers:
            cluster.pause(server)
        person.asks("2", (ACCOUNT, "2"), (WITHDRAW, "10"))
        person.terminal.expect(r"it is not known whether request \S+ was carried out\.\r\n")
        person.reads("Ask again? (y/n): ")
        person.types("y")
        person.reads("Nobody answered this time either.\nAsk again? (y/n): ")
        for server in cluster.servers:
            cluster.resume(server)
        cluster.wait_until_in_sync()
        person.types("y")
        person.terminal.expect(
            r"Current balance: 290\r\n|It did not happen, and never will|ancelled: it did not"
        )
        happened = "290" in str(person.terminal.after)
        person.reads("Press any key to go on ")
        person.terminal.send("x")
        person.reads(MENU)
        person.asks("1", (ACCOUNT, "2"))
        person.gets(f"Current balance: {290 if happened else 300}")


def test_a_pipe_gives_the_same_transcript(cluster: Cluster) -> None:
    ended = bankrmi(cluster, "menu", typed="1\n2\n2\n2\n10\n3\n5\n100\n2\n5\n301\n1\n50\n4\n")
    assert ended.returncode == 0
    assert ended.stderr == ""
    said = [
        f"1\n{ACCOUNT}2\nCurrent balance: 300\n\n",
        f"2\n{ACCOUNT}2\n{WITHDRAW}10\nCurrent balance: 290\n\n",
        f"3\n{ACCOUNT}5\n{DEPOSIT}100\nCurrent balance: 300\n\n",
        f"2\n{ACCOUNT}5\n{WITHDRAW}301\nWithdraw amount must be less than balance\n\n",
        f"1\n{ACCOUNT}50\nAccount not found\n\n",
        "4\n",
    ]
    assert ended.stdout == "".join(MENU + one for one in said)


def test_a_script_that_left_a_number_out_moves_no_money(cluster: Cluster) -> None:
    """Else `pay into 2, 5` is read as `pay into 5`, and what follows as something else again."""
    typed = "\ufeff3\n\n5\n2\n2\n100\n4\n"
    ended = bankrmi(cluster, "menu", typed=typed)
    assert ended.returncode == 2
    assert ended.stderr.startswith("line 2 of the input is ''. An account ID is a whole number, like 2.")
    assert {number: cluster.client().balance(number).balance for number in LEDGER} == LEDGER


def test_a_pipe_that_ends_ends_it(cluster: Cluster) -> None:
    ended = bankrmi(cluster, "menu", typed="1\n2\n")
    assert ended.returncode == 0
    assert "Current balance: 300\n" in ended.stdout


def test_a_menu_before_the_bank_says_that_nobody_can_be_reached(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        ended = bankrmi(cluster, "menu", "--timeout", "1", typed="1\n2\n4\n")
    assert ended.returncode == 0
    assert "nobody" in ended.stdout.lower()
