"""A page that shows one's own bank as it is, and lets one break it.

    app        the web server: the page, the stream of events, what may be asked for
    guard      who may ask: this machine's browser, and whoever has the token
    feed       what has happened lately, and whoever listens
    watching   asks the bank how it is, and says what has changed
    rolled_back  what servers on this machine have rolled back
    teller     calls of a person, and a load; how fast they are answered
    misfortunes  what can be done to a bank on this machine, and with which command
    bank_here    that bank: its processes, the `up` that runs them, and how it was last
    broken_processes  killed, frozen, stopped; and the way back
    broken_disks      deleted, full; the witness's memory lost
    broken_links      cut, slow
    disks        data directories, emptied and filled
    felt         what was done, from when until when, and how it is undone
    rule_search  the first history that goes wrong without a rule, by the simulator
    page/      what the browser gets

Rule 1: the console is a process of its own, and knows the bank by the public client, by status calls and by
        its processes' numbers: its end touches nothing.
Rule 2: whatever is shown is kept for a while and in a bounded number; whoever cannot follow begins anew.
"""

from __future__ import annotations

from .app import Console

__all__ = ["Console"]
