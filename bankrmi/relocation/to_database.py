"""A bank leaves its servers for a database.

    copy what there is ──> copy what came since ──> retire the servers ──> copy the rest ──> open it there
         (served)                (served)                └─────────────── the pause ──────────────┘

Rule 1: a record is brought only after it was acknowledged, and follows from the one before by its digest.
Rule 2: the rest is what a server holds that leads, retired (`retirement`): nothing is decided after that, by
        whichever server, and all of it is acknowledged when it is brought.
Rule 3: where an interrupted try stands is read from both: the database says up to which record it has come,
        and the servers whether they are retired.
Rule 4: it opens in the database that the servers were retired for, in whichever others it was prepared. That
        is known by the hosts and the name that were given then (`words_of`).
Rule 5: what is begun anew there is begun while the servers serve. Else somebody may just be taking that
        retirement back, who has looked before there was anything to take away.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bankrmi.backup.fetching import BackupState, Fetch, FetchPace, PieceAnswer
from bankrmi.backup.taking import BYTES_PER_SECOND, primary_of
from bankrmi.bank.outcomes import follow
from bankrmi.client.asking import Ask, ask_once, asking
from bankrmi.client.overview import as_it_is_now
from bankrmi.config import Configuration
from bankrmi.coordination.keepers import asked_keeper, keeper_in_words
from bankrmi.coordination.restoring import OPERATOR_ID
from bankrmi.engine.moving import BankRow, Bringing, KeptRequest, MovingDatabase
from bankrmi.errors import InvalidRequest, OperationFailed, Unreached
from bankrmi.foreign_text import foreign
from bankrmi.own_credentials import own_credentials
from bankrmi.relocation.failpoints import reached
from bankrmi.relocation.kinds import check_kind
from bankrmi.relocation.retirement import is_frozen, is_the_same, may_begin
from bankrmi.replication.pause import REASON_AT_MOST
from bankrmi.replication.record import Position, Record, entries_of, follows
from bankrmi.replication.view import View

__all__ = ["Moved", "PlanToDatabase", "cancel_to_database", "move_to_database", "plan_to_database"]

_SECONDS = 30.0
_RECORDS_AT_ONCE = 1_000
_ROUNDS = 5
"""So often at most what came since is copied before the servers are retired; or until a round is short."""
_SHORT_ROUND = 2_000
"""Operations."""
_PAUSE_S = 0.05

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanToDatabase:
    """How far it is: what there is to move, and what the database has of it."""

    service: str
    database: str
    history: str
    action_id: int
    size_bytes: int
    retired: bool
    there: Position | None
    is_done: bool

    def in_words(self) -> list[str]:
        """Return what would be done, a sentence a line."""
        if self.is_done:
            return [
                f"the bank is in {self.database} already, and the servers are retired: there is nothing to do"
            ]
        come = (
            "nothing of it is there yet"
            if self.there is None
            else f"action id {self.there.action_id} has come"
        )
        what = f"{self.size_bytes / 1e6:.1f} MB, up to action id {self.action_id}"
        lines = [
            f"service {foreign(self.service)}: {what} of history {foreign(self.history)}",
            f"to {self.database}: {come}",
        ]
        if self.retired:
            return [*lines, "the servers are retired: the rest is copied, and the bank opens there"]
        return [
            *lines,
            "while it is copied the servers serve; then they are retired, and clients wait for the rest",
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What was done; `pause_s`: for how long nobody was answered, if that was now."""

    database: str
    action_id: int
    accounts: int | None
    pause_s: float | None
    is_here: bool = True
    """False: only copied (`--prepare`)."""


class _Servers:
    """The servers that keep the bank, as they are now."""

    def __init__(self, configuration: Configuration) -> None:
        check_kind(configuration)
        self._configuration = as_it_is_now(configuration)
        self.service = configuration.service

    def view(self) -> View:
        """Return the view, as whoever keeps it has it."""
        view = asked_keeper(self._configuration).read()
        if view is None:
            raise OperationFailed(
                f"{keeper_in_words(self._configuration)} holds no view: there is no bank to move"
            )
        return view

    def serve(self) -> bool:
        """Whether they are not retired."""
        return self.view().retired_for is None

    def are_retired_as_in(self, seen: View) -> View | None:
        """Return the view if they are retired in it as they were in the one that was seen before."""
        keeper, now = asked_keeper(self._configuration), self.view()
        since = [] if now.epoch == seen.epoch else keeper.history_before(None)
        return now if is_the_same(seen, now, since) else None

    @contextmanager
    def asking(self) -> Iterator[tuple[str, Ask]]:
        """Keep a connection to the primary; raises Unreached."""
        name = primary_of(self._configuration)
        with asking(self._address(name), OPERATOR_ID + name, credentials=self._credentials()) as ask:
            yield name, ask

    def order(self, method: str, *args: object) -> Any:
        """Have the primary do that; raises OperationFailed with its reason."""
        name = primary_of(self._configuration)
        return ask_once(
            self._address(name),
            OPERATOR_ID + name,
            method,
            args,
            seconds=_SECONDS,
            credentials=self._credentials(),
        )

    def _address(self, name: str) -> str:
        return self._configuration.servers[name]

    def _credentials(self) -> Any:
        return own_credentials(self._configuration, "operator")


def words_of(database: MovingDatabase) -> str:
    """Return what servers say of where the bank is."""
    return database.in_words[:REASON_AT_MOST]


def plan_to_database(configuration: Configuration, url: str) -> PlanToDatabase:
    """Look at both ends; raise InvalidRequest, OperationFailed, Unreached, or ConfigurationError.

    Nothing is changed by it, but that the database is asked for a commit.
    """
    servers = _Servers(configuration)
    with MovingDatabase(url, configuration.service) as database:
        return _plan(servers, database)


def _plan(servers: _Servers, database: MovingDatabase) -> PlanToDatabase:
    row, view = database.look(), servers.view()
    _check_target(row, view, database)
    if row is not None and row.arriving is None:
        return PlanToDatabase(
            service=servers.service, database=database.in_words, history=view.history, action_id=row.base,
            size_bytes=0, retired=True, there=row.through, is_done=True,
        )  # fmt: skip
    if row is None and not database.may_begin():
        raise InvalidRequest(
            f"the user of {database.in_words} may not make a schema there: GRANT CREATE ON DATABASE, for once"
        )
    with servers.asking() as (name, ask):
        state = Fetch(name, ask, FetchPace(BYTES_PER_SECOND), _nobody).state(None)
    return PlanToDatabase(
        service=servers.service,
        database=database.in_words,
        history=state.now.history,
        action_id=state.now.tip.action_id,
        size_bytes=state.size_bytes,
        retired=view.retired_for is not None,
        there=None if row is None else row.through,
        is_done=False,
    )


def _check_target(row: BankRow | None, view: View, database: MovingDatabase) -> None:
    """Raise InvalidRequest unless the bank of this view may go there, is on its way, or is there."""
    ours = row is not None and row.came_from == view.history
    if row is not None and not ours:
        raise InvalidRequest(
            f"there is another bank in {database.in_words} (schema {database.schema}): nothing of it is "
            "overwritten. Name another database; if it is of no use any more, drop that schema"
        )
    if row is not None and row.retired_for is not None:
        raise InvalidRequest(
            f"the bank has been in {database.in_words}, and has left it for {foreign(row.retired_for)}: name "
            "another database, or drop that schema first"
        )
    if view.retired_for is None:
        if row is not None and row.arriving is None:
            raise InvalidRequest(
                f"a bank that came from these servers is open in {database.in_words}, and they are not "
                "retired: "
                "both may have been used since. Find out which counts before anything else"
            )
        return
    if not ours or view.retired_for != words_of(database):
        raise InvalidRequest(
            f"the servers are retired: the bank is in {foreign(view.retired_for)}, and not in "
            f"{database.in_words} (if that is the same one, name its hosts as they were named then)"
        )


def move_to_database(
    configuration: Configuration,
    url: str,
    *,
    prepare: bool = False,
    rate: float = BYTES_PER_SECOND,
    progress: Progress = lambda _: None,
) -> Moved:
    """Move the bank; with `prepare`, only copy what there is now. Raises as `plan_to_database` does."""
    servers = _Servers(configuration)
    with MovingDatabase(url, configuration.service) as database:
        plan = _plan(servers, database)
        if plan.is_done:
            return Moved(database=database.in_words, action_id=plan.action_id, accounts=None, pause_s=None)
        return _Move(servers, database, rate, progress).run(prepare=prepare)


class _Move:
    """One try."""

    def __init__(self, servers: _Servers, database: MovingDatabase, rate: float, progress: Progress) -> None:
        self._servers = servers
        self._database = database
        self._rate = rate
        self._progress = progress
        self._attempt = secrets.token_hex(8)
        self._accounts: int | None = None

    def run(self, *, prepare: bool) -> Moved:
        at = self._brought_before() or self._bring_all()
        reached("migrate:copied")
        if self._servers.view().retired_for is None:
            at = self._keep_up(at)
            if prepare:
                return self._moved(at, None, is_here=False)
            reached("migrate:before-retiring")
            began_s = time.monotonic()
            self._retire()
        else:
            began_s = time.monotonic()
        reached("migrate:retired")
        at = self._bring_the_rest(at)
        reached("migrate:opened")
        self._database.look()  # A commit of its own: what was committed is wherever it has to be.
        return self._moved(at, time.monotonic() - began_s)

    def _moved(self, at: Position, pause_s: float | None, *, is_here: bool = True) -> Moved:
        return Moved(
            database=self._database.in_words,
            action_id=at.action_id,
            accounts=self._accounts,
            pause_s=pause_s,
            is_here=is_here,
        )

    # -- while it is served ----------------------------------------------------------------------

    def _brought_before(self) -> Position | None:
        """Go on with what an earlier try has brought, if the servers' journal goes on from there."""
        row = self._database.look()
        if row is None or row.through is None or row.arriving is None:
            return None
        with self._servers.asking() as (name, ask):
            try:
                state = Fetch(name, ask, FetchPace(self._rate), self._progress).state(row.through.action_id)
            except InvalidRequest:  # It was folded since, or rolled back.
                return None
        if state.since != row.through:
            return None
        self._database.claim(self._attempt, row.arriving)
        return row.through

    def _bring_all(self) -> Position:
        with self._servers.asking() as (name, ask):
            fetch = Fetch(name, ask, FetchPace(self._rate), self._progress)
            state = fetch.state(None)
            with self._database.bringing(self._attempt, state.now.history) as bringing:
                at, accounts = _bring_all(fetch, state, bringing)
                if not may_begin(self._servers.view(), anew=bringing.is_anew):
                    raise OperationFailed(
                        "the servers were retired meanwhile, and what was brought by whoever did that was "
                        "taken away: another `bankrmi migrate` works on this bank. Run this again when that "
                        "is over"
                    )
            self._accounts = accounts
            return at

    def _keep_up(self, at: Position) -> Position:
        for _ in range(_ROUNDS):
            before = at
            at = self._bring_since(at, lambda now: now.acknowledged)
            if at.action_id - before.action_id < _SHORT_ROUND:
                break
        return at

    # -- the pause -------------------------------------------------------------------------------

    def _retire(self) -> None:
        """Have the view say it; if nobody knows whether it does, look."""
        there = words_of(self._database)
        try:
            self._servers.order("retire", there)
        except (OperationFailed, Unreached):
            if self._servers.view().retired_for != there:
                raise

    def _bring_the_rest(self, at: Position) -> Position:
        """Bring what a server holds that leads, retired; with that the bank opens."""
        deadline_s = time.monotonic() + _SECONDS
        seen = self._servers.view()
        if seen.retired_for is None:
            raise OperationFailed("the servers were reinstated meanwhile: run this again")
        if seen.retired_for != words_of(self._database):
            raise OperationFailed(
                f"the servers were retired for {foreign(seen.retired_for)} meanwhile, by another `bankrmi "
                "migrate`: this one ends"
            )
        while True:
            with self._servers.asking() as (name, ask):
                fetch = Fetch(name, ask, FetchPace(1e12), self._progress)
                state = fetch.state(at.action_id)
                if is_frozen(state.now, seen):
                    return self._bring_frozen(fetch, state, at, seen)
            if time.monotonic() > deadline_s:
                raise OperationFailed(
                    f"{name} does not lead as one that is retired: `bankrmi status` shows why; run this "
                    "again then"
                )
            time.sleep(_PAUSE_S)

    def _bring_frozen(self, fetch: Fetch, state: BackupState, at: Position, seen: View) -> Position:
        _check_since(state, at, fetch.server)
        rest: list[Record] = []
        at = _records(fetch, at, state.now.tip.action_id, rest.extend)
        now = fetch.newest
        if now is None or now.tip != at or not is_frozen(now, seen):
            raise OperationFailed(f"{fetch.server} does not lead any more, retired as it was: run this again")
        reached("migrate:before-opening")
        self._database.bring_more(self._attempt, rest, opens=True)
        return at

    def _bring_since(self, at: Position, goal: Callable[[PieceAnswer], int]) -> Position:
        with self._servers.asking() as (name, ask):
            fetch = Fetch(name, ask, FetchPace(self._rate), self._progress)
            state = fetch.state(at.action_id)
            _check_since(state, at, name)
            pending: list[Record] = []

            def take(records: list[Record]) -> None:
                pending.extend(records)
                if len(pending) >= _RECORDS_AT_ONCE:
                    self._database.bring_more(self._attempt, pending, opens=False)
                    pending.clear()

            at = _records(fetch, at, goal(state.now), take)
            self._database.bring_more(self._attempt, pending, opens=False)
            return at


def _check_since(state: BackupState, at: Position, server: str) -> None:
    if state.since != at:
        raise OperationFailed(
            f"{server} holds another history at action id {at.action_id} than what was copied: run this again"
        )


def _records(fetch: Fetch, since: Position, goal: int, take: Callable[[list[Record]], None]) -> Position:
    """Give the records up to the goal; raise OperationFailed for one that does not follow."""
    before: Position | Record = since

    def checked(records: list[Record]) -> None:
        nonlocal before
        for record in records:
            if not follows(record, before):
                raise OperationFailed(
                    f"the record at action id {record.action_id} does not follow from the one before: look "
                    "at "
                    f"{fetch.server} with `bankrmi verify`"
                )
            before = record
        take(records)

    return fetch.records(since, goal, checked)


def _bring_all(fetch: Fetch, state: BackupState, bringing: Bringing) -> tuple[Position, int]:
    """Bring accounts, sessions and the journal; return up to where, and how many accounts."""
    balances: dict[int, int] = {}
    if state.since.action_id:
        fetch.sessions(state.since, lambda rows: bringing.take_requests(map(_kept, rows)))
    goal = max(state.now.acknowledged, fetch.accounts(balances.update).action_id)

    def take(records: list[Record]) -> None:
        bringing.take_records(records)
        for entry in entries_of(record for record in records if not record.cancelled):
            follow(balances, entry)

    at = _records(fetch, state.since, goal, take)
    fetch.progress(f"writing {len(balances)} accounts")
    bringing.take_accounts(balances)
    bringing.note_through(at, begins_after=state.since.action_id)
    return at, len(balances)


def _kept(row: Sequence[Any]) -> KeptRequest:
    session, sequence, action_id, _, count, operations, outcomes, time_us, _ = row
    ids = range(action_id - count + 1, action_id + 1) if operations else ()
    return KeptRequest(session, sequence, ids, operations, outcomes, time_us)


def _nobody(_: str) -> None:
    pass


# -- and not after all -------------------------------------------------------------------------------


def cancel_to_database(
    configuration: Configuration, url: str, *, force: bool = False
) -> Mapping[str, Any] | None:
    """Have the servers keep the bank after all, unless it is open there; return the views before and after.

    None: they were not retired. What was copied is taken away first, so that no try can open it there any
    more; then the retirement is taken back that was seen before. `force`: whatever the database says, or if
    it says nothing: the operator's word that nobody has used it there.
    """
    servers = _Servers(configuration)
    view = servers.view()
    try:
        with MovingDatabase(url, configuration.service) as database:
            row = database.look()
            if view.retired_for not in (None, words_of(database)) and not force:
                raise InvalidRequest(
                    f"the servers are retired for {foreign(view.retired_for)}, and not for "
                    f"{database.in_words}: nothing was changed. Name that one, as it was named then"
                )
            if row is not None and row.came_from == view.history and row.arriving is not None:
                database.drop_arriving(row.arriving)
                reached("migrate:taken-away")
            elif view.retired_for is not None and not force:
                raise InvalidRequest(_not_cancelled(view.retired_for, database.in_words, row))
    except Unreached:
        if not force:
            raise
    return _reinstated(servers, view)


def _not_cancelled(retired_for: str, where: str, row: BankRow | None) -> str:
    """Return why the servers stay retired, and what to do then."""
    told = f"the servers are retired for {foreign(retired_for)}, and"
    if row is not None:
        brings = "`bankrmi migrate --from` brings it back"
        return f"{told} the bank is open there, in {where}: nothing was changed. {brings}"
    return (
        f"{told} there is no trace of the bank in {where}: nothing was changed. It is so after a --cancel "
        "that was interrupted: `--cancel --force` goes on with that. In another database than theirs, or one "
        "that lost its data, it is so, too: then what was done there since would be lost"
    )


def _reinstated(servers: _Servers, seen: View) -> Mapping[str, Any] | None:
    """Have the retirement of this view taken back, and no later one; None if they serve."""
    deadline_s = time.monotonic() + _SECONDS
    while not servers.serve():
        now = servers.are_retired_as_in(seen)
        if now is None:
            raise OperationFailed(
                "the servers were retired meanwhile, by another `bankrmi migrate`: what was copied before "
                "was taken away, and they stay retired. If nobody moves the bank any more, "
                "`--cancel --force` has them keep it"
            )
        try:
            changed: Mapping[str, Any] = servers.order("reinstate", now.history, now.epoch)
        except OperationFailed:
            if servers.view().epoch == now.epoch or time.monotonic() > deadline_s:
                raise
        else:
            return changed
    return None
