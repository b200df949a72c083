"""The blocking client: `with connect("config.yaml") as bank: bank.withdraw(2, 10)`.

It finds the primary by the name of the service, and when that fails goes on with the other servers, the same
request, the same id, until there is an answer or the deadline. What to do next is decided in `attempts`;
here it is only done.

Rule 1: usable from several threads. Each call takes a channel (a session and a connection) for itself and
        gives it back, so a session has one request at a time (O3), and nobody waits for another's answer.
Rule 2: a channel whose request has no certain outcome gets a new session and a new connection.
Rule 3: every call ends by its deadline, with a result or an error of `bankrmi.errors`.
Assumption: after a fork, parent and child go on with channels of their own (looked after here).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bankrmi.bank.operations import Deposit, Receipt, Withdraw
from bankrmi.client.attempts import Answered, Candidate, Finish, Outcome, Try, Wait
from bankrmi.client.calls import Call, Memory
from bankrmi.client.finding import configuration_of, outcome_of
from bankrmi.client.requests import (
    ACCOUNT_ID,
    Operation,
    Request,
    Session,
    asked_balance,
    asked_outcome,
    asked_status,
    changed,
    read_receipt,
    read_results,
    submitted,
)
from bankrmi.config import Configuration
from bankrmi.errors import BankError, OperationFailed, Refused
from bankrmi.rmi import Connection, handshake, look_up
from bankrmi.rmi import connect as open_connection

__all__ = ["BankClient", "connect"]

_IDLE_CHANNELS = 32
_HANDSHAKE = handshake("client")


def connect(
    configuration: str | Path | Configuration | None = None,
    *,
    timeout: float | None = None,
    on_waiting: Callable[[], None] | None = None,
    insecure: bool = False,
    nameserver: str | None = None,
) -> BankClient:
    """Return a client of the bank that the configuration (a file's path, or a loaded one) describes.

    Or, instead of a configuration, of the bank of the name server at this address ("host:port"): the client
    learns from it where the servers are, and trusts it in that. Nothing is sent yet. `timeout` is for each
    operation, in seconds; `on_waiting` is called when one turns out to take longer, because the first server
    that was asked did not answer it: once for each operation.
    """
    configuration = configuration_of(configuration, nameserver, insecure=insecure)
    return BankClient(configuration, timeout=timeout, on_waiting=on_waiting)


class _Channel:
    """A session and a connection, used by one call at a time."""

    __slots__ = ("_asks", "_connection", "session")

    def __init__(self) -> None:
        self.session = Session()
        self._connection: Connection | None = None
        self._asks: Candidate | None = None

    def ask(self, attempt: Try, method: str, args: tuple[object, ...]) -> Outcome:
        """Make one attempt."""
        began = time.monotonic()
        try:
            connection = self._connection
            if connection is None or connection.closed or self._asks != attempt.candidate:
                connection = self._connect(attempt)
            timeout = attempt.timeout_ms / 1000 - (time.monotonic() - began)
            return Answered(connection.call(method, args, timeout=max(timeout, 0.001)))
        except Exception as error:  # outcome_of raises what is not for it to judge
            return outcome_of(error)

    def _connect(self, attempt: Try) -> Connection:
        self.close()
        candidate = attempt.candidate
        self._connection = open_connection(
            candidate.address, ACCOUNT_ID + candidate.server, _HANDSHAKE, attempt.connect_ms / 1000
        )
        self._asks = candidate
        return self._connection

    def start_afresh(self) -> None:
        """Go on with nothing of what was (rule 2)."""
        self.close()
        self.session = Session()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class BankClient:
    """A bank account's counter. Made by `connect`; a context manager; usable from several threads."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        timeout: float | None = None,
        on_waiting: Callable[[], None] | None = None,
    ) -> None:
        self._memory = Memory(configuration, timeout, on_waiting)
        self._most_operations = configuration.limits.operations_per_request
        self._idle: list[_Channel] = []
        self._process = os.getpid()
        self._closed = False

    def __enter__(self) -> BankClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; again does nothing. Calls in progress end as usual."""
        self._closed = True
        self._close_idle()

    # -- what a bank's client can do ---------------------------------------------------------------

    def balance(self, account: int) -> Receipt:
        """Return the balance, the newest that anybody was told of."""
        return self._receipt(asked_balance(account))

    def withdraw(self, account: int, amount: int, *, request_id: str | None = None) -> Receipt:
        """Take money off; raises `InsufficientFunds` or `AccountNotFound` if that cannot be.

        A `request_id` of one's own ("SESSION:SEQ") makes it safe to repeat the whole call: it is done once.
        """
        return self._receipt(changed(Withdraw(account, amount), request_id))

    def deposit(self, account: int, amount: int, *, request_id: str | None = None) -> Receipt:
        """Put money on; raises `BalanceTooLarge` or `AccountNotFound` if that cannot be."""
        return self._receipt(changed(Deposit(account, amount), request_id))

    def submit(
        self, operations: Sequence[Operation], *, request_id: str | None = None
    ) -> list[Receipt | Refused]:
        """Do many operations in one request, each decided on its own, in their order."""
        request = submitted(operations, request_id, at_most=self._most_operations)
        answer, sent_as = self._perform(request)
        return read_results(answer, str(sent_as))

    def outcome(self, request_id: str) -> list[Receipt | Refused]:
        """Return what became of a request, for good; `Cancelled` if it never arrived, and now never will."""
        return read_results(self._answered(asked_outcome(request_id)), request_id)

    def status(self) -> dict[str, Any]:
        """Return what the server that is asked first says of itself; see `overview` for all of them."""
        return dict(self._answered(asked_status()))

    # -- how it is done ----------------------------------------------------------------------------

    def _receipt(self, request: Request) -> Receipt:
        return read_receipt(*self._perform(request))

    def _answered(self, request: Request) -> Any:
        answer, _ = self._perform(request)
        return answer

    def _perform(self, request: Request) -> tuple[Any, str | None]:
        """Return the answer, and the request id that it was sent under."""
        memory, channel = self._memory, self._take()
        deadline_ms = _now_ms() + memory.timeout_ms
        try:
            if memory.primary is None:
                self._look_up(memory.look_up_seconds(deadline_ms, _now_ms()))
            call = Call(request, memory, channel.session, deadline_ms)
            return self._carry_out(call, channel), call.request_id
        finally:
            self._give_back(channel)

    def _carry_out(self, call: Call, channel: _Channel) -> Any:
        try:
            while True:
                match call.decide(_now_ms()):
                    case Try() as attempt:
                        call.observe(channel.ask(attempt, call.method, call.args()))
                    case Wait(wait_ms=wait_ms):
                        self._look_up(call.learn_seconds(_now_ms()))
                        call.take_learned()
                        time.sleep(wait_ms / 1000)
                    case Finish() as end:
                        return call.finish(end)
        except Refused:
            raise
        except BaseException as failure:
            channel.start_afresh()
            if not isinstance(failure, BankError):
                call.note_on(failure)
            raise

    def _look_up(self, seconds: float) -> None:
        """Ask the name server who leads; whatever goes wrong, the call goes on with whom it knows."""
        memory = self._memory
        if seconds <= 0:
            return
        try:
            memory.take_hint(look_up(memory.nameserver, memory.tags, seconds))
        except Exception as error:  # a hint is never worth an operation
            memory.take_no_hint(error)

    def _take(self) -> _Channel:
        if self._closed:
            raise OperationFailed("this client is closed")
        if os.getpid() != self._process:
            # The parent goes on with those sessions and connections.
            self._idle, self._process = [], os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return _Channel()

    def _give_back(self, channel: _Channel) -> None:
        self._idle.append(channel)
        if len(self._idle) > _IDLE_CHANNELS:
            self._idle.pop().close()
        if self._closed:
            self._close_idle()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
