from __future__ import annotations

import pytest

from bankrmi.database_url import checked_database_url, database_in_words, reached_without_proof


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://anna:secret@db1/bank", "bank at db1:5432"),
        ("postgres://db1:5433,db2:5434/bank?sslmode=verify-full", "bank at db1:5433,db2:5434"),
        ("postgresql://anna@[::1]:5433/a%20bank", "a bank at [::1]:5433"),
        ("postgresql://%2Frun%2Fpostgresql/bank", "bank at /run/postgresql:5432"),
    ],
)
def test_the_database_and_its_hosts_are_told_and_no_password(url: str, words: str) -> None:
    assert checked_database_url(url) == url
    assert database_in_words(url) == words


@pytest.mark.parametrize(
    "url",
    [
        "mysql://db1/bank",
        "db1/bank",
        "postgresql://db1",
        "postgresql:///bank",
        "postgresql://db1:port/bank",
        "postgresql://db1:70000/bank",
        "postgresql://db1,/bank",
        "postgresql://[db1/bank",
        "postgresql://db1/bank?host=db2",
        "postgresql://50%secret@db1/bank",
        "postgresql://db1/a%00b",
        "postgresql://of@db1/bank",  # What is behind the first @ would be told as the name of a host.
        "postgresql://" + ",".join(["h"] * 17) + "/bank",
        "postgresql://db1/" + "b" * 3000,
    ],
)
def test_what_is_none_is_refused_without_its_words(url: str) -> None:
    with pytest.raises(ValueError, match="engine") as refused:
        checked_database_url(url.replace("://", "://anna:secret@", 1))
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://localhost,127.0.0.1:5433,[::1]/bank", []),
        ("postgresql://%2Frun%2Fpostgresql/bank", []),
        ("postgresql://localhost,db2/bank", ["db2"]),
        ("postgresql://db2/bank?sslmode=require", ["db2"]),
        ("postgresql://db2/bank?sslmode=verify-full", []),
    ],
)
def test_hosts_beyond_this_machine_have_to_prove_who_they_are(url: str, hosts: list[str]) -> None:
    assert reached_without_proof(url) == hosts
