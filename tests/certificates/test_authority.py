"""What the authority issues, and what it leaves behind when something goes wrong."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from bankrmi.certificates import Credentials
from bankrmi.certificates.authority import (
    create,
    create_authority,
    renew,
    renew_authority,
    revocable,
    revoke,
)
from bankrmi.certificates.forms import addresses_of, checked_addresses
from bankrmi.certificates.issued import read_all_issued
from bankrmi.certificates.known import holder_called, listed
from bankrmi.certificates.private_files import owned, write_file
from bankrmi.errors import ConfigurationError, OperationFailed
from tests.certificates.made import between, issue


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def certificate_in(folder: Path, stem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / f"{stem}.pem").read_bytes())


def test_all_that_is_written_is_for_its_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0)
    try:
        create_authority(tmp_path / "new", days=9)
        create(tmp_path / "new", "client", "anna", days=5)
        revoke(tmp_path / "new", revocable(tmp_path / "new", "client", "anna"))
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "new").iterdir()}
    assert set(modes.values()) == {0o600}
    assert set(modes) == {
        "ca.pem", "ca.key", "client-anna.pem", "client-anna.key", "issued.txt", "revoked.txt", "audit.txt",
    }  # fmt: skip
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("stem", "usages"),
    [
        ("server-s1", ["clientAuth", "serverAuth"]),
        ("client-anna", ["clientAuth"]),
        ("operator-olga", ["clientAuth"]),
    ],
)
def test_a_certificate_says_what_it_is_for(folder: Path, stem: str, usages: list[str]) -> None:
    certificate = certificate_in(folder, stem)
    extensions = certificate.extensions
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    assert certificate.public_key().curve.name == "secp256r1"  # type: ignore[union-attr]
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    extended = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert sorted(purpose._name for purpose in extended) == usages
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    role, _, name = stem.partition("-")
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"bankrmi:{role}/{name}"]
    assert bool(addresses_of(certificate)) == (role == "server")


def test_the_authority_issues_no_authorities(folder: Path) -> None:
    constraints = certificate_in(folder, "ca").extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)


def test_renewing_keeps_all_but_the_end_and_the_number(folder: Path) -> None:
    before = certificate_in(folder, "server-s1")
    key = (folder / "server-s1.key").read_bytes()
    renew(folder, "server", "s1", days=30)
    after = certificate_in(folder, "server-s1")
    assert (folder / "server-s1.key").read_bytes() == key
    assert after.public_key() == before.public_key()
    assert addresses_of(after) == addresses_of(before) == ("localhost", "127.0.0.1")
    assert after.serial_number != before.serial_number
    assert after.not_valid_after_utc < before.not_valid_after_utc
    renew(folder, "server", "s1", days=30, addresses=("10.0.0.7",))
    assert addresses_of(certificate_in(folder, "server-s1")) == ("10.0.0.7",)


def test_what_has_ended_can_be_renewed(folder: Path) -> None:
    issue(folder, "server", "s1", between(-9, -1))
    renew(folder, "server", "s1", days=30)
    assert Credentials.of(folder, "server", "s1").days_left > 29


def test_a_key_that_was_moved_away_is_not_needed_to_renew(folder: Path) -> None:
    """Keys belong on the machines that use them, and only there."""
    (folder / "server-s1.key").unlink()
    renew(folder, "server", "s1", days=30)
    assert [row.key for row in listed(folder) if row.name == "s1"] == ["elsewhere"]


def test_revoking_reaches_what_was_renewed_or_overwritten(folder: Path) -> None:
    """Whoever has taken a copy has the certificate of then, and the key that a renewal keeps."""
    serials = {certificate_in(folder, "client-anna").serial_number}
    renew(folder, "client", "anna", days=500)
    serials.add(certificate_in(folder, "client-anna").serial_number)
    create(folder, "client", "anna", days=20, overwrite=True)
    serials.add(certificate_in(folder, "client-anna").serial_number)
    assert len(serials) == 3
    server = Credentials.of(folder, "server", "s1")
    revoke(folder, revocable(folder, "client", "anna"))
    server.look()
    assert all(map(server.is_revoked, serials))
    assert revocable(folder, "client", "anna") == []
    assert not server.is_revoked(certificate_in(folder, "operator-olga").serial_number)


def test_revoking_knows_who_is_only_in_the_list_or_only_in_the_folder(folder: Path) -> None:
    serial = certificate_in(folder, "client-anna").serial_number
    (folder / "client-anna.pem").unlink()
    assert [holder.serial for holder in revocable(folder, *holder_called(folder, "anna") or ("", ""))] == [
        serial
    ]
    (folder / "issued.txt").unlink()
    serial = certificate_in(folder, "operator-olga").serial_number
    assert [holder.serial for holder in revocable(folder, "operator", "olga")] == [serial]


def test_revoking_somebody_in_one_role_leaves_the_other(folder: Path) -> None:
    made = create(folder, "operator", "anna", days=9).holder
    assert made is not None
    revoke(folder, revocable(folder, "client", "anna"))
    server = Credentials.of(folder, "server", "s1")
    assert not server.is_revoked(made.serial)
    assert revocable(folder, "operator", "anna") == [made]


def test_what_has_ended_long_ago_is_forgotten(folder: Path) -> None:
    """Else the list would be too long one day, and no certificate could be made."""
    with (folder / "issued.txt").open("a") as file:
        file.writelines(f"{number:x} client old 2020-01-01T00:00:00Z\n" for number in range(2, 5000))
    create(folder, "client", "zoe", days=9)
    names = [holder.name for holder in read_all_issued(folder / "issued.txt")]
    assert names == ["s1", "s2", "nameserver", "anna", "olga", "zoe"]


def test_a_file_that_is_there_is_not_written_over(folder: Path) -> None:
    """Though nobody looked before: a person can have put it there meanwhile."""
    before = contents(folder)
    with pytest.raises(ConfigurationError, match=r"ca\.pem is there already"):
        write_file(folder / "ca.pem", b"other")
    assert contents(folder) == before


def test_who_was_revoked_is_not_renewed_and_can_be_made_anew(folder: Path) -> None:
    revoke(folder, revocable(folder, "client", "anna"))
    key = (folder / "client-anna.key").read_bytes()
    with pytest.raises(ConfigurationError, match="its key may be in other hands"):
        renew(folder, "client", "anna", days=30)
    create(folder, "client", "anna", days=30, overwrite=True)
    assert (folder / "client-anna.key").read_bytes() != key
    assert Credentials.of(folder, "client", "anna").own.name == "anna"


def test_nothing_is_overwritten_unasked(folder: Path) -> None:
    before = contents(folder)
    makes: list[Callable[[], object]] = [
        lambda: create_authority(folder, days=9),
        lambda: create(folder, "server", "s1", days=9, addresses=("h",)),
        lambda: create(folder, "client", "anna", days=9),
    ]
    for make in makes:
        with pytest.raises(ConfigurationError, match="is there already"):
            make()
    (folder / "client-anna.pem").unlink()
    with pytest.raises(ConfigurationError, match="is there without its certificate"):
        create(folder, "client", "anna", days=9)
    (folder / "ca.pem").unlink()
    with pytest.raises(ConfigurationError, match="an authority's key without its certificate"):
        create_authority(folder, days=9)
    del before["client-anna.pem"], before["ca.pem"]
    assert contents(folder) == before


def test_nobody_outlives_the_authority(folder: Path) -> None:
    renew_authority(folder, days=100)
    before = contents(folder)
    makes: list[Callable[[], object]] = [
        lambda: create(folder, "client", "zoe", days=101),
        lambda: renew(folder, "client", "anna", days=101),
    ]
    for make in makes:
        with pytest.raises(ConfigurationError, match=r"the authority itself ends in 99 days.*say --days 99"):
            make()
    assert contents(folder) == before
    create(folder, "client", "zoe", days=99)


def test_two_commands_at_once_do_not_write_over_each_other(folder: Path) -> None:
    before = contents(folder)
    with owned(folder):
        for make in (
            lambda: create(folder, "client", "zoe", days=9),
            lambda: renew(folder, "client", "anna", days=9),
            lambda: revoke(folder, [Credentials.of(folder, "client", "anna").own]),
        ):
            with pytest.raises(OperationFailed, match="another `bankrmi cert` is at work"):
                make()
    assert contents(folder) == before


class DiskIsFull:
    """Lets so many files be written through to the disk, and then has no more room."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            self.left -= 1
            if self.left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("after", range(4))
def test_a_full_disk_leaves_no_half_file_and_nothing_unknown(
    folder: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(folder)
    monkeypatch.setattr(os, "fsync", DiskIsFull(after))
    with pytest.raises(OperationFailed, match="cannot be written: No space left on device"):
        create(folder, "client", "zoe", days=9)
    monkeypatch.undo()
    left = contents(folder)
    assert not [name for name in left if name.endswith(".tmp")]
    lists = {"issued.txt", "audit.txt"}
    assert {name: left[name] for name in before if name not in lists} == {
        name: content for name, content in before.items() if name not in lists
    }
    assert "client-zoe.pem" not in left
    assert len(read_all_issued(folder / "issued.txt")) == 5 + (after > 1)
    create(folder, "client", "zoe", days=9, overwrite=True)
    assert Credentials.of(folder, "client", "zoe").own.name == "zoe"


@pytest.mark.parametrize("after", range(4))
def test_a_full_disk_takes_nothing_from_what_was_to_be_overwritten(
    folder: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(folder)
    monkeypatch.setattr(os, "fsync", DiskIsFull(after))
    with pytest.raises(OperationFailed, match="No space left"):
        create(folder, "client", "anna", days=9, overwrite=True)
    monkeypatch.undo()
    left = contents(folder)
    assert set(left) == set(before)
    changed = {name for name in left if left[name] != before[name]}
    assert changed == {"audit.txt"} | ({"issued.txt"} if after > 1 else set())


def test_a_line_that_a_full_disk_cut_off_is_not_gone_on_with(folder: Path) -> None:
    with (folder / "audit.txt").open("a") as file:
        file.write("2026-11-30T09:12:4")
    create(folder, "client", "zoe", days=9)
    *_, cut_off, whole = (folder / "audit.txt").read_text().splitlines()
    assert cut_off == "2026-11-30T09:12:4"
    assert " create client zoe, " in whole


@pytest.mark.parametrize(
    ("written", "hosts"),
    [
        ("10.0.0.11", ("10.0.0.11",)),
        ("10.0.0.11,bank-1.Example.org , 10.0.0.11", ("10.0.0.11", "bank-1.example.org")),
        ("[::1],::1", ("::1",)),
        ("localhost", ("localhost",)),
    ],
)
def test_addresses_are_hosts(written: str, hosts: tuple[str, ...]) -> None:
    assert checked_addresses(written) == hosts


@pytest.mark.parametrize(
    ("written", "match"),
    [
        ("", "an address is needed"),
        (" , ", "an address is needed"),
        ("10.0.0.11:9101", "leave the port out, like 10.0.0.11"),
        ("s1:9101", "leave the port out, like s1"),
        ("[::1]:9101", r"leave the port out, like \[::1\]"),
        ("0.0.0.0", "not an address that others could call"),
        ("10.0.0", "not the name of a host"),
        ("*.example.org", "not the name of a host"),
        ("bänk", "not the name of a host"),
        ("a b", "not the name of a host"),
        ("a" * 300, "not the name of a host"),
        (",".join(f"h{n}" for n in range(101)), "101 addresses are too many"),
    ],
)
def test_what_is_no_host_is_refused(written: str, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        checked_addresses(written)


def test_a_name_means_one_holder_or_is_refused(folder: Path) -> None:
    create(folder, "operator", "anna", days=9)
    create(folder, "client", "server-s1", days=9)
    assert holder_called(folder, "ca") is None
    assert holder_called(folder, "olga") == ("operator", "olga")
    assert holder_called(folder, "client-anna") == ("client", "anna")
    assert holder_called(folder, "server-s1") == ("server", "s1")
    assert holder_called(folder, "client-server-s1") == ("client", "server-s1")
    with pytest.raises(
        ConfigurationError, match=r"more than one is called anna .*client-anna, operator-anna"
    ):
        holder_called(folder, "anna")
    with pytest.raises(ConfigurationError, match=r"has no certificate of 'bob': there are server-nameserver"):
        holder_called(folder, "bob")


def rows_of(folder: Path, **asked: Any) -> dict[str, tuple[str, str]]:
    return {f"{row.role} {row.name}": (row.state, row.key) for row in listed(folder, **asked)}


def test_the_list_says_of_each_whether_it_counts(folder: Path) -> None:
    issue(folder, "server", "s1", between(-9, -1))
    issue(folder, "server", "s2", between(1, 9))
    revoke(folder, revocable(folder, "client", "anna"))
    (folder / "operator-olga.key").chmod(0o644)
    (folder / "server-nameserver.key").unlink()
    (folder / "client-bob.pem").write_text("half")
    found = rows_of(folder)
    authority = next(iter(found))
    assert found.pop(authority) == ("valid", "here")
    assert found["server s1"] == ("ended", "here")
    assert found["server s2"][0].startswith("not valid before 20")
    assert found["client anna"] == ("revoked", "here")
    assert found["operator olga"][0] == "valid"
    assert "mode 0644" in found["operator olga"][1]
    assert found["server nameserver"] == ("valid", "elsewhere")
    assert "client-bob.pem is no certificate" in found["client bob"][0]


def test_the_list_of_all_shows_what_a_renewal_has_left_in_the_world(folder: Path) -> None:
    serial = certificate_in(folder, "client-anna").serial_number
    renew(folder, "client", "anna", days=9)
    assert len(listed(folder)) == 6
    [earlier] = [row for row in listed(folder, with_earlier=True) if row.state == "valid, issued earlier"]
    assert int(earlier.serial or "", 16) == serial


@pytest.mark.parametrize(
    "line", ["rubbish", "zz client anna 2030-01-01T00:00:00Z", "aa boss anna 2030-01-01T00:00:00Z"]
)
def test_a_list_of_issued_ones_that_is_spoiled_stops_what_needs_it(folder: Path, line: str) -> None:
    """`revoke` must not say that all is done when it cannot know."""
    with (folder / "issued.txt").open("a") as file:
        file.write(line + "\n")
    before = contents(folder)
    for ask in (
        lambda: revocable(folder, "client", "anna"),
        lambda: create(folder, "client", "zoe", days=9),
        lambda: renew(folder, "client", "anna", days=9),
    ):
        with pytest.raises(ConfigurationError, match=r"issued\.txt line 7: a serial number, a role"):
            ask()
    assert contents(folder) == before
