from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bankrmi.bank.ledger_file import LARGEST_BYTES, read_ledger, write_ledger
from bankrmi.errors import ConfigurationError

LARGEST = 2**63 - 1
LEDGERS = st.dictionaries(st.integers(0, LARGEST), st.integers(0, LARGEST), min_size=1)


def written(folder: Path, content: bytes) -> Path:
    file = folder / "ledger.csv"
    file.write_bytes(content)
    return file


def test_the_shipped_ledger_has_the_accounts_of_the_pages() -> None:
    balances = read_ledger(Path(__file__).parent.parent.parent / "ledger.csv")
    assert sorted(balances) == list(range(1, 11))
    assert (balances[2], balances[3], balances[5]) == (300, 450, 200)
    assert 50 not in balances


@pytest.mark.parametrize("what", ["/dev/zero", "/dev/null", "a pipe", "a folder", "a link to a pipe"])
def test_only_a_plain_file_is_a_ledger(tmp_path: Path, what: str) -> None:
    """The others may have no end, or keep whoever opens them waiting."""
    path = Path(what) if what.startswith("/") else tmp_path / "ledger.csv"
    if what == "a pipe":
        os.mkfifo(path)
    elif what == "a folder":
        path.mkdir()
    elif what == "a link to a pipe":
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to(tmp_path / "pipe")
    with pytest.raises(ConfigurationError, match=r"the ledger .* is not a plain file"):
        read_ledger(path)


def test_what_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    with path.open("wb") as file:
        file.truncate(LARGEST_BYTES + 1)
    with pytest.raises(ConfigurationError, match=r"is over \d+ bytes, the most that a ledger may have"):
        read_ledger(path)
    path.write_bytes(b"," * (1 << 20))
    with pytest.raises(ConfigurationError, match="line 1: 1048576 characters are too many for two numbers"):
        read_ledger(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(balances=LEDGERS)
def test_what_is_written_is_read_again(tmp_path: Path, balances: dict[int, int]) -> None:
    stream = io.StringIO()
    write_ledger(stream, sorted(balances.items()))
    assert read_ledger(written(tmp_path, stream.getvalue().encode())) == balances


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    balances=LEDGERS,
    header=st.sampled_from(["", "account-id,balance", " Account-ID , balance "]),
    mark=st.sampled_from([b"", b"\xef\xbb\xbf"]),
    end=st.sampled_from(["\n", "\r\n", "\n\n"]),
    comma=st.sampled_from([",", " , ", "\t,", ",  "]),
    last_line_ends=st.booleans(),
)
def test_what_editors_do_to_a_file_changes_nothing(
    tmp_path: Path,
    balances: dict[int, int],
    header: str,
    mark: bytes,
    end: str,
    comma: str,
    last_line_ends: bool,
) -> None:
    """Header or none, byte-order mark, CRLF, blank lines, spaces at the comma, no end of the last line."""
    lines = ([header] if header else []) + [f"{account}{comma}{balances[account]}" for account in balances]
    text = end.join(lines) + (end if last_line_ends else "")
    assert read_ledger(written(tmp_path, mark + text.encode())) == balances


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ("1,100\n2,200\n1,300\n", "line 3: account 1 is there already, in line 1"),
        ("1,100\n01,300\n", "line 2: account 1 is there already, in line 1"),
        (
            "account-id,balance\n1,-5\n",
            "line 2: the balance must be a whole number from 0 to 9223372036854775807, not",
        ),
        ("-1,5\n", "line 1: the account id must be a whole number"),
        ("1,2.5\n", "line 1: the balance must be a whole number"),
        ("1,1e3\n", "line 1: the balance must be a whole number"),
        ("1,+3\n", "line 1: the balance must be a whole number"),
        ("1,1_000\n", "line 1: the balance must be a whole number"),
        ("1,\n", "line 1: the balance must be a whole number"),
        ("1,\u0663\n", "line 1: the balance must be a whole number"),  # A digit, but none that we write.
        ("1,ten\n", "line 1: the balance must be a whole number"),
        ("1,100\naccount-id,balance\n", "line 2: the account id must be a whole number"),
        ("1,9223372036854775808\n", "line 1: the balance 9223372036854775808 is over 9223372036854775807"),
        (f"1,{'9' * 10_000}\n", "line 1: the balance 9999999999999999999999999999999999999... is over"),
        ("1,100\n\n2\n", "line 3: 'account-id,balance' is expected, two numbers, and here are 1 values"),
        ("1,2,3\n", "line 1: 'account-id,balance' is expected, two numbers, and here are 3 values"),
    ],
)
def test_a_ledger_with_one_mistake_is_refused_as_a_whole(tmp_path: Path, lines: str, what: str) -> None:
    file = written(tmp_path, lines.encode())
    with pytest.raises(ConfigurationError) as refused:
        read_ledger(file)
    assert refused.value.message.startswith(f"{file} {what}")


def test_a_ledger_without_accounts_is_a_mistake(tmp_path: Path) -> None:
    for content in (b"", b"account-id,balance\n", b"\n\n"):
        with pytest.raises(ConfigurationError, match="has no accounts"):
            read_ledger(written(tmp_path, content))


def test_a_ledger_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read_ledger(tmp_path / "none.csv")
    with pytest.raises(ConfigurationError, match="is not a plain file"):
        read_ledger(tmp_path)
    with pytest.raises(ConfigurationError, match="is not text in UTF-8"):
        read_ledger(written(tmp_path, b"1,\xff\n"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary() | st.text("0123,;.-\n\r ab").map(str.encode))
def test_whatever_the_file_holds_the_answer_is_balances_or_a_sentence(tmp_path: Path, content: bytes) -> None:
    try:
        balances = read_ledger(written(tmp_path, content))
    except ConfigurationError as error:
        assert "\n" not in error.message
    else:
        assert all(0 <= number <= LARGEST for pair in balances.items() for number in pair)
