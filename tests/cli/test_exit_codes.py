from __future__ import annotations

import pytest

from bankrmi import errors
from bankrmi.cli.exit_codes import ExitCode, exit_code_of
from bankrmi.cli.sentences import sentence_of

EXPECTED = {
    "AccountNotFound": 3,
    "InsufficientFunds": 4,
    "BalanceTooLarge": 4,
    "AccountExists": 4,
    "AccountNotEmpty": 4,
    "InvalidRequest": 2,
    "ConfigurationError": 2,
    "Unreached": 5,
    "Busy": 5,
    "Unsettled": 6,
    "NotPrimary": 6,
    "Behind": 6,
    "InDoubt": 6,
    "Forgotten": 6,
}
ALL = [getattr(errors, name) for name in errors.__all__ if name != "error_of"]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_has_the_exit_code_of_the_table(kind: type[errors.BankError]) -> None:
    assert exit_code_of(kind("what happened")) == EXPECTED.get(kind.__name__, 1)


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_a_sentence(kind: type[errors.BankError]) -> None:
    assert sentence_of(kind("what happened", request_id="s:4"))


def test_an_unknown_outcome_names_the_request() -> None:
    assert "s:4" in sentence_of(errors.InDoubt("no answer", request_id="s:4"))


def test_interrupted_is_what_shells_say() -> None:
    assert ExitCode.INTERRUPTED == 128 + 2
