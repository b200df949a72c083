"""Who is who: the bank's own authority, the certificates that it issues, and what a process makes of them.

    identity      what a certificate says about its holder, read in one place
    private_files files read with care, and written whole or not at all
    folder        which file is whose, and what may be in it
    revocations   the list of serial numbers that count for nothing any more
    watched       a value that is read anew when its files change
    trial         a handshake with oneself
    credentials   what a process shows of itself, and whom it believes
    record        what was done with the authority, for people
    issued        the list of all that the authority has ever issued
    forms         what stands in a certificate
    authority     making the authority, and certificates; renewing and revoking them
    known         who is known in a folder, for a person

Rule 1: only the bank's own authority is trusted, never the system's; TLS 1.3 only.
Rule 2: who somebody is, is in the certificate, and read by `identity` alone.
Rule 3: nothing here knows an event loop, a configuration, or what is carried over a connection.
"""

from __future__ import annotations

from bankrmi.certificates.credentials import Credentials
from bankrmi.certificates.identity import CertificateRefused, Identity

__all__ = ["CertificateRefused", "Credentials", "Identity"]
