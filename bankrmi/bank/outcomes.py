"""What can come of an operation: the balance after it, or that it was declined, and why."""

from __future__ import annotations

from bankrmi.errors import AccountNotFound, BalanceTooLarge, InsufficientFunds, Refused

__all__ = ["DECLINES", "INSUFFICIENT", "NO_ACCOUNT", "TOO_LARGE", "declined"]

INSUFFICIENT = "insufficient"
NO_ACCOUNT = "no_account"
TOO_LARGE = "too_large"

_DECLINED: dict[str, tuple[type[Refused], str]] = {
    INSUFFICIENT: (InsufficientFunds, "the amount exceeds the balance of account {account}"),
    NO_ACCOUNT: (AccountNotFound, "there is no account {account}"),
    TOO_LARGE: (BalanceTooLarge, "the balance of account {account} would exceed 2^63-1"),
}

DECLINES = frozenset(_DECLINED)
"""Why an operation can be declined: the statuses that the journal knows."""


def declined(account: int, outcome: tuple[str, int | None], action_id: int, **more: str | None) -> Refused:
    """Return the error of an operation that was declined: why, and at which balance; `more` are details."""
    status, balance = outcome
    kind, sentence = _DECLINED[status]
    return kind(
        sentence.format(account=account), account=account, balance=balance, action_id=action_id, **more
    )
