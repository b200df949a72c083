"""docs/tutorial/three-machines.md, done to the letter: its file, its commands, at its very addresses.

    machine      | the one at the address that stands left in its table; `anywhere` is a fourth one
    command      | what stands right, and what its blocks show after a `$`
    what comes   | is compared with what the blocks show (`pages.compare`), and with its sentences

Rule 1: nothing of what is done is written here but the order of it, and whom signals are sent to.
Rule 2: a busy machine is no part of what the page says, so the environment makes everybody patient (as in
        `test_pages.py`); the file stays as it is.
Assumption: one thread opens the network and does everything (see `Namespaces`).
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.robustness.chaos.namespaces import Namespaces
from tests import warm
from tests.pages import ROOT, Different, blocks_of, commands_of, compare, page_text
from tests.reader import SHELL, Shell, surroundings
from tests.robustness.networks import in_a_thread
from tests.warm_commands import warm_commands

DEADLINE_S = 90.0
_BETWEEN_TRIES_S = 0.5
"""Each try starts commands, which take time from what they wait for."""
PATIENCE = {"BANKRMI_LEASE_MS": "6000", "BANKRMI_CHECKPOINT_TIMEOUT_MS": "5000"}

PAGE = page_text("docs/tutorial/three-machines.md")
[CONFIGURATION] = (one.text for one in blocks_of(PAGE) if one.language == "yaml")
CONFIG_NAME = CONFIGURATION.splitlines()[0].removeprefix("# ")
TABLE = dict(re.findall(r"^\| (\S+) \| `(bankrmi .*)` \|$", PAGE, re.MULTILINE))
"""What to run, by where."""
ANYWHERE = "anywhere"
NAMESERVER, S1, S2 = (where for where in TABLE if where != ANYWHERE)
INSECURE = TABLE[ANYWHERE].removesuffix(" menu")
WAITS, OPEN, REFUSED = (commands_of(one) for one in blocks_of(PAGE) if one.text.startswith("$ "))
"""What its blocks show, in their order."""
[MENU] = (
    one
    for block in blocks_of(page_text("docs/tutorial/first-bank.md"))
    if block.text.startswith("$ ")
    for one in commands_of(block)
    if one[0].endswith("| bankrmi menu")
)
"""The menu with piped input, on an account that has not changed till there."""
OF_STRANGERS = OPEN[0][1][-1]
"""What is said at every start with --insecure."""
ADDRESS_ANYWHERE = "10.0.0.13"


class ByHand:
    """Three machines and a fourth one, equipped as the page says; nothing runs yet."""

    def __init__(self, folder: Path, network: Namespaces) -> None:
        self._folder, self._network = folder, network
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._open = ExitStack()
        self._before = self._open.enter_context(warm_commands(folder / ".bin"))
        for where in TABLE:
            (folder / where).mkdir()
            (folder / where / CONFIG_NAME).write_text(CONFIGURATION)
            if where != ANYWHERE:
                (folder / where / "ledger.csv").write_text((ROOT / "ledger.csv").read_text())
            host = ADDRESS_ANYWHERE if where == ANYWHERE else where
            self._live_at(where, host)
        self._anywhere = self._shell(ANYWHERE)

    def _live_at(self, where: str, host: str) -> None:
        shell = self._shell(where)
        try:
            assert shell.run(f"ip addr flush dev eth0 && ip addr add {host}/24 dev eth0") == []
        finally:
            shell.close()

    def _shell(self, where: str) -> Shell:
        command = self._network.command(where, list(SHELL))
        inherited = self._network.inherited(where)
        return Shell(self._folder / where, command, inherited=inherited, before=[self._before])

    def start(self, *places: str) -> None:
        """Run there what the table says."""
        for where in places:
            with (self._folder / f"{where}.log").open("ab") as log:
                name, *arguments = shlex.split(TABLE[where])
                command = [sys.executable, "-m", name, *arguments]
                self._running[where] = warm.Popen(
                    self._network.command(where, command),
                    cwd=self._folder / where,
                    env=surroundings() | PATIENCE,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=self._network.inherited(where),
                )

    def send(self, where: str, number: signal.Signals) -> int:
        """Send a signal to what runs there; return how it ended."""
        process = self._running.pop(where)
        process.send_signal(number)
        return process.wait(DEADLINE_S)

    def run(self, command: str) -> list[str]:
        """Run a command anywhere; return its lines."""
        return self._anywhere.run(command)

    def shows(self, shown: Sequence[tuple[str, list[str]]]) -> None:
        """Do what a block shows, until the same comes of it: it shows what goes on by itself."""

        def comes() -> None:
            for command, output in shown:
                compare(output, self.run(command))

        self.until(comes)

    def until(self, comes: Callable[[], object]) -> None:
        """Try until nothing is different."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                comes()
            except Different as difference:
                assert time.monotonic() < deadline, f"{difference}\n{self._logs()}"
                time.sleep(_BETWEEN_TRIES_S)
            else:
                return

    def until_well(self) -> None:
        """Wait until `status --check` has nothing to say, of the way to the witness either."""

        def comes() -> None:
            *printed, code = self.run(f"{INSECURE} status --check; echo $?")
            if code != "0":
                raise Different(f"status --check ends with {code}: {printed}")

        self.until(comes)

    def view(self) -> dict[str, Any]:
        """Return the newest change of the view; raise Different while nobody tells it."""
        printed = "\n".join(self.run(f"{INSECURE} history --json"))
        if not printed.startswith("{"):
            raise Different(printed)
        return dict(json.loads(printed)["changes"][-1])

    def until_view(self, primary: str, in_sync: Sequence[str], kind: str) -> None:
        def comes() -> None:
            view = self.view()
            if (view["primary"], view["in_sync"], view["cause"]["kind"]) != (primary, [*in_sync], kind):
                raise Different(f"the view is {view}, and not {primary} of {in_sync} for {kind}")

        self.until(comes)

    def log(self, where: str) -> str:
        return (self._folder / f"{where}.log").read_text()

    def _logs(self) -> str:
        return "".join(f"--- {where}\n{self.log(where)}" for where in self._running)

    def close(self) -> None:
        self._anywhere.close()
        self._open.close()
        for process in self._running.values():
            process.kill()
            process.wait()


@contextmanager
def by_hand(folder: Path) -> Iterator[ByHand]:
    """Lend the machines.  Raises NoNamespaces where none can be had."""
    with ExitStack() as ending:
        network = Namespaces(tuple(TABLE))
        ending.callback(network.close)
        bank = ByHand(folder, network)
        ending.callback(bank.close)
        yield bank


@pytest.mark.timeout(300)
@in_a_thread
def test_a_bank_is_opened_by_hand(tmp_path: Path) -> None:
    """What would come without --insecure, who is waited for, and what the menu says in the end."""
    with by_hand(tmp_path) as bank:
        bank.shows(REFUSED)
        bank.start(S1, NAMESERVER)
        bank.shows(WAITS)
        bank.start(S2)
        bank.shows(OPEN)
        entered, output = MENU
        compare(output, bank.run(entered.replace("bankrmi menu", TABLE[ANYWHERE])))
        for where in (NAMESERVER, S1, S2):
            assert OF_STRANGERS in bank.log(where).splitlines()[0]


@pytest.mark.long
@pytest.mark.timeout(600)
@in_a_thread
def test_what_the_page_says_of_stopping_and_starting_by_hand(tmp_path: Path) -> None:
    """Its sentences, in their order; `bankrmi` finds file and consent in the environment, too."""
    with by_hand(tmp_path) as bank:
        bank.start(NAMESERVER, S1, S2)
        bank.shows(OPEN)

        # "BANKRMI_CONFIG and BANKRMI_INSECURE=1 do the same"; "in Python: connect(…, insecure=True)".
        bank.run(f"export BANKRMI_CONFIG={CONFIG_NAME} BANKRMI_INSECURE=1")
        assert bank.run("bankrmi withdraw 2 1") == ["Current balance: 299"]
        bank.run("unset BANKRMI_CONFIG BANKRMI_INSECURE")
        python = (
            f"from bankrmi import connect; print(connect('{CONFIG_NAME}', insecure=True).balance(2).balance)"
        )
        assert bank.run(f"python -c {shlex.quote(python)}") == ["299"]

        # "While both servers are well, nobody needs" the witness.
        assert bank.send(NAMESERVER, signal.SIGKILL) == -signal.SIGKILL
        assert bank.run(f"{INSECURE} withdraw 2 1") == ["Current balance: 298"]
        bank.start(NAMESERVER)

        # "SIGTERM to one server: a standby is taken out of the view first, a primary hands over first."
        bank.until_view("s1", ["s1", "s2"], "joined")
        bank.until_well()
        assert bank.send(S2, signal.SIGTERM) == ExitCode.DONE
        bank.until_view("s1", ["s1"], "stop")
        bank.start(S2)
        bank.until_view("s1", ["s1", "s2"], "joined")
        assert bank.send(S1, signal.SIGTERM) == ExitCode.DONE
        bank.until_view("s2", ["s2"], "stop")
        bank.start(S1)
        bank.until_view("s2", ["s1", "s2"], "joined")

        # "To stop the whole bank and leave the view as it is, stop the name server with the witness first,
        # and then send SIGINT to the servers"; "later, each starts alone".
        before = bank.view()
        for where in (NAMESERVER, S1, S2):
            assert bank.send(where, signal.SIGINT) == ExitCode.DONE
        bank.start(NAMESERVER)
        bank.until(bank.view)
        assert bank.view() == before
        bank.start(S1)
        bank.until_view("s1", ["s1"], "crash")
        assert bank.run(f"{INSECURE} balance 2") == ["Current balance: 298"]

        # "While the witness answers, the last server to end goes on alone, and is the one to start first."
        bank.start(S2)
        bank.until_view("s1", ["s1", "s2"], "joined")
        assert bank.send(S2, signal.SIGINT) == ExitCode.DONE
        bank.until_view("s1", ["s1"], "crash")
        assert bank.send(S1, signal.SIGINT) == ExitCode.DONE
        bank.start(S1)
        bank.until_view("s1", ["s1"], "started_again")
