"""Who gets through a handshake, and what the other end then knows."""

from __future__ import annotations

import ssl
from base64 import b64encode
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import example, given
from hypothesis import strategies as st

from bankrmi.certificates import CertificateRefused, Credentials, Identity, forms
from bankrmi.certificates.authority import revocable, revoke
from bankrmi.errors import ConfigurationError
from tests.certificates.made import anew, authority_in, bank, between, der_of, handshake, issue, put


def context_of(folder: Path, stem: str | None, *, purpose: int = ssl.PROTOCOL_TLS_CLIENT) -> ssl.SSLContext:
    """Return what somebody who keeps to no rule of ours begins with: any certificate, or none."""
    context = ssl.SSLContext(purpose)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if stem is not None:
        context.load_cert_chain(folder / f"{stem}.pem", folder / f"{stem}.key")
    return context


def test_both_ends_learn_who_the_other_one_is(folder: Path) -> None:
    server, client = Credentials.of(folder, "server", "s1"), Credentials.of(folder, "client", "anna")
    caller, called = handshake(client.client_context(), server.server_context())
    shown, seen = called.getpeercert(binary_form=True), caller.getpeercert(binary_form=True)
    assert shown is not None
    assert seen is not None
    assert server.identity_of(shown) == client.own
    assert client.identity_of(seen) == server.own
    assert (client.own.role, client.own.name) == ("client", "anna")
    assert (server.own.role, server.own.name) == ("server", "s1")


def test_servers_call_each_other_and_the_name_server(folder: Path) -> None:
    one, two = Credentials.of(folder, "server", "s1"), Credentials.of(folder, "server", "nameserver")
    caller, called = handshake(one.client_context(), two.server_context())
    assert caller.version() == called.version() == "TLSv1.3"


def test_a_stock_client_that_compares_the_host_gets_through(folder: Path) -> None:
    """As Pyro5 does it: the usual context of Python, with our authority and a client's certificate."""
    stock = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    stock.load_cert_chain(folder / "client-anna.pem", folder / "client-anna.key")
    stock.load_verify_locations(cafile=folder / "ca.pem")
    stock.verify_flags |= ssl.VERIFY_X509_STRICT  # As Python 3.13 has it.
    server = Credentials.of(folder, "server", "s1").server_context()
    for host in ("127.0.0.1", "localhost"):
        handshake(stock, server, host)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(stock, server, "10.0.0.99")


def test_who_shows_nothing_is_refused(folder: Path) -> None:
    server = Credentials.of(folder, "server", "s1").server_context()
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        handshake(context_of(folder, None), server)


def test_who_is_of_another_authority_is_refused(folder: Path, tmp_path: Path) -> None:
    other = bank(tmp_path / "other")
    server = Credentials.of(folder, "server", "s1").server_context()
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer certificate"):
        handshake(context_of(other, "client-anna"), server)
    client = Credentials.of(folder, "client", "anna").client_context()
    false_server = context_of(other, "server-s1", purpose=ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer certificate"):
        handshake(client, false_server)


def test_the_systems_authorities_are_not_trusted(folder: Path) -> None:
    for credentials in (Credentials.of(folder, "server", "s1"), Credentials.of(folder, "client", "anna")):
        for context in (credentials.server_context(), credentials.client_context()):
            assert context.get_ca_certs(binary_form=True) == [der_of(folder, "ca")]


@pytest.mark.parametrize(
    ("days", "match"), [((-10, -1), "certificate has expired"), ((1, 10), "certificate is not yet valid")]
)
def test_whose_time_has_passed_or_not_come_is_refused(
    folder: Path, days: tuple[float, float], match: str
) -> None:
    issue(folder, "client", "late", between(*days))
    server = Credentials.of(folder, "server", "s1")
    with pytest.raises(ssl.SSLCertVerificationError, match=match):
        handshake(context_of(folder, "client-late"), server.server_context())
    issue(folder, "server", "late", between(*days))
    client = Credentials.of(folder, "client", "anna").client_context()
    with pytest.raises(ssl.SSLCertVerificationError, match=match):
        handshake(client, context_of(folder, "server-late", purpose=ssl.PROTOCOL_TLS_SERVER))


@pytest.mark.parametrize("stem", ["client-anna", "operator-olga"])
def test_a_client_or_an_operator_is_no_server_for_openssl_already(folder: Path, stem: str) -> None:
    client = Credentials.of(folder, "client", "anna").client_context()
    with pytest.raises(ssl.SSLCertVerificationError, match="unsuitable certificate purpose"):
        handshake(client, context_of(folder, stem, purpose=ssl.PROTOCOL_TLS_SERVER))


def test_a_certificate_of_somebody_does_not_issue_others(folder: Path) -> None:
    """A server that is broken into cannot make itself an operator."""
    key = ec.generate_private_key(ec.SECP256R1())
    servers_key = ec.generate_private_key(ec.SECP256R1())
    request = forms.CertificateRequest(
        role="server", name="s1", key=servers_key.public_key(), addresses=(), dates=between(-1, 9)
    )
    certificate, _ = forms.issue(request, *authority_in(folder))
    forged = forms.CertificateRequest(
        role="operator", name="mallory", key=key.public_key(), addresses=(), dates=between(-1, 9)
    )
    put(folder, "operator-mallory", forms.issue(forged, certificate, servers_key)[0], key)
    with (folder / "operator-mallory.pem").open("ab") as chain:
        chain.write(certificate.public_bytes(Encoding.PEM))
    server = Credentials.of(folder, "server", "s2").server_context()
    with pytest.raises(ssl.SSLCertVerificationError, match="invalid CA certificate"):
        handshake(context_of(folder, "operator-mallory"), server)


def test_older_versions_of_tls_are_refused(folder: Path) -> None:
    old = context_of(folder, "client-anna")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    server = Credentials.of(folder, "server", "s1").server_context()
    with pytest.raises(ssl.SSLError, match=r"UNSUPPORTED_PROTOCOL|ALERT_PROTOCOL_VERSION"):
        handshake(old, server)


def test_no_session_is_resumed(folder: Path) -> None:
    """Else who was revoked since would come in without showing his certificate again."""
    server, client = Credentials.of(folder, "server", "s1"), Credentials.of(folder, "client", "anna")
    caller, _ = handshake(client.client_context(), server.server_context())
    assert caller.session is None or not caller.session.has_ticket


def test_who_is_revoked_is_named_to_the_log_and_refused(folder: Path) -> None:
    server = Credentials.of(folder, "server", "s1")
    shown = der_of(folder, "client-anna")
    anna = server.identity_of(shown)
    revoke(folder, revocable(folder, "client", "anna"))
    assert server.look()
    assert server.is_revoked(anna.serial)
    with pytest.raises(CertificateRefused, match="the certificate of client anna is revoked"):
        server.identity_of(shown)
    assert server.identity_of(der_of(folder, "operator-olga")).name == "olga", "nobody else is"


def test_who_has_ended_meanwhile_is_refused_without_a_handshake(folder: Path) -> None:
    """A connection can be older than the end of a certificate."""
    server = Credentials.of(folder, "server", "s1")
    issue(folder, "client", "late", between(-10, -1))
    with pytest.raises(CertificateRefused, match=r"of client late ended on \d{4}-\d\d-\d\d"):
        server.identity_of(der_of(folder, "client-late"))
    issue(folder, "client", "early", between(1, 10))
    with pytest.raises(CertificateRefused, match=r"of client early counts from \d{4}-"):
        server.identity_of(der_of(folder, "client-early"))


def signed(folder: Path, *names: x509.GeneralName) -> bytes:
    """Return a certificate of the bank's authority that says just this."""
    issuer, key = authority_in(folder)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(issuer.subject)
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(77)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("uris", "match"),
    [
        ([], "says no role"),
        (["https://example.org/server/s1"], "says no role"),
        (["bankrmi:server/s1", "bankrmi:operator/s1"], "says 2 roles"),
        (["bankrmi:root/s1"], "unknown role: bankrmi:root/s1"),
        (["bankrmi:server/"], "unknown role"),
        (["bankrmi:server/s1/x"], "unknown role"),
        (["bankrmi:server/s1\n"], "unknown role"),
        (["bankrmi:server/-s1"], "unknown role"),
        (["bankrmi:SERVER/s1"], "unknown role"),
        ([f"bankrmi:client/{'a' * 65}"], "unknown role"),
    ],
)
def test_what_says_nothing_clear_is_nobody(folder: Path, uris: list[str], match: str) -> None:
    server = Credentials.of(folder, "server", "s1")
    der = signed(folder, x509.DNSName("s1"), *map(x509.UniformResourceIdentifier, uris))
    with pytest.raises(CertificateRefused, match=match):
        server.identity_of(der)


def test_who_is_of_another_authority_is_nobody_without_a_handshake_too(folder: Path, tmp_path: Path) -> None:
    """As after an authority was changed: connections that were made before it are asked again."""
    other = bank(tmp_path / "other")
    server = Credentials.of(folder, "server", "s1")
    with pytest.raises(CertificateRefused, match="of client anna was not issued by the bank's authority"):
        server.identity_of(der_of(other, "client-anna"))
    own = (folder / "ca.pem").read_bytes()
    anew(folder / "ca.pem", own + (other / "ca.pem").read_bytes())
    assert server.look()
    assert server.identity_of(der_of(other, "client-anna")).name == "anna"
    anew(folder / "ca.pem", own)
    assert server.look()
    with pytest.raises(CertificateRefused):
        server.identity_of(der_of(other, "client-anna"))


def test_a_crowd_of_certificates_takes_no_memory_for_ever(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bankrmi.certificates.credentials._VOUCHED_AT_MOST", 10)
    server = Credentials.of(folder, "server", "s1")
    for number in range(35):
        issue(folder, "client", "crowd", between(-1, 9))
        assert server.identity_of(der_of(folder, "client-crowd")).name == "crowd", number
        assert len(server._vouched) <= 10


def test_the_authority_itself_and_rubbish_are_nobody(folder: Path) -> None:
    server = Credentials.of(folder, "server", "s1")
    for der, match in (
        (der_of(folder, "ca"), "says no role"),
        (signed(folder), "says no role"),
        (b"", "that is no certificate"),
        (b"\x30\x82" + bytes(200), "that is no certificate"),
        (der_of(folder, "client-anna")[:-20], "that is no certificate"),
    ):
        with pytest.raises(CertificateRefused, match=match):
            server.identity_of(der)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # Of cryptography's, who will refuse it one day.
@given(changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=3))
@example(changes=[(12, 29)])  # A version of X.509 that there is not.
def test_a_certificate_with_other_bytes_in_it_is_nobodys(
    made_once: Path, changes: list[tuple[int, int]]
) -> None:
    der = bytearray(der_of(made_once, "server-s1"))
    for place, value in changes:
        der[place % len(der)] = value
    server = Credentials.of(made_once, "server", "s2")
    if der == der_of(made_once, "server-s1"):
        return
    with pytest.raises(CertificateRefused):
        server.identity_of(bytes(der))
    (made_once.parent / "ca.pem").write_bytes((made_once / "ca.pem").read_bytes())
    text = f"-----BEGIN CERTIFICATE-----\n{b64encode(der).decode()}\n-----END CERTIFICATE-----\n"
    (made_once.parent / "server-s1.pem").write_text(text)
    (made_once.parent / "ca.pem").chmod(0o600)
    with suppress(ConfigurationError):
        Credentials.of(made_once.parent, "server", "s1")


def test_an_identity_is_the_same_wherever_it_was_read(folder: Path) -> None:
    one, two = Credentials.of(folder, "server", "s1"), Credentials.of(folder, "server", "s2")
    found = two.identity_of(der_of(folder, "server-s1"))
    assert found == one.own
    assert isinstance(found, Identity)
    assert found.not_after.tzinfo is UTC
