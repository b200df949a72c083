"""What a program on this machine uses of the bank: the blocking client, the asyncio one, the overview.

    attempts      what to try next, how long to wait, when to give up: pure, shared by both clients
    seen          how new the newest answer was (rule R5)
"""
