"""What a script learns from how a command ended.  One table, and the only one."""

from __future__ import annotations

from enum import IntEnum

from bankrmi import errors

__all__ = ["TABLE", "ExitCode", "HealthCode", "SimulationCode", "exit_code_of"]


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    """Invalid input: of the command line, of the configuration, of the ledger."""
    ACCOUNT_NOT_FOUND = 3
    DECLINED = 4
    UNREACHED = 5
    """Nobody could be reached, or all were busy, and nothing was done."""
    UNKNOWN = 6
    """It may or may not have happened; or it did, and could not be shown. The request id is printed."""
    INTERRUPTED = 130


class HealthCode(IntEnum):
    """What `status --check` found; the worst of it.

    `ExitCode.UNREACHED`: nobody answers at all, or nobody lets us in.
    """

    NOBODY_LEADS = 7
    NOTHING_ACKNOWLEDGED = 8
    """Somebody leads, and has to wait for a copy, or for more copies."""
    ONE_COPY = 9
    NOBODY_COULD_TAKE_OVER = 10
    """All is well; but one more failure stops the bank: the witness is away, has lost its memory, or is not
    reached by those who need it, or no copy is ready to lead."""


class SimulationCode(IntEnum):
    """How `simulate` ended, where it found something; the numbers mean other things elsewhere."""

    SAFETY = 1
    """Something happened that never may."""
    LIVENESS = 2
    """Nothing happened, though it should have."""
    CRASH = 3
    """The code itself failed."""


TABLE: dict[type[errors.BankError], ExitCode] = {
    errors.InvalidRequest: ExitCode.USAGE,
    errors.ConfigurationError: ExitCode.USAGE,
    errors.AccountNotFound: ExitCode.ACCOUNT_NOT_FOUND,
    errors.InsufficientFunds: ExitCode.DECLINED,
    errors.BalanceTooLarge: ExitCode.DECLINED,
    errors.Unreached: ExitCode.UNREACHED,
    errors.Busy: ExitCode.UNREACHED,
    errors.Unsettled: ExitCode.UNKNOWN,
    errors.Forgotten: ExitCode.UNKNOWN,
    errors.BankError: ExitCode.ERROR,
}


def exit_code_of(error: errors.BankError) -> ExitCode:
    """Return the code of the nearest class that the table knows."""
    return next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
