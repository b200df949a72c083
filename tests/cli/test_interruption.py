"""What ends a command before its answer is read: signals, whenever they come; outputs that take nothing."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pexpect
import pytest

from bankrmi.bank.operations import Receipt
from bankrmi.cli.interruption import AnswerLost, Interrupted, heed_the_end_of_the_terminal, interruptible
from bankrmi.cli.menu import Menu
from bankrmi.cli.screen import Screen
from bankrmi.cli.sentences import sentence_of
from bankrmi.errors import InDoubt
from tests import warm
from tests.cli.fake_bank import FakeBank

DEADLINE_S = 20
FAKE = [sys.executable, "-m", "tests.cli.fake_command"]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}

WHILE_IMPORTING = """
import os, sys
from bankrmi.__main__ import main

class Signalled:
    def find_spec(self, name, *_):
        if name == "bankrmi.cli":
            os.kill(os.getpid(), int(sys.argv.pop(1)))

sys.meta_path.insert(0, Signalled())
sys.exit(main())
"""

AT_THE_END = """
import os, signal, sys
from bankrmi.__main__ import main
code = main()
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    os.kill(os.getpid(), number)
sys.exit(code)
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "config.yaml"
    file.write_text("nameserver: 127.0.0.1:9090\nservers: {s1: '127.0.0.1:9101', s2: '127.0.0.1:9102'}\n")
    return str(file)


def run(*command: str, sink: int | None = None, typed: str = "") -> subprocess.CompletedProcess[str]:
    with warm.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if sink is None else sink,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        out, err = process.communicate(typed, timeout=DEADLINE_S)
    return subprocess.CompletedProcess(command, process.returncode, out or "", err)


def full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def unread() -> int:
    """Return the end of a pipe from which nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def test_a_signal_that_comes_while_another_one_is_told_changes_nothing() -> None:
    def interrupted_twice() -> None:
        with interruptible():
            heed_the_end_of_the_terminal()
            try:
                signal.raise_signal(signal.SIGTERM)
            except KeyboardInterrupt as interruption:
                signal.raise_signal(signal.SIGHUP)
                interruption.add_note("the outcome of s:1 is unknown")
                raise

    with pytest.raises(Interrupted) as raised:
        interrupted_twice()
    assert raised.value.exit_code == 143
    assert raised.value.__notes__ == ["the outcome of s:1 is unknown"]


def test_who_is_not_done_with_telling_is_interrupted_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bankrmi.cli.interruption.TELLING_S", 0.0)
    told = []

    def told_at_length() -> None:
        with interruptible():
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                signal.raise_signal(signal.SIGINT)
                told.append("all of it")

    with pytest.raises(Interrupted) as raised:
        told_at_length()
    assert raised.value.exit_code == 143
    assert told == []


def test_handlers_and_mask_are_afterwards_as_before() -> None:
    before = [signal.getsignal(number) for number in CODES], signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with interruptible():
        heed_the_end_of_the_terminal()
    assert (
        [signal.getsignal(number) for number in CODES],
        signal.pthread_sigmask(signal.SIG_BLOCK, ()),
    ) == before


@pytest.mark.but_first_long(1)  # Each is a new interpreter, that imports all.
@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_a_signal_before_a_command_has_begun_ends_it_like_any_other(
    config: str, number: signal.Signals
) -> None:
    ended = run(sys.executable, "-c", WHILE_IMPORTING, str(int(number)), "--config", config, "balance", "2")
    assert (ended.returncode, ended.stdout, ended.stderr.strip()) == (CODES[number], "", "")


@pytest.mark.parametrize("command", ["server s1", "nameserver", "up --no-menu"])
def test_the_end_of_the_terminal_does_not_end_those_who_outlive_it_while_they_begin(command: str) -> None:
    ended = run(
        sys.executable, "-c", WHILE_IMPORTING, str(int(signal.SIGHUP)), "--config", "none", *command.split()
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("there is no configuration none in ")


def test_a_signal_after_the_end_does_not_change_how_it_ended() -> None:
    ended = run(sys.executable, "-c", AT_THE_END, "balance", "two")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("sink", [full, unread])
def test_what_was_done_and_cannot_be_shown_is_told_with_its_request_id(
    config: str, sink: Callable[[], int], options: list[str]
) -> None:
    """With a code that nobody takes for an invitation to do it again."""
    descriptor = sink()
    ended = run(*FAKE, "--config", config, "withdraw", "2", "10", *options, sink=descriptor)
    os.close(descriptor)
    assert ended.returncode == 6
    assert ended.stderr.startswith(
        "fake:1 was carried out ('bankrmi outcome fake:1' says with what result), and "
    )


@pytest.mark.parametrize("in_doubt", [False, True])
def test_the_menu_tells_it_too(in_doubt: bool) -> None:
    """Its reader goes while the bank works."""
    reading, writing = os.pipe()

    class Bank(FakeBank):
        def withdraw(self, account: int, amount: int, *, request_id: str | None = None) -> Receipt:
            os.close(reading)
            if in_doubt:
                raise InDoubt("no answer", request_id="fake:1")
            return super().withdraw(account, amount, request_id=request_id)

    sink = os.fdopen(writing, "w")
    with pytest.raises((InDoubt, AnswerLost)) as raised:
        Menu(Bank(), Screen(io.StringIO("2\n2\n10\n"), sink)).run()
    with suppress(BrokenPipeError):
        sink.close()
    if in_doubt:
        assert isinstance(raised.value, InDoubt)
        assert sentence_of(raised.value) == "no answer (request id fake:1)"
    else:
        assert isinstance(raised.value, AnswerLost)
        assert raised.value.exit_code == 6
        assert raised.value.message.startswith("fake:1 was carried out ('bankrmi outcome fake:1' says ")


def test_a_switchover_that_cannot_be_shown_is_said_to_have_been_done(config: str) -> None:
    """Who repeats it would hand over once more."""
    descriptor = full()
    ended = run(*FAKE, "--config", config, "switchover", "--yes", sink=descriptor)
    os.close(descriptor)
    assert ended.returncode == 6
    assert ended.stderr.startswith(
        "it was handed over: epoch 8, primary s2, in sync s1, s2, and that could not "
    )


def test_what_was_only_asked_for_may_be_asked_for_again(config: str) -> None:
    descriptor = full()
    ended = run(*FAKE, "--config", config, "balance", "2", sink=descriptor)
    os.close(descriptor)
    assert (ended.returncode, ended.stderr) == (1, "bankrmi: No space left on device\n")


def test_an_error_that_cannot_be_told_keeps_its_exit_code(config: str) -> None:
    command = [*FAKE, "--config", config, "balance", "50"]
    with Path("/dev/full").open("w", encoding="utf-8") as sink, warm.Popen(command, stderr=sink) as ended:
        assert ended.wait(DEADLINE_S) == 3


@pytest.fixture
def prompt(config: str) -> pexpect.spawn:
    """Return a command that asks whether it shall, on a terminal of its own."""
    asking = warm.terminal(["--config", config, "switchover"], timeout=DEADLINE_S)
    asking.expect_exact("[y/N]: ")
    return asking


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_a_signal_at_a_question_has_its_own_exit_code(prompt: pexpect.spawn, number: signal.Signals) -> None:
    prompt.kill(number)
    while prompt.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=0.2):
        prompt.kill(number)  # One that came just before Python waits for a line is noticed with the next.
    prompt.close()
    assert prompt.exitstatus == CODES[number]


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"], ids=["n", "enter", "end of input"])
def test_a_no_is_a_sentence_and_an_error(prompt: pexpect.spawn, answer: str) -> None:
    prompt.send(answer)
    prompt.expect_exact("nothing was done")
    prompt.expect(pexpect.EOF)
    prompt.close()
    assert prompt.exitstatus == 1


@pytest.mark.parametrize("ignored", [False, True], ids=["with SIGHUP", "without it"])
def test_a_terminal_that_is_closed_ends_the_menu_like_sighup(config: str, ignored: bool) -> None:
    menu = pexpect.spawn(
        FAKE[0],
        [*FAKE[1:], "--config", config, "menu"],
        timeout=DEADLINE_S,
        encoding="utf-8",
        ignore_sighup=ignored,
    )
    menu.expect_exact("Your choice: ")
    os.close(menu.child_fd)
    _, status = os.waitpid(menu.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 129
