"""How objects talk: Pyro5's wire protocol, served and spoken without trust in strangers.

Serving: a `Daemon` with `RemoteObject`s (or `PlainObject`s) registered; each `Call` is answered once.
Calling: a `Link` in the event loop, a `Connection` (by `connect`) elsewhere. Unmodified Pyro5 clients can
call our daemon, and our callers an unmodified Pyro5 daemon.

Rule: nothing outside of this room looks at frames, serializers or URIs.
Assumption: who comes with our handshake is who he says he is; where certificates are configured, it is they
who say so.
"""

from __future__ import annotations

from . import pyro as pyro  # First: whether Pyro5 can be used at all.
from .addresses import Address, host_and_port, is_here
from .audited import Asked, Audited, arguments
from .connection import Connection, connect
from .daemon import Daemon, rounds_of
from .failures import (
    AnswerOverdue,
    ConnectDenied,
    ConnectFailed,
    ConnectionLost,
    ConnectRefused,
    DeniedByOther,
    Failure,
    LostAfterSending,
    NotConnected,
    RemoteError,
)
from .handshake import handshake, over_tls
from .limits import Limits
from .link import Link, open_link
from .long_answers import LongAnswer
from .names import (
    NAMESERVER_NAME,
    NamedObject,
    look_up,
    look_up_async,
    uri_of,
)
from .objects import Call, Connected, Exposed, Guard, Peer, PlainObject, RemoteObject
from .polled import PolledLink, PolledLinks
from .probe import ProbeAnswer, probe
from .seats import origin
from .tls import TlsCredentials, TlsIdentity

__all__ = [
    "NAMESERVER_NAME",
    "Address",
    "AnswerOverdue",
    "Asked",
    "Audited",
    "Call",
    "ConnectDenied",
    "ConnectFailed",
    "ConnectRefused",
    "Connected",
    "Connection",
    "ConnectionLost",
    "Daemon",
    "DeniedByOther",
    "Exposed",
    "Failure",
    "Guard",
    "Limits",
    "Link",
    "LongAnswer",
    "LostAfterSending",
    "NamedObject",
    "NotConnected",
    "Peer",
    "PlainObject",
    "PolledLink",
    "PolledLinks",
    "ProbeAnswer",
    "RemoteError",
    "RemoteObject",
    "TlsCredentials",
    "TlsIdentity",
    "arguments",
    "connect",
    "handshake",
    "host_and_port",
    "is_here",
    "look_up",
    "look_up_async",
    "open_link",
    "origin",
    "over_tls",
    "probe",
    "rounds_of",
    "uri_of",
]
