"""The face of bankrmi: what `import bankrmi` offers to those who use the bank from Python.

    with bankrmi.connect("config.yaml", timeout=10) as bank:
        bank.withdraw(2, 10)

Rule: importing `bankrmi` is cheap; Pyro5 and the rest are loaded by the first `connect`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bankrmi.client import connect as connect

__all__ = ["__version__", "connect"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "connect":
        from bankrmi.client import connect

        return connect
    raise AttributeError(f"module 'bankrmi' has no attribute {name!r}")
