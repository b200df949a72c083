"""The process of the name server and the witness: put together, run, ended in good order.

Each of the two is served if its address is this machine's; at one address, by one daemon. Where the witness
is another machine's, or etcd keeps the view in its place, that is asked every now and then, for the tags. An
address that this machine gets later is served from then on: nobody can tell one that is another's from one
that is not there yet.

Rule 1: the witness's disk is locked and read before anything listens.
Rule 2: when that disk fails, the process ends at once (exit code 1): what it would answer is not certain.
Rule 3: SIGTERM and SIGINT end it in good order, within a second for each address. SIGHUP opens the log again.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import socket
from dataclasses import replace

import structlog

from bankrmi import signals
from bankrmi.config import (
    METRICS_OF_NAMESERVER,
    METRICS_OF_WITNESS,
    NOT_THE_DAEMONS,
    Address,
    Configuration,
    split_address,
)
from bankrmi.coordination.keepers import check_keeper, keeper_in_words
from bankrmi.coordination.movable_keeper import MovableKeeper
from bankrmi.coordination.view_store import ViewStore, ViewStoreFailed
from bankrmi.coordination.witness import (
    WITNESS_ID,
    WITNESS_MOVES_ID,
    Witness,
    WitnessMoves,
    came_to_nothing,
    move_asked,
    proposal_asked,
)
from bankrmi.diagnosis import DIAGNOSIS_ID, ProcessDiagnosis, diagnosis_object
from bankrmi.errors import BankError, OperationFailed
from bankrmi.logging_setup import reopen_log
from bankrmi.long_running import run_to_the_end
from bankrmi.metrics.health import Health
from bankrmi.metrics.measure import LiveNames
from bankrmi.metrics.watching import Watching
from bankrmi.nameserver.measures import WatchedNameserver, checks_of, measures_of
from bankrmi.nameserver.names import NAME_CHANGES, TaggedNames, remote_names
from bankrmi.own_credentials import own_credentials
from bankrmi.readiness import AWAITS, say_ready
from bankrmi.replication.figures import ViewChanges
from bankrmi.replication.view import View
from bankrmi.rmi import (
    NAMESERVER_NAME,
    Audited,
    Daemon,
    Limits,
    PlainObject,
    handshake,
    is_here,
    over_tls,
    rounds_of,
)
from bankrmi.service_manager import ServiceManager

__all__ = ["run"]

log = structlog.get_logger("bankrmi.nameserver")

_POLL_SECONDS = 0.25
_NAME = "nameserver"
_LOOK_SECONDS, _LOOK_SECONDS_AT_MOST = 0.5, 5.0
"""Pauses between looks whether an address is here meanwhile; each is twice as long as the one before."""
_VIEW_ITEMS = 10_000
"""A dict counts two thousand of them."""


def run(
    configuration: Configuration,
    *,
    log_json: bool = False,
    parent_pid: int | None = None,
    ready_fd: int | None = None,
    metrics: Address | None = None,
) -> int:
    """Serve until told to stop, and show figures at `metrics`, if that is given; return the exit code."""
    return run_to_the_end(
        lambda: _Process(configuration, metrics),
        _NAME,
        room="bankrmi.nameserver",
        log_json=log_json,
        parent_pid=parent_pid,
        ready_fd=ready_fd,
    )


class _Process:
    """What is served here, from start to end."""

    def __init__(self, configuration: Configuration, metrics: Address | None) -> None:
        check_keeper(configuration)
        self._configuration = configuration
        self._metrics_address = metrics
        self._addresses = tuple(
            dict.fromkeys(
                address
                for address in (configuration.witness_address, configuration.nameserver)
                if address is not None
            )
        )
        self._credentials = own_credentials(configuration, "server", _NAME)
        self._manager = ServiceManager()
        self._start_id = secrets.token_hex(8)
        self._names = TaggedNames(
            configuration.service,
            configuration.servers,
            beside=[one for one in configuration.services if one != configuration.service],
            all_lead=configuration.engine is not None,
        )
        self._daemons: dict[str, Daemon] = {}
        self._rounds = rounds_of(_limits(configuration))
        self._store: ViewStore | None = None
        self._witness: Witness | None = None
        self._view: View | None = None  # The newest that is known of the bank of this configuration.
        self._changes = ViewChanges()
        self._serves = False
        self._elsewhere: MovableKeeper | None = None
        self._seen: View | None = None  # Elsewhere, last.
        self._polling: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._failure: BankError | None = None
        self._stop = asyncio.Event()

    async def serve(self, ready_fd: int | None) -> None:
        """Serve until a signal, or a failed disk, says stop; raise what went wrong."""
        self._catch_signals()
        self._prepare()
        metrics = self._metrics()
        try:
            own_files = await metrics.listen()
            for address, daemon in self._daemons.items():
                await daemon.listen(self._bound(address), daemons=len(self._daemons), own_files=own_files)
            self._serves = True
            self._say_ready(ready_fd)
            self._manager.say_ready()
            self._look_after()
            await self._until_stopped()
        finally:
            metrics.close()
            await self._close()
        if self._failure is not None:
            raise self._failure
        log.info("stopped")

    def _look_after(self) -> None:
        """Every now and then: say that we live; look after the disk; take new certificates, and cut off whose
        were taken back."""
        self._manager.tick()
        self._settle()
        if self._credentials is not None:
            self._credentials.look()
            for daemon in self._daemons.values():
                daemon.cut_refused()
        self._looking = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look_after)

    def _settle(self) -> None:
        """Have the views settle on the disk, when nobody waits for that."""
        if self._store is not None:
            try:
                self._store.settle()
            except ViewStoreFailed as failure:
                self._disk_failed(failure.message)

    async def _until_stopped(self) -> None:
        """Wait for the end, and look meanwhile for what is not here yet."""
        looking = asyncio.create_task(self._look_for_the_rest())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((looking, stopped), return_when=asyncio.FIRST_COMPLETED)
            if looking.done():
                looking.result()  # Raises what keeps the rest from being served.
                await stopped
        finally:
            for task in (looking, stopped):
                task.cancel()

    async def _look_for_the_rest(self) -> None:
        """Serve what has another address as soon as this machine has that."""
        pause_s = _LOOK_SECONDS
        while missing := set(self._addresses) - self._daemons.keys():
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LOOK_SECONDS_AT_MOST)
            for address in missing:
                if await asyncio.to_thread(is_here, self._bound(address)):
                    self._serve(address)
                    await self._daemons[address].listen(self._bound(address), daemons=2)
                    log.info("serving another address", address=address)

    def _bound(self, address: str) -> str:
        """Return where what is announced at this address listens."""
        process = "nameserver" if address == self._configuration.nameserver else "witness"
        return self._configuration.listens_at(process)

    def _serve(self, address: str) -> None:
        """Prepare what belongs at an address of this machine."""
        settings = self._configuration
        if address == settings.witness_address:
            self._stop_following_from_afar()
            self._serve_witness(address)
        if address == settings.nameserver:
            daemon = self._daemon_at(settings.nameserver)
            daemon.register(NAMESERVER_NAME, Audited(remote_names(self._names), NAME_CHANGES))
            self._names.register_itself(settings.nameserver)
            if self._store is None and settings.engine is None:
                self._follow_from_afar()

    def _prepare(self) -> None:
        for address in self._addresses:
            if is_here(self._bound(address)):
                self._serve(address)
        if not self._daemons:
            reasons = [_why_not_here(self._bound(address)) for address in reversed(self._addresses)]
            raise OperationFailed(
                f"nothing to serve here: {', and '.join(reasons)}",
                **{AWAITS: "an address"},
            )

    def _serve_witness(self, address: str) -> None:
        settings = self._configuration
        self._store = ViewStore(settings.data_dir / "witness")
        self._witness = Witness(
            self._store,
            service=settings.service,
            on_view=self._view_changed,
            on_disk_failure=self._disk_failed,
        )
        roles = ("server", "operator")
        self._daemon_at(address).register(
            WITNESS_ID,
            Audited(
                PlainObject(self._witness, ("read", "propose", "history", "history_before")),
                {"propose": proposal_asked},
                came_to_nothing=came_to_nothing,
            ),
            for_servers=True,
            of_any_bank=True,  # It keeps the views of a few other services, whose servers nobody here knows.
            roles=roles,
        )
        moves = WitnessMoves(self._store, on_move=self._view_moved, on_disk_failure=self._disk_failed)
        self._daemon_at(address).register(
            WITNESS_MOVES_ID,
            Audited(
                PlainObject(moves, ("kept", "move")), {"move": move_asked}, came_to_nothing=came_to_nothing
            ),
            roles=("operator",),
        )
        self._follow_what_is_kept()
        self._changes = ViewChanges(self._view)

    def _daemon_at(self, address: str) -> Daemon:
        if address not in self._daemons:
            daemon = self._daemons[address] = Daemon(
                _limits(self._configuration),
                self._greeting,
                self._rounds,
                servers=self._names.servers,
                credentials=self._credentials,
            )
            diagnosis = ProcessDiagnosis(
                process=_NAME,
                folder=self._configuration.data_dir / "witness",
                credentials=self._credentials,
                more=self._told,
            )
            daemon.register(DIAGNOSIS_ID + _NAME, diagnosis_object(diagnosis), roles={"operator"})
        return self._daemons[address]

    def _told(self) -> dict[str, object]:
        """Return what this process tells operators beside what every process does."""
        settings = self._configuration
        elsewhere = self._elsewhere  # Which may be followed to where no file of the start says.
        return {
            "settings": {
                "service": settings.service,
                "servers": dict(settings.servers),
                "nameserver": settings.nameserver,
                "witness": keeper_in_words(settings) if elsewhere is None else elsewhere.in_words,
            },
            "listens_at": [self._bound(address) for address in self._daemons],
        }

    def _greeting(self) -> dict[str, object]:
        greeting: dict[str, object] = {
            "server": _NAME,
            "start_id": self._start_id,
        }
        if self._store is not None:
            greeting["witness_id"] = self._store.id
        return greeting

    # -- the view ----------------------------------------------------------------------------------

    def _view_changed(self, service: str, view: View) -> None:
        in_sync = sorted(view.in_sync)
        why = {} if view.cause is None else {"cause": view.cause.in_words, "by": view.cause.by}
        log.info("view", service=service, epoch=view.epoch, primary=view.primary, in_sync=in_sync, **why)
        if service == self._configuration.service:
            self._changes.changed_to(view)
            self._follow(view)

    def _follow(self, view: View | None) -> None:
        self._view, before = view, self._names.servers
        self._names.follow(view)
        if self._names.servers != before:
            for daemon in self._daemons.values():
                daemon.know(self._names.servers)

    def _view_moved(self, service: str, view: View, moved_to: str | None) -> None:
        log.info("the view was moved", service=service, epoch=view.epoch, to=moved_to or "this witness")
        if service == self._configuration.service:
            self._stop_following_from_afar()
            self._follow_what_is_kept()

    def _follow_what_is_kept(self) -> None:
        """Follow the view here, or where it was moved to, once the configuration says how to ask there."""
        assert self._store is not None
        kept = self._store.kept(self._configuration.service)
        if kept.moved_to is None:
            self._follow(kept.view)
        else:
            self._follow_from_afar()

    def _follow_from_afar(self) -> None:
        said = over_tls(handshake("server", server=_NAME), self._credentials)
        self._elsewhere = MovableKeeper(self._configuration, said)
        self._poll()

    def _stop_following_from_afar(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
        if self._elsewhere is not None:
            self._elsewhere.close()
        self._polling = self._elsewhere = None

    def _poll(self) -> None:
        """Ask for the view, again and again; while there is no answer the tags stay as they are."""
        loop = asyncio.get_running_loop()
        elsewhere = self._elsewhere
        assert elsewhere is not None

        def again(*_: object) -> None:
            if self._elsewhere is elsewhere:
                self._polling = loop.call_later(_POLL_SECONDS, self._poll)

        def follow(view: View | None) -> None:
            if self._elsewhere is elsewhere:  # Else the witness is here meanwhile.
                if view is not None and view != self._seen:
                    self._view_changed(self._configuration.service, view)
                else:
                    self._follow(view)
                self._seen = view
            again(view)

        elsewhere.read(follow, again)

    # -- for whoever watches -----------------------------------------------------------------------

    def _metrics(self) -> Watching[WatchedNameserver]:
        settings = self._configuration
        own = METRICS_OF_NAMESERVER if settings.nameserver in self._daemons else METRICS_OF_WITNESS
        return Watching(
            self._metrics_address or settings.metrics.get(own),
            lambda: measures_of(LiveNames(lambda: self._names.servers), settings.service),
            self._watched,
            checks_of(self._ready),
        )

    def _watched(self) -> WatchedNameserver:
        witness = self._witness
        return WatchedNameserver(
            daemons=list(self._daemons.values()),
            view=self._view,
            names=self._names.count(),
            proposals=None if witness is None else witness.proposals,
            changes=None if witness is None else self._changes,
            certificate_days=None if self._credentials is None else self._credentials.days_left,
        )

    def _ready(self) -> Health:
        view = self._view
        known = "no view is known" if view is None else f"epoch {view.epoch}, primary {view.primary}"
        served = ", ".join(sorted(self._daemons))
        return Health(self._serves, f"serves {served}; {known}" if self._serves else "starting")

    # -- the end -----------------------------------------------------------------------------------

    def _disk_failed(self, sentence: str) -> None:
        if self._failure is None:  # What comes after the first one is only that it has stopped.
            self._failure = OperationFailed(sentence)
        self._stop.set()

    def _catch_signals(self) -> None:
        signals.deliver(
            {
                signal.SIGTERM: self._stop.set,
                signal.SIGINT: self._stop.set,
                signal.SIGHUP: reopen_log,
            }
        )

    async def _close(self) -> None:
        self._manager.say_stopping()
        if self._looking is not None:
            self._looking.cancel()
        self._stop_following_from_afar()
        for daemon in self._daemons.values():
            await daemon.close()
        if self._store is not None:
            self._store.close()

    def _say_ready(self, ready_fd: int | None) -> None:
        address = next(iter(self._daemons))
        serving = sorted(self._daemons)
        elsewhere = "elsewhere" if self._configuration.etcd is None else "etcd"
        if self._configuration.engine is not None:
            elsewhere = "none"
        bound = [self._bound(address) for address in serving]
        listens = {} if bound == serving else {"listens_at": bound}
        log.info(
            "ready", addresses=serving, **listens, witness="here" if self._store is not None else elsewhere
        )
        say_ready(ready_fd, server="nameserver", address=address)


def _why_not_here(address: str) -> str:
    """Return what may be mended, to end a sentence."""
    host, _ = split_address(address)
    try:
        socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return f"the name {host!r} does not resolve ({error.strerror})"
    return f"{address} is not an address of this machine, or not yet"


def _limits(configuration: Configuration) -> Limits:
    limits = Limits(**configuration.limits.model_dump(exclude=set(NOT_THE_DAEMONS)))
    # What servers say here is no more than a view, and a name with its tags.
    return replace(limits, server_message_bytes=limits.message_bytes, server_call_items=_VIEW_ITEMS)
