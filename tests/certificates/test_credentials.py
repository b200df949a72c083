"""What is wrong with the files is said in one sentence before anything starts: which file, and what to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from bankrmi.certificates import Credentials, forms
from bankrmi.certificates.authority import create, revocable, revoke
from bankrmi.certificates.folder import read_key
from bankrmi.errors import ConfigurationError
from tests.certificates.made import authority_in, bank, between, copy_of, issue, put


def refusal(folder: Path, role: str = "server", name: str = "s1") -> str:
    """Return the sentence, without the folder's place."""
    with pytest.raises(ConfigurationError) as refused:
        Credentials.of(folder, role, name)
    message = refused.value.message
    assert "\n" not in message
    return message.replace(f"{folder}/", "").replace(str(folder), "FOLDER")


Spoil = Callable[[Path], object]


def _cut(name: str, size: int) -> Spoil:
    return lambda folder: os.truncate(folder / name, size)


def _mode(name: str, mode: int) -> Spoil:
    return lambda folder: (folder / name).chmod(mode)


def _copied(source: str, name: str) -> Spoil:
    return lambda folder: shutil.copy(folder / source, folder / name)


def _removed(name: str) -> Spoil:
    return lambda folder: (folder / name).unlink()


def _written(name: str, content: bytes) -> Spoil:
    return lambda folder: (folder / name).write_bytes(content)


def _a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.touch()


def _a_pipe(folder: Path) -> None:
    (folder / "server-s1.key").unlink()
    os.mkfifo(folder / "server-s1.key", 0o600)


def _locked(folder: Path) -> None:
    key = read_key(folder / "server-s1.key")
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (folder / "server-s1.key").write_bytes(locked)


def _two_certificates(folder: Path) -> None:
    with (folder / "server-s1.pem").open("ab") as file:
        file.write((folder / "server-s2.pem").read_bytes())


def _revoked(folder: Path) -> None:
    revoke(folder, revocable(folder, "server", "s1"))


MISTAKES: list[tuple[Spoil, str]] = [
    (shutil.rmtree, "there is no folder FOLDER with certificates: `bankrmi cert create-ca` makes it"),
    (
        _a_file,
        "FOLDER is not a folder, where certificates sho",
    ),
    (_mode("", 0o777), "FOLDER can be written by everybody: chmod 700 FOLDER"),
    (_removed("ca.pem"), "ca.pem is missing, the certificate of the bank's authority: copy it from where"),
    (_mode("ca.pem", 0o666), "ca.pem can be written by everybody: chmod o-w ca.pem"),
    (_written("ca.pem", b""), "ca.pem is no certificate, or only a part of one: copy it again"),
    (
        _copied("server-s1.pem", "ca.pem"),
        "ca.pem holds a certificate that is not an authority's: copy ca.pem",
    ),
    (
        _removed("server-s1.pem"),
        "server-s1.pem is missing, the certificate of server s1: make it with `bankrmi",
    ),
    (_cut("server-s1.pem", 300), "server-s1.pem is no certificate, or only a part of one: copy it again"),
    (_written("server-s1.pem", b"\xff" * 900), "server-s1.pem is no certificate, or only a part of one"),
    (
        _written("server-s1.pem", b"a" * (1 << 20) + b"b"),
        "server-s1.pem has over 1048576 bytes, which is far",
    ),
    (_two_certificates, "server-s1.pem holds several certificates: one is expected, of server s1"),
    (
        _copied("server-s2.pem", "server-s1.pem"),
        "server-s1.pem holds the certificate of server s2, and not of",
    ),
    (
        _copied("operator-olga.pem", "server-s1.pem"),
        "server-s1.pem holds the certificate of operator olga, and",
    ),
    (_copied("ca.pem", "server-s1.pem"), "server-s1.pem cannot be used: the certificate"),
    (
        _removed("server-s1.key"),
        "server-s1.key is missing, the private key of server-s1.pem: copy it from where",
    ),
    (
        _copied("server-s2.key", "server-s1.key"),
        "server-s1.key is not the private key of server-s1.pem: copy b",
    ),
    (_cut("server-s1.key", 100), "server-s1.key is no private key, or only a part of one: copy it again"),
    (_copied("server-s1.pem", "server-s1.key"), "server-s1.key is no private key, or only a part of one"),
    (
        _mode("server-s1.key", 0o640),
        "server-s1.key can be used by others than its owner (mode 0640), and a pri",
    ),
    (
        _mode("server-s1.key", 0o604),
        "server-s1.key can be used by others than its owner (mode 0604), and a pri",
    ),
    (_a_pipe, "server-s1.key is not a plain file"),
    (_locked, "server-s1.key is locked with a password, which nobody is there to type: `openssl pkey"),
    (
        _revoked,
        "server-s1.pem is revoked, by revoked.txt: make another with `bankrmi cert create-server s1 --ov",
    ),
    (
        _written("revoked.txt", b"# fine\n\nnot hex\n"),
        "revoked.txt line 3: 'not hex' is not a serial number in",
    ),
    (_written("revoked.txt", b"\x00\xff\n"), "revoked.txt line 1: "),
    (lambda folder: (folder / "revoked.txt").mkdir(), "revoked.txt is not a plain file"),
]


@pytest.mark.parametrize(("spoil", "sentence"), MISTAKES, ids=[sentence[:40] for _, sentence in MISTAKES])
def test_a_mistake_is_one_sentence_with_file_and_remedy(folder: Path, spoil: Spoil, sentence: str) -> None:
    Credentials.of(folder, "server", "s1")
    spoil(folder)
    assert refusal(folder).startswith(sentence)


def test_a_file_of_another_name_gives_no_other_role(folder: Path) -> None:
    for kind in ("pem", "key"):
        shutil.copy(folder / f"client-anna.{kind}", folder / f"operator-anna.{kind}")
    said = refusal(folder, "operator", "anna")
    assert said == "operator-anna.pem holds the certificate of client anna, and not of operator anna"


def test_who_was_issued_by_another_authority_is_refused(folder: Path, tmp_path: Path) -> None:
    other = bank(tmp_path / "other")
    for name in ("server-s1.pem", "server-s1.key"):
        shutil.copy(other / name, folder / name)
    assert refusal(folder).startswith(
        "server-s1.pem was not issued by the authority in ca.pem: both have to come"
    )


def by_another_tool(folder: Path, *, purposes: list[x509.ObjectIdentifier], identified: bool = True) -> None:
    """Put one of server s1 there that the bank's authority has signed, and `bankrmi cert` not made."""
    issuer, issuers_key = authority_in(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    when = between(-1, 9)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(77)
        .not_valid_before(when.begin)
        .not_valid_after(when.end)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier("bankrmi:server/s1")]), critical=True
        )
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    )
    if identified:
        public = issuers_key.public_key()
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False
        ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    put(folder, "server-s1", builder.sign(issuers_key, hashes.SHA256()), key)


BOTH = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]


def test_what_every_handshake_would_refuse_is_refused_before(folder: Path) -> None:
    """Of the right authority, in time, with its key; and yet nobody would take it."""
    by_another_tool(folder, purposes=BOTH)
    assert Credentials.of(folder, "server", "s1").own.serial == 77
    for one in BOTH:
        by_another_tool(folder, purposes=[one])
        assert "would be refused by everybody (unsuitable certificate purpose)" in refusal(folder)
    by_another_tool(folder, purposes=BOTH, identified=False)
    assert "would be refused by everybody (Missing Authority Key Identifier)" in refusal(folder)


@pytest.mark.parametrize(
    ("days", "sentence"),
    [((-9, -1), "server-s1.pem ended on 20"), ((1, 9), "server-s1.pem does not count before 20")],
)
def test_whose_time_has_passed_or_not_come_is_refused(
    folder: Path, days: tuple[float, float], sentence: str
) -> None:
    issue(folder, "server", "s1", between(*days))
    said = refusal(folder)
    assert said.startswith(sentence)
    assert ("`bankrmi cert renew server-s1`" in said) == ("ended" in said)
    assert ("is the clock right?" in said) == ("before" in said)


def test_a_key_of_roots_may_be_handed_out_to_a_group(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As service managers and containers do it, for a process that is not root."""
    (folder / "server-s1.key").chmod(0o640)
    if os.geteuid() != 0:
        pytest.skip("only root can make a file of root's")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    Credentials.of(folder, "server", "s1")
    (folder / "server-s1.key").chmod(0o644)
    assert "(mode 0644)" in refusal(folder)


def test_without_a_name_it_is_the_only_one_with_that_role(folder: Path) -> None:
    assert Credentials.of(folder, "client").own.name == "anna"
    create(folder, "client", "bob", days=9)
    assert refusal(folder, "client", "") == (
        "FOLDER has certificates of several clients (anna, bob): say which, as certificates.client in the "
        "configuration"
    )
    for file in folder.glob("operator-*"):
        file.unlink()
    assert refusal(folder, "operator", "").startswith(
        "FOLDER has no certificate of an operator: make it with"
    )


def test_an_authority_that_changes_is_trusted_beside_the_new_one(folder: Path, tmp_path: Path) -> None:
    """While certificates of both are in use, `ca.pem` holds both."""
    other = bank(tmp_path / "other")
    both = (other / "ca.pem").read_bytes() + (folder / "ca.pem").read_bytes()
    for place in (folder, other):
        (place / "ca.pem").write_bytes(both)
        (place / "ca.pem").chmod(0o600)
        assert Credentials.of(place, "server", "s1").own.name == "s1"


def test_an_authority_that_has_ended_stops_only_those_whom_it_issued(folder: Path, tmp_path: Path) -> None:
    """Whoever has changed to another one need not hurry to take the old one out of `ca.pem`."""
    other = bank(tmp_path / "other")
    certificate, key = authority_in(other)
    put(other, "ca", forms.authority(key, certificate.subject, between(-9, -1)), key)
    assert refusal(other).startswith("ca.pem ended on 20")
    both = (other / "ca.pem").read_bytes() + (folder / "ca.pem").read_bytes()
    for place in (folder, other):
        (place / "ca.pem").write_bytes(both)
        (place / "ca.pem").chmod(0o600)
    assert Credentials.of(folder, "server", "s1").own.name == "s1"
    said = refusal(other)
    assert said.startswith("ca.pem ended on 20")
    assert "`bankrmi cert renew ca`" in said


def test_days_left_are_those_of_whoever_ends_first(folder: Path, tmp_path: Path) -> None:
    assert 364.9 < Credentials.of(folder, "server", "s1").days_left <= 365
    other = copy_of(folder, tmp_path / "short")
    issue(other, "server", "s1", between(-1, 0.5))
    assert 0.49 < Credentials.of(other, "server", "s1").days_left <= 0.5
    assert Credentials.of(folder, "server", "s1").ends_first == "server-s1"
    issue(other, "server", "s1", between(-1, 9))
    certificate, key = authority_in(other)
    put(other, "ca", forms.authority(key, certificate.subject, between(-1, 3)), key)
    authority_first = Credentials.of(other, "server", "s1")
    assert authority_first.ends_first == "ca"
    assert 2.99 < authority_first.days_left <= 3
