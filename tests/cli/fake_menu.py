"""The menu on a fake bank, for a test that is its terminal: python -m tests.cli.fake_menu [SCENE]."""

from __future__ import annotations

import sys

from bankrmi.bank.operations import Receipt
from bankrmi.cli.menu import Menu
from bankrmi.cli.screen import Screen
from bankrmi.errors import InDoubt
from tests.cli.fake_bank import FakeBank

if __name__ == "__main__":
    bank, screen = FakeBank(), Screen()
    bank.on_waiting = screen.show_waiting
    scene = sys.argv[1] if len(sys.argv) > 1 else ""
    if scene == "takeover":
        bank.waits = True
    if scene == "in-doubt":
        bank.errors = [InDoubt("no answer", request_id="s:4"), InDoubt("no answer", request_id="s:4")]
        bank.outcomes = {"s:4": [Receipt(2, 290, 8, "s:4")]}
    Menu(bank, screen).run()
