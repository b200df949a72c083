"""Every error that a caller can get, sorted by the one question that matters: did it happen?

    BankError
    ├── Refused              it did not happen, and never will under this request id
    │   ├── AccountNotFound
    │   ├── InsufficientFunds
    │   ├── BalanceTooLarge
    │   ├── AccountExists        it cannot be opened again
    │   ├── AccountNotEmpty      it cannot be closed
    │   ├── InvalidRequest       not an account id, an amount or a request id
    │   ├── Stale                older than a newer request of its session
    │   ├── Cancelled            `outcome` asked for it before it arrived, and settled it
    │   ├── ServiceError         a method of a service raised an exception, and changed nothing
    │   ├── AccessDenied
    │   ├── Unreached            nothing was sent at all
    │   ├── ViewMoved            the view is kept elsewhere; `moved_to` is the id of the keeper that has it
    │   └── Busy                 a server had too much to do and did not take it; ask again, with the same id
    ├── Forgotten            too old: nobody does it any more, and whether it was done then is not known
    ├── Unsettled            it may or may not have happened: ask again with the same id
    │   ├── NotPrimary           harmless: another server leads
    │   ├── Behind               harmless: this copy is older than what the caller has seen
    │   └── InDoubt              the deadline came first; carries the request id
    ├── OperationFailed      an operator's command that could not be done; nothing changed
    ├── ConfigurationError   the configuration or the ledger is wrong; says file, line and remedy
    └── BrokenInvariant      we are wrong about the world; the process stops

Rule 1: `happened` is False for what is refused and None for what is unsettled or forgotten; never guess.
Rule 2: `code` is what crosses the wire; the class is found again by it (see `error_of`).
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AccessDenied",
    "AccountExists",
    "AccountNotEmpty",
    "AccountNotFound",
    "BalanceTooLarge",
    "BankError",
    "Behind",
    "BrokenInvariant",
    "Busy",
    "Cancelled",
    "ConfigurationError",
    "Forgotten",
    "InDoubt",
    "InsufficientFunds",
    "InvalidRequest",
    "NotPrimary",
    "OperationFailed",
    "Refused",
    "ServiceError",
    "Stale",
    "Unreached",
    "Unsettled",
    "ViewMoved",
    "error_of",
]


class BankError(Exception):
    """Base of all our errors.

    `details` are plain values (text, numbers, None) that cross the wire with the error;
    they can be read as attributes of the same names.
    """

    code: ClassVar[str] = "error"
    happened: ClassVar[bool | None] = None

    def __init__(self, message: str, /, **details: str | int | None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def __getattr__(self, name: str) -> str | int | None:
        details: dict[str, str | int | None] = self.__dict__.get("details", {})
        if name in details:
            return details[name]
        raise AttributeError(f"{type(self).__name__} has no {name!r}")


class Refused(BankError):
    """It did not happen, and never will under this request id."""

    code = "refused"
    happened = False


class AccountNotFound(Refused):
    """There is no account of this id."""

    code = "account_not_found"


class InsufficientFunds(Refused):
    """The amount exceeds the balance."""

    code = "insufficient_funds"


class BalanceTooLarge(Refused):
    """The balance would exceed 2^63 - 1."""

    code = "balance_too_large"


class AccountExists(Refused):
    """There is an account of this id already: it cannot be opened."""

    code = "account_exists"


class AccountNotEmpty(Refused):
    """There is money on the account: it cannot be closed."""

    code = "account_not_empty"


class InvalidRequest(Refused):
    """The account id, the amount, the operation or the request id is not one; or the id was used for another
    operation.
    """

    code = "invalid_request"


class Stale(Refused):
    """A newer request of the same session was decided before this one arrived (rule O2)."""

    code = "stale"


class Cancelled(Refused):
    """`outcome` was asked before the request arrived, and settled that it never will (rule O4)."""

    code = "cancelled"


class ServiceError(Refused):
    """A method of a service raised an exception, and changed nothing; `error` is the name of its class."""

    code = "service_error"


class AccessDenied(Refused):
    """The caller may not use this object."""

    code = "access_denied"


class Unreached(Refused):
    """The deadline came, and nothing was ever sent: no server could be reached."""

    code = "unreached"


class ViewMoved(Refused):
    """The view is not kept here any more: nothing that is asked here can win; `moved_to` says where it is."""

    code = "view_moved"


class Busy(Refused):
    """Until the deadline every server that was asked had too much to do to take the request; it may be sent
    again, with the same id.
    """

    code = "busy"


class Forgotten(BankError):
    """It is older than the bank remembers (`session_days`): nobody does it from now on; whether it was done
    then is forgotten (O5).
    """

    code = "forgotten"


class Unsettled(BankError):
    """It may or may not have happened; the same request id will find out."""

    code = "unsettled"


class NotPrimary(Unsettled):
    """Another server leads; `primary` and `address` name it where they are known.

    `undecided` is true if this server has not looked at what was asked, and never will.
    """

    code = "not_primary"


class Behind(Unsettled):
    """This copy is older than what the caller has already seen (rule R5)."""

    code = "behind"


class InDoubt(Unsettled):
    """The deadline came before the answer; `request_id` settles it with `outcome`."""

    code = "in_doubt"


class OperationFailed(BankError):
    """An operator's command could not be done; the message says why, and nothing changed."""

    code = "operation_failed"
    happened = False


class ConfigurationError(BankError):
    """The configuration, the ledger or the data directory cannot be used."""

    code = "configuration_error"
    happened = False


class BrokenInvariant(BankError):
    """What should be impossible happened; the process stops before it can spread (rule F3)."""

    code = "broken_invariant"


def _all_below(kind: type[BankError]) -> list[type[BankError]]:
    return [kind, *(deeper for below in kind.__subclasses__() for deeper in _all_below(below))]


_BY_CODE = {kind.code: kind for kind in _all_below(BankError)}


def error_of(code: str, message: str, details: dict[str, str | int | None]) -> BankError:
    """Return the error that crossed the wire as `code`; an unknown code is an unsettled one.

    When in doubt, "it may have happened" is always safe (Maelstrom's rule).
    """
    return _BY_CODE.get(code, Unsettled)(message, **details)
