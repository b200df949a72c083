"""As whom a bank is looked at: by the certificates that there are, and with a word about those of no use."""

from __future__ import annotations

from pathlib import Path

import pytest

from bankrmi.certificates.authority import create, create_authority
from bankrmi.client.onlooker import Onlooker
from bankrmi.config import Configuration
from bankrmi.config_settings import CertificateSettings
from bankrmi.errors import ConfigurationError


def configured(folder: Path, *holders: str) -> Configuration:
    create_authority(folder, days=30)
    for holder in holders:
        role, _, name = holder.partition("-")
        create(folder, role, name, days=20)
    return Configuration(
        path=folder / "config.yaml",
        nameserver="127.0.0.1:9090",
        servers={"s1": "127.0.0.1:9101"},
        certificates=CertificateSettings(folder=folder),
    )


def test_an_operator_sees_all_and_asks_where_there_is_one(tmp_path: Path) -> None:
    onlooker = Onlooker.of(configured(tmp_path / "both", "operator-olga", "client-anna"))
    assert (onlooker.role, onlooker.own, onlooker.why_client) == (
        "operator",
        {"holder": "operator olga", "days": 19},
        "",
    )
    plain = {"nameserver": "127.0.0.1:9090", "servers": {"s1": "127.0.0.1:9101"}}
    without = Onlooker.of(Configuration.model_validate({"path": tmp_path / "none.yaml", **plain}))
    assert (without.role, without.credentials, without.own) == ("operator", None, None)


def test_that_an_operators_certificate_is_of_no_use_is_not_passed_over(tmp_path: Path) -> None:
    two = Onlooker.of(configured(tmp_path / "two", "operator-olga", "operator-otto", "client-anna"))
    assert two.role == "client"
    assert "several operators (olga, otto): say which" in two.why_client
    bank = configured(tmp_path / "open", "operator-olga", "client-anna")
    (tmp_path / "open" / "operator-olga.key").chmod(0o644)
    assert "operator-olga.key can be used by others" in Onlooker.of(bank).why_client
    clients = Onlooker.of(configured(tmp_path / "c", "client-anna"))
    assert "has no certificate of an operator" in clients.why_client


def test_who_has_neither_is_told_of_both(tmp_path: Path) -> None:
    bank = configured(tmp_path / "bank", "operator-olga", "operator-otto", "client-anna", "client-bert")
    with pytest.raises(
        ConfigurationError, match=r"several operators .*; nor as a client: .* several clients"
    ):
        Onlooker.of(bank)
