"""What a client remembers from one call to the next: the servers, who led, how new the newest answer was.

Rule: what was learned in a call serves the next one, unless the answer cannot be believed.
Assumption: several threads may begin and end calls at once; each thing remembered is replaced as a whole.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from threading import Lock

from bankrmi.client.decisions import Candidate, Wait
from bankrmi.client.finding import (
    MOST_SERVERS,
    configured,
    learned,
    merged,
    named_primary,
    primary_tag,
    service_beside,
    service_tag,
    why_no_names,
)
from bankrmi.client.requests import object_of
from bankrmi.client.seen import Seen
from bankrmi.client.signs import LONG_AGO_MS, Signs
from bankrmi.config import Configuration, check_learned
from bankrmi.errors import ConfigurationError
from bankrmi.own_credentials import own_credentials
from bankrmi.rmi import NamedObject, TlsCredentials

__all__ = ["Memory"]

_LOOK_UP_MS = 300
"""Longer than this nobody waits for a hint."""

_LOOK_UP_AGAIN_MS = 1000
"""How long a name server that gave no hint is left alone."""

_LOOK_AT_CERTIFICATES_S = 1.0
"""How long files that may have changed are left alone."""

_LEARN_OTHERS_AFTER_MS = 2000
"""Those that a configuration names are likely to be there, and asking takes time from them."""

_LEARN_AGAIN_MS = 250
"""How often the name server is asked who the servers are, while none that is known can answer."""


class Memory:
    """What a client knows: the servers, who led last, how new the newest answer was, who was heard when.

    The servers of the configuration are where it starts (V12). One that leads and is none of them is learned
    from another server's answer; all others, and where they live by now, from the name server, once none of
    those that are known could answer. Where the configuration names none, from the name server at first.
    """

    def __init__(
        self,
        configuration: Configuration,
        timeout: float | None,
        on_waiting: Callable[[], None] | None,
        service: str | None = None,
    ) -> None:
        """`service`: which of several is called, by its name; None: the first one."""
        settings = configuration.client
        self.timeout_ms = settings.timeout_ms if timeout is None else _milliseconds(timeout)
        self.patience_ms = settings.patience_ms
        self.usual_wait = Wait(max(1, settings.patience_ms // 2))
        """So long the answer to a request is waited for before anything else is done."""
        self.calls_at_once = settings.calls_at_once
        self.on_waiting = on_waiting
        self.seen = Seen()
        self.signs = Signs()
        self.nameserver = configuration.nameserver
        self.primary: Candidate | None = None
        self.candidates = configured(configuration.servers)
        self.learns = not configuration.servers
        self.nobody = f"the name server at {self.nameserver} was not asked yet" if self.learns else ""
        """Why there are no candidates, where there are none."""
        every = service_tag(service or configuration.service)
        self._beside = "" if service in (None, configuration.service) else str(service)
        self.tags = (every,) if self.learns else (every, primary_tag())
        self.tags_of_all = (every,)
        self._insecure = configuration.insecure or configuration.certificates is not None
        self._credentials = own_credentials(configuration, "client")
        self._looking_at_certificates = Lock()
        self._look_at_certificates_s = 0.0
        self._looked_up_ms = LONG_AGO_MS

    def shown(self) -> TlsCredentials | None:
        """Return what a connection that begins now is to show; None without certificates.

        Files that have changed are read anew, by one thread at a time (which may be gone, after a fork).
        """
        if self._credentials is not None and self._looking_at_certificates.acquire(blocking=False):
            try:
                now_s = time.monotonic()
                if now_s >= self._look_at_certificates_s:
                    self._look_at_certificates_s = now_s + _LOOK_AT_CERTIFICATES_S
                    self._credentials.look()
            finally:
                self._looking_at_certificates.release()
        return self._credentials

    def object_of(self, server: str) -> str:
        """Return the object of a server that is called."""
        return object_of(server, self._beside)

    @property
    def look_up_at_most(self) -> float:
        """How long to wait for another call of this client that asks the name server, in seconds."""
        return min(_LOOK_UP_MS, self.timeout_ms) / 1000

    def look_up_seconds(self, deadline_ms: int, now_ms: int) -> float:
        """Return how long to wait for the name server; 0 if it need not be asked (again)."""
        return self._seconds(deadline_ms, now_ms) if self.primary is None else 0.0

    def learn_seconds(self, deadline_ms: int, now_ms: int) -> float:
        """The same, when nobody who is known could answer."""
        return self._seconds(deadline_ms, now_ms)

    @property
    def learns_after_ms(self) -> int:
        """For how long nobody who is known has to have answered a call, before others are asked for."""
        return self.patience_ms if self.learns else max(self.patience_ms, _LEARN_OTHERS_AFTER_MS)

    def _seconds(self, deadline_ms: int, now_ms: int) -> float:
        again_ms = _LEARN_AGAIN_MS if self.learns else _LOOK_UP_AGAIN_MS
        if now_ms - self._looked_up_ms < again_ms:
            return 0.0
        self._looked_up_ms = now_ms
        return max(0, min(_LOOK_UP_MS, deadline_ms - now_ms)) / 1000

    def after_fork(self) -> None:
        """In the child: go on with what is known."""
        self.seen.after_fork()

    def asks_names(self, *, others: bool) -> tuple[tuple[str, ...], Callable[[Iterable[NamedObject]], None]]:
        """Return what to ask the name server for, and what takes its answer: who leads, or who else is."""
        return (self.tags_of_all, self.take_others) if others else (self.tags, self.take_hint)

    def take_hint(self, found: Iterable[NamedObject]) -> None:
        """Take in what the name server says."""
        found = list(found)
        if self.learns:
            servers, why = learned(found, insecure=self._insecure)
            self._beside = service_beside(found, self._beside)
            self.nobody = why or f"the name server at {self.nameserver} knows no server of {self.tags[0]}"
            # One that was started just now knows nobody yet, and others do not know better.
            self.candidates = servers or self.candidates
        if self.primary not in self.candidates:
            self.primary = None
        self.primary = named_primary(self.candidates, found) or self.primary

    def take_others(self, found: Iterable[NamedObject]) -> None:
        """Nobody who is known could answer: take in who else there is, by the name server, and where."""
        found = list(found)
        if not self.learns:
            servers, _ = learned(found, insecure=self._insecure)
            self.candidates = merged(self.candidates, servers)
        self.take_hint(found)

    def learn(self, server: object, address: object) -> Candidate | None:
        """Return a server that another one has named as the primary, to be asked from now on; None if it is
        not one that a configuration file could name, or there are too many."""
        if not isinstance(server, str) or not isinstance(address, str):
            return None
        one = Candidate(server, address)
        if one in self.candidates:
            return one
        if len(self.candidates) >= MOST_SERVERS or check_learned(server, address, insecure=self._insecure):
            return None
        self.candidates = (*self.candidates, one)
        return one

    def take_no_hint(self, error: Exception) -> None:
        """Go on without: whatever is wrong with the name server, it is not the result of an operation."""
        if self.learns:
            self.nobody = why_no_names(self.nameserver, error)

    def take_primary(self, found: Candidate | None, was: Candidate | None) -> None:
        """Note who leads, as a call has found, or that `was`, with which it began, does not."""
        if found is not None or self.primary == was:
            self.primary = found


def _milliseconds(timeout: float) -> int:
    try:
        usable = math.isfinite(timeout) and timeout >= 0
    except (TypeError, OverflowError):
        usable = False
    if not usable:
        raise ConfigurationError(f"not a timeout: {timeout!r:.40} (seconds, from 0 on)")
    return int(timeout * 1000)
