"""Folders of certificates, good ones and bad ones, made as the commands make them; and handshakes in memory.

Rule: certificates and handshakes are real; only the bytes in between travel through memory.
"""

from __future__ import annotations

import shutil
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bankrmi.certificates import forms
from bankrmi.certificates.authority import create, create_authority
from bankrmi.certificates.folder import Files, read_authority, read_key

__all__ = ["anew", "authority_in", "bank", "between", "copy_of", "der_of", "handshake", "issue", "put"]

HOSTS = ("127.0.0.1", "localhost")


def bank(folder: Path) -> Path:
    """Make an authority, two servers, the name server, a client and an operator."""
    create_authority(folder, days=3650)
    for name in ("s1", "s2", "nameserver"):
        create(folder, "server", name, days=365, addresses=HOSTS)
    create(folder, "client", "anna", days=365)
    create(folder, "operator", "olga", days=365)
    return folder


def copy_of(folder: Path, place: Path) -> Path:
    """Copy a folder, modes included, so that a test may spoil it."""
    shutil.copytree(folder, place)
    return place


def between(begin_days: float, end_days: float) -> forms.Dates:
    """Return dates so many days from now; negative is in the past."""
    now = datetime.now(UTC).replace(microsecond=0)
    return forms.Dates(begin=now + timedelta(days=begin_days), end=now + timedelta(days=end_days))


def authority_in(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return the authority of a folder with its key."""
    key = read_key(folder / "ca.key")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return read_authority(folder, ended=True).certificates[0], key


def issue(folder: Path, role: str, name: str, dates: forms.Dates) -> x509.Certificate:
    """Put a certificate with such dates into the folder, with a key of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = forms.CertificateRequest(
        role=role, name=name, key=key.public_key(), addresses=HOSTS, dates=dates
    )
    certificate, _ = forms.issue(request, *authority_in(folder))
    put(folder, f"{role}-{name}", certificate, key)
    return certificate


def put(folder: Path, stem: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    """Put a certificate and a key into the folder, whatever they are."""
    files = Files.of(folder, stem)
    files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files.key.chmod(0o600)


def anew(file: Path, content: bytes) -> None:
    """Replace a file as `scp` and service managers do: another file under its name."""
    beside = file.with_name("beside")
    beside.write_bytes(content)
    beside.chmod(0o600)
    beside.replace(file)


def der_of(folder: Path, stem: str) -> bytes:
    """Return a certificate as a handshake shows it."""
    return x509.load_pem_x509_certificate((folder / f"{stem}.pem").read_bytes()).public_bytes(Encoding.DER)


def handshake(
    client: ssl.SSLContext, server: ssl.SSLContext, host: str | None = None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Return both ends of a connection on which both have said something; raise ssl.SSLError if one refuses.

    In TLS 1.3 a client is done before the server has seen its certificate: only what comes back tells it.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = client.wrap_bio(to_client, to_server, server_side=False, server_hostname=host)
    called = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [caller, called]
    for _ in range(6):
        waiting = [end for end in waiting if not _is_done(end)]
    assert not waiting, "the handshake does not come to an end"
    for end, other in ((called, caller), (caller, called)):
        end.write(b"said")
        assert other.read(10) == b"said"
    return caller, called


def _is_done(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
