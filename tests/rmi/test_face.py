"""The public face of the room."""

from __future__ import annotations

import pytest

from bankrmi import rmi
from bankrmi.errors import AccessDenied, BankError, NotPrimary, error_of
from bankrmi.rmi.failures import read_error, write_error


def test_everything_that_is_promised_is_there() -> None:
    assert len(set(rmi.__all__)) == len(rmi.__all__)
    assert all(hasattr(rmi, name) for name in rmi.__all__)


@pytest.mark.parametrize(
    "error",
    [
        NotPrimary("s2 leads", primary="s2", address="127.0.0.1:2"),
        AccessDenied("no"),
        NotPrimary("", primary=None),
    ],
)
def test_our_errors_survive_the_wire(error: BankError) -> None:
    again = read_error(write_error(error))
    assert isinstance(again, BankError)
    assert (type(again), again.message, again.details) == (type(error), error.message, error.details)


@pytest.mark.parametrize("form", [None, 5, [], {}, {"args": "x"}, {"__class__": "x", "args": [1, 2]}])
def test_whatever_stands_for_an_error_is_one(form: object) -> None:
    assert isinstance(read_error(form), rmi.RemoteError)


def test_an_error_with_an_unknown_code_may_have_happened() -> None:
    form = {"__class__": "Pyro5.errors.PyroError", "args": ["?"], "attributes": {"code": "from_the_future"}}
    assert type(read_error(form)) is type(error_of("unsettled", "?", {}))
