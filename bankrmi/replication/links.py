"""The servers that can be spoken to: which process each is, what is spoken with it, its code, its
copies_min."""

from __future__ import annotations

from collections.abc import Iterable, KeysView

from bankrmi.protocol_versions import NEWEST
from bankrmi.replication.code_versions import CodeVersions, StateVersion, version_of
from bankrmi.replication.events import LinkChanged
from bankrmi.replication.settings import Settings

__all__ = ["LinkTable"]


class LinkTable:
    """The connections of one server to the others."""

    def __init__(self, settings: Settings) -> None:
        self.most_copies = len(settings.servers)
        """As many as there are servers."""
        self._own_copies_min = settings.copies_min
        self._start_ids: dict[str, str] = {}
        self._protocols: dict[str, int] = {}
        self._codes: dict[str, tuple[CodeVersions, StateVersion]] = {}
        self._copies_stated: dict[str, int] = {}  # By servers that go by more copies than we.

    def __contains__(self, server: str) -> bool:
        return server in self._start_ids

    @property
    def servers(self) -> KeysView[str]:
        """Who can be spoken to, the longest connected first."""
        return self._start_ids.keys()

    def start_id(self, server: str) -> str | None:
        """Return the process that a server is, None if it cannot be spoken to."""
        return self._start_ids.get(server)

    @property
    def copies_min(self) -> int:
        """How few copies may acknowledge: the most that any server that we met was told, or we.

        So no file's promise is broken while it is changed in one after the other, in either direction. What
        a server stated counts until it states something else, or this process ends; but never as more than
        there are servers, however many those are by then (V12).
        """
        if not self._copies_stated:
            return self._own_copies_min
        return max(self._own_copies_min, min(self.most_copies, max(self._copies_stated.values())))

    def protocol_with(self, server: str) -> int:
        """Return the version of the protocol that is spoken with a server, 0 if it cannot be spoken to."""
        return self._protocols.get(server, 0)

    @property
    def lowest_protocol(self) -> int:
        """The lowest version of the protocol that is spoken with a server that is linked; ours if none is."""
        return min(self._protocols.values(), default=NEWEST)

    def why_not_yet(self, protocol: int, servers: Iterable[str]) -> str:
        """Return why what came with a version cannot be used yet; "" if it can.

        `servers` are all others of the bank. One that is away may be of the version before: it could then not
        read what comes of it.
        """
        for server in sorted(servers):
            spoken = self._protocols.get(server)
            if spoken is None:
                return f"{server} is not connected, and it is not known of which version it is: start it"
            if spoken < protocol:
                return f"{server} speaks bankrmi protocol {spoken}, this needs {protocol}: upgrade it first"
        return ""

    def code_of(self, server: str) -> CodeVersions | None:
        """Return what the code of a server knows, None if it cannot be spoken to."""
        stated = self._codes.get(server)
        return None if stated is None else stated[0]

    def state_version_of(self, server: str) -> StateVersion | None:
        """Return of which version the copy of a server was when it was met, None if it cannot be spoken
        to."""
        stated = self._codes.get(server)
        return None if stated is None else stated[1]

    def why_not_migrated(
        self, own: CodeVersions, version: StateVersion, servers: Iterable[str], service: str = ""
    ) -> str:
        """Return why one service of such a state cannot be brought to its next version yet; "" if it can
        (S6).

        `servers` are all others of the bank: one that is away may have code that could not follow.
        """
        held, ours = version_of(version, service), own.of(service)
        for server in sorted(servers):
            stated = self.code_of(server)
            if stated is None:
                return f"{server} is not connected, and it is not known which version it has: start it"
            code = stated.of(service)
            if code is None:
                return (
                    f"{server} does not serve {service}: name it under `serves` in its file, "
                    "and start it again"
                )
            if code.newest <= held:
                return f"{server} has version {code.newest}: replace the module there, and start it again"
            if service not in stated.steps(version):
                return f"{server} has version {code.newest}, and cannot migrate from {held}"
            if not held and ours is not None and not stated.makes(service, ours.newest, version):
                return (
                    f"{server} has version {code.newest}, and version {ours.newest} would be created: "
                    "the module has to be the same on all servers"
                )
            if ours is not None and _is_other_code(code, ours):
                return (
                    f"{server} has another version {code.newest}: the module has to be the "
                    "same on all servers"
                )
        return ""

    def too_old_for(self, protocol: int, servers: Iterable[str]) -> str:
        """Return which of these servers is too old for what came with a version; "" if none is.

        Of one that is not connected nothing is known: what it may be sent is looked at when it is.
        """
        return self.why_not_yet(protocol, [server for server in servers if server in self._protocols])

    def up(self, event: LinkChanged, start_id: str) -> None:
        """A connection is up."""
        self._start_ids[event.server] = start_id
        self._protocols[event.server] = event.protocol
        self._codes[event.server] = event.code, event.state_version
        self._copies_stated.pop(event.server, None)
        if event.copies_min > self._own_copies_min:
            self._copies_stated[event.server] = event.copies_min

    def down(self, server: str) -> None:
        """A connection is lost."""
        self._start_ids.pop(server, None)
        self._protocols.pop(server, None)
        self._codes.pop(server, None)

    def forget(self, server: str) -> None:
        """It is none of the servers any more, or lives elsewhere: what it stated was another's word."""
        self.down(server)
        self._copies_stated.pop(server, None)


def _is_other_code(one: CodeVersions, other: CodeVersions) -> bool:
    """Whether two modules call themselves the same version, and are known to be different."""
    return one.newest == other.newest and bool(one.digest and other.digest) and one.digest != other.digest
