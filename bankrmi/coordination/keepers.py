"""Which keeper of the view a configuration names, the witness or etcd; for servers, and for operators.

Rule 1: whoever asks through this room need not know which of the two it is.
Rule 2: servers ask in their event loop (`coordinator_of`); operators' commands wait for each answer
        (`asked_keeper`), and are told what was wrong in one sentence (`KeeperSilent`).
Rule 3: what speaks HTTP is imported only where etcd keeps the view.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from bankrmi.config import Configuration, EtcdSettings
from bankrmi.coordination.coordinator import Expected
from bankrmi.coordination.witness import WITNESS_ID, WITNESS_MOVES_ID
from bankrmi.coordination.witness_client import WitnessClient
from bankrmi.errors import OperationFailed, ViewMoved
from bankrmi.own_credentials import own_credentials
from bankrmi.replication.fields import flag, identifier
from bankrmi.replication.view import View
from bankrmi.rmi import Failure, RemoteError, connect, handshake, over_tls

if TYPE_CHECKING:
    from bankrmi.coordination.etcd import EtcdClient, EtcdKeeper

__all__ = [
    "AskedKeeper",
    "KeeperSilent",
    "KeptView",
    "MemberAnswer",
    "asked_keeper",
    "check_keeper",
    "coordinator_of",
    "every_member",
    "keeper_in_words",
    "place_of_keeper",
]

_SECONDS = 3.0

Value = TypeVar("Value")


def keeper_in_words(configuration: Configuration) -> str:
    """Return who keeps the view, and where."""
    if configuration.etcd is not None:
        return f"etcd at {configuration.etcd.in_words()}"
    return f"the witness at {configuration.witness}"


def place_of_keeper(configuration: Configuration) -> str:
    """Return where the view is kept, in one word: the witness's address, or those of etcd."""
    if configuration.etcd is None:
        return str(configuration.witness)
    return ",".join(configuration.etcd.etcd)


def check_keeper(configuration: Configuration) -> None:
    """Raise ConfigurationError if a file that the way to the keeper needs cannot be used."""
    if configuration.etcd is not None:
        from bankrmi.coordination.etcd_members import check_files

        check_files(configuration.etcd)


def coordinator_of(
    configuration: Configuration, greeting: Mapping[str, object]
) -> WitnessClient | EtcdClient:
    """Return the keeper as a server asks it; `greeting` is what it says to a witness."""
    if configuration.etcd is not None:
        from bankrmi.coordination.etcd import EtcdClient

        return EtcdClient(configuration.etcd, configuration.service)
    assert configuration.witness_address is not None
    return WitnessClient(configuration.witness_address, configuration.service, handshake=greeting)


# -- for those who can wait --------------------------------------------------------------------------


class KeeperSilent(OperationFailed):
    """The keeper does not answer: whether it has taken a view is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptView:
    """What a keeper holds of a service, moved away or not; `revision` is what it takes to change that."""

    keeper: str
    view: View | None
    moved_to: str | None
    revision: Any


class AskedKeeper(Protocol):
    """The keeper of the view, as a command asks it; each verb raises KeeperSilent."""

    def read(self) -> View | None:
        """Return the view; None if there is none."""

    def propose(self, expected: Expected, view: View) -> tuple[View | None, bool]:
        """Propose `view` to follow `expected`; return the view as it is now, and whether it won."""

    def history_before(self, before: Expected) -> list[View]:
        """Return the views before `before` (None: the newest), newest first, as many as fit one answer."""

    def kept(self) -> KeptView:
        """Return what there is, moved away or not."""

    def move(self, before: KeptView, view: View, moved_to: str | None) -> bool:
        """Close this keeper in favour of `moved_to`, or let `view` go on here (None).

        Return whether it was done: not if it is not as it was `before`.
        """


def asked_keeper(configuration: Configuration) -> AskedKeeper:
    """Return the keeper that the configuration names."""
    if configuration.etcd is not None:
        return _AskedEtcd(configuration.etcd, configuration.service)
    assert configuration.witness_address is not None
    said = over_tls(handshake("operator"), own_credentials(configuration, "operator"))
    return _AskedWitness(configuration.witness_address, configuration.service, said)


class _AskedWitness:
    def __init__(self, address: str, service: str, said: Mapping[str, object]) -> None:
        self._address = address
        self._service = service
        self._said = said

    def read(self) -> View | None:
        return self._read(lambda form: None if form is None else View.from_wire(form), "read")

    def propose(self, expected: Expected, view: View) -> tuple[View | None, bool]:
        def read(form: Any) -> tuple[View | None, bool]:
            now = form["view"]
            return None if now is None else View.from_wire(now), flag(form["won"])

        return self._read(read, "propose", expected, view.to_wire())

    def history_before(self, before: Expected) -> list[View]:
        return self._read(lambda forms: [View.from_wire(form) for form in forms], "history_before", before)

    def kept(self) -> KeptView:
        def read(form: Any) -> KeptView:
            view = None if form["view"] is None else View.from_wire(form["view"])
            moved_to = None if form["moved_to"] is None else identifier(form["moved_to"])
            keeper = identifier(form["id"])
            return KeptView(
                keeper=keeper, view=view, moved_to=moved_to, revision=identifier(form["revision"])
            )

        return self._read(read, "kept", object_id=WITNESS_MOVES_ID)

    def move(self, before: KeptView, view: View, moved_to: str | None) -> bool:
        args = (before.revision, view.to_wire(), moved_to)
        return self._read(lambda form: bool(flag(form["done"])), "move", *args, object_id=WITNESS_MOVES_ID)

    def _read(
        self, read: Callable[[Any], Value], method: str, *args: object, object_id: str = WITNESS_ID
    ) -> Value:
        try:
            with connect(self._address, object_id, self._said, _SECONDS) as connection:
                answer = connection.call(method, [self._service, *args], timeout=_SECONDS)
        except (Failure, RemoteError) as error:
            raise KeeperSilent(f"the witness at {self._address} does not answer: {error}") from error
        except ViewMoved as moved:
            raise OperationFailed(moved.message) from moved
        try:
            return read(answer)
        except (KeyError, TypeError):
            raise OperationFailed(f"the witness at {self._address} answered what cannot be read") from None
        except ValueError as error:
            raise OperationFailed(
                f"the witness at {self._address} answered what cannot be read: it {error}"
            ) from None


class _AskedEtcd:
    def __init__(self, settings: EtcdSettings, service: str) -> None:
        self._settings = settings
        self._service = service

    def read(self) -> View | None:
        return self._ask(lambda keeper: keeper.read(_SECONDS))

    def propose(self, expected: Expected, view: View) -> tuple[View | None, bool]:
        return self._ask(lambda keeper: keeper.propose(expected, view, _SECONDS))

    def history_before(self, before: Expected) -> list[View]:
        return self._ask(lambda keeper: keeper.history_before(before, _SECONDS))

    def kept(self) -> KeptView:
        async def kept(keeper: EtcdKeeper) -> KeptView:
            stored = await keeper.kept(_SECONDS)
            record = None if stored is None else stored.record
            return KeptView(
                keeper=str(keeper.id),
                view=None if record is None else record.view,
                moved_to=None if record is None else record.moved_to,
                revision=stored,
            )

        return self._ask(kept)

    def move(self, before: KeptView, view: View, moved_to: str | None) -> bool:
        from bankrmi.coordination.etcd_keys import ViewRecord

        record = ViewRecord(view=view, moved_to=moved_to)
        return self._ask(lambda keeper: keeper.change(before.revision, record, _SECONDS))

    def _ask(self, ask: Callable[[EtcdKeeper], Coroutine[Any, Any, Value]]) -> Value:
        return asyncio.run(_asked(self._settings, self._service, ask))


async def _asked(
    settings: EtcdSettings, service: str, ask: Callable[[EtcdKeeper], Coroutine[Any, Any, Value]]
) -> Value:
    from bankrmi.coordination.etcd import EtcdKeeper, ViewRefused
    from bankrmi.coordination.etcd_members import NoAnswer

    keeper = EtcdKeeper(settings, service)
    try:
        return await ask(keeper)
    except NoAnswer as silence:
        raise KeeperSilent(f"etcd does not answer: {silence.reason}") from silence
    except ViewRefused as refusal:
        raise OperationFailed(str(refusal)) from refusal
    finally:
        await keeper.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberAnswer:
    """What one member of etcd said when it was asked for the view: that, or why it is not known."""

    url: str
    view: View | None
    reason: str | None
    seconds: float


def every_member(settings: EtcdSettings, service: str, *, seconds: float) -> list[MemberAnswer]:
    """Ask each member for the view, side by side.  Raises ConfigurationError."""
    return asyncio.run(_every_member(settings, service, seconds))


async def _every_member(settings: EtcdSettings, service: str, seconds: float) -> list[MemberAnswer]:
    async def one(url: str) -> MemberAnswer:
        began = asyncio.get_running_loop().time()
        view, reason = None, None
        try:
            alone = settings.model_copy(update={"etcd": [url]})
            view = await _asked(alone, service, lambda keeper: keeper.read(seconds))
        except KeeperSilent as silence:
            reason = str(silence.__cause__)  # Of this member alone, so not in the name of all of etcd.
        except OperationFailed as failure:
            reason = failure.message
        took = asyncio.get_running_loop().time() - began
        return MemberAnswer(url=url, view=view, reason=reason, seconds=took)

    return await asyncio.gather(*map(one, settings.etcd))
