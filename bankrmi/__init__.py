"""The face of bankrmi: what `import bankrmi` offers to those who use the bank from Python.

    with bankrmi.connect("config.yaml", timeout=10) as bank:
        bank.withdraw(2, 10)
        bank.transfer(2, 3, 10)
        bank.submit([bankrmi.Withdraw(2, 10), bankrmi.Deposit(3, 100)])

And to those who replicate a class of their own: `Service`, `ObjectService`, `Uses`, `update`, `query`
(docs/your-own-class.md).

The errors are in `bankrmi.errors`, the same for asyncio in `bankrmi.aio`.
Rule: importing `bankrmi` is cheap; Pyro5 and the rest are loaded by the first use of a name.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bankrmi.bank.account import Account
    from bankrmi.bank.operations import CloseAccount, Deposit, OpenAccount, Receipt, Transfer, Withdraw
    from bankrmi.bank.statements import Statement, StatementEntry, Total
    from bankrmi.client import BankClient, connect
    from bankrmi.replication.sessions import new_session
    from bankrmi.service.declaring import Service, query, update
    from bankrmi.service.objects import ObjectService
    from bankrmi.service.using import Uses

__all__ = [
    "Account",
    "BankClient",
    "CloseAccount",
    "Deposit",
    "ObjectService",
    "OpenAccount",
    "Receipt",
    "Service",
    "Statement",
    "StatementEntry",
    "Total",
    "Transfer",
    "Uses",
    "Withdraw",
    "__version__",
    "connect",
    "new_session",
    "query",
    "update",
]

__version__ = "1.1.0.dev0"

_HOMES = {
    "Account": "bankrmi.bank.account",
    "BankClient": "bankrmi.client",
    "CloseAccount": "bankrmi.bank.operations",
    "Deposit": "bankrmi.bank.operations",
    "ObjectService": "bankrmi.service.objects",
    "OpenAccount": "bankrmi.bank.operations",
    "Receipt": "bankrmi.bank.operations",
    "Service": "bankrmi.service.declaring",
    "Statement": "bankrmi.bank.statements",
    "StatementEntry": "bankrmi.bank.statements",
    "Total": "bankrmi.bank.statements",
    "Transfer": "bankrmi.bank.operations",
    "Uses": "bankrmi.service.using",
    "Withdraw": "bankrmi.bank.operations",
    "connect": "bankrmi.client",
    "new_session": "bankrmi.replication.sessions",
    "query": "bankrmi.service.declaring",
    "update": "bankrmi.service.declaring",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'bankrmi' has no attribute {name!r}")
