"""The bank for asyncio programs.

async with await bankrmi.aio.connect("config.yaml", timeout=10) as bank:
    await bank.withdraw(2, 10)
"""

from __future__ import annotations

from bankrmi.client.aio_client import AsyncBankClient, connect

__all__ = ["AsyncBankClient", "connect"]
