"""What a script learns from how a command ended.  One table, and the only one."""

from __future__ import annotations

from enum import IntEnum

from bankrmi import errors

__all__ = ["TABLE", "ExitCode", "HealthCode", "SimulationCode", "exit_code_of"]


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    """Done."""
    ERROR = 1
    """Error; or a question was answered with no, and nothing was done."""
    USAGE = 2
    """Usage, invalid input, a mistake in the configuration or the ledger."""
    ACCOUNT_NOT_FOUND = 3
    """Account not found."""
    DECLINED = 4
    """Declined: insufficient balance, balance too large; the account to open is there, the one to close not
    empty.
    """
    UNREACHED = 5
    """Nobody could be reached, or all were busy, and nothing was done."""
    UNKNOWN = 6
    """Outcome unknown, or too old to be known, or what was done could not be shown (a full disk, a reader
    that has gone). The request id is printed, with which `outcome` says what became of it.
    """
    INTERRUPTED = 130
    """Interrupted by Ctrl-C (143 by SIGTERM, 129 by SIGHUP); the id of a request that was under way is
    printed. `up`, `nameserver` and `server`, which are stopped like that, end with 0.
    """


class HealthCode(IntEnum):
    """What `status --check` found; the worst of it.

    `ExitCode.UNREACHED`: nobody answers at all, or nobody lets us in.
    """

    NOBODY_LEADS = 7
    """`status --check`: nobody leads."""
    NOTHING_ACKNOWLEDGED = 8
    """`status --check`: somebody leads, and nothing can be acknowledged: for want of copies, or because
    servers do not reach each other, though you reach all of them.
    """
    ONE_COPY = 9
    """`status --check`: one copy only."""
    NOBODY_COULD_TAKE_OVER = 10
    """`status --check`: all goes on until something else fails: the witness is away, has lost its memory,
    or is not reached by the server that would need it; or no copy could take over.
    """


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
    errors.AccountExists: ExitCode.DECLINED,
    errors.AccountNotEmpty: ExitCode.DECLINED,
    errors.Unreached: ExitCode.UNREACHED,
    errors.Busy: ExitCode.UNREACHED,
    errors.Unsettled: ExitCode.UNKNOWN,
    errors.Forgotten: ExitCode.UNKNOWN,
    errors.BankError: ExitCode.ERROR,
}


def exit_code_of(error: errors.BankError) -> ExitCode:
    """Return the code of the nearest class that the table knows."""
    return next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
