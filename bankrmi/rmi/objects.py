"""What a remote object is to the daemon, and what a call is to the object.

An object is asked in the event loop and answers whenever it can: at once, or after a group of calls was
committed. Nothing waits in between but the `Call`, which is answered exactly once.

Rule 1: an object is only asked for what its `Exposed` names; the daemon sees to that.
Rule 2: an error that nobody expected is logged here and reaches the caller without its words.
Assumption: `invoke` does not block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from bankrmi.errors import BrokenInvariant, InvalidRequest

from .addresses import Address
from .complaints import complaints
from .failures import NotExposed, write_error, write_shown_error, write_unexpected_error

__all__ = [
    "READ_ATTRIBUTE",
    "Call",
    "CallSource",
    "Connected",
    "Exposed",
    "Guard",
    "Peer",
    "PlainObject",
    "RemoteObject",
    "begin",
    "check_exposed",
    "is_of_the_call_itself",
]

READ_ATTRIBUTE = "__getattr__"
"""The method under which Pyro's proxies read a property; its one argument is the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """What may be asked of an object; proxies are told so in the handshake."""

    methods: frozenset[str]
    oneway: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who is at the other end of a connection."""

    address: Address
    protocol: int = 0
    """The version of our protocol that is spoken with it; 0 for a stock Pyro client."""
    role: str = ""
    """"client", "server" or "operator" as it said of itself; nothing for a stock client."""
    handshake: Mapping[str, object] = field(default_factory=dict)
    name: str = ""
    """That of its certificate; nothing where there are none."""

    @property
    def our_protocol(self) -> bool:
        """Whether its handshake was one of ours."""
        return self.protocol > 0


class Connected(Protocol):
    """A connection, for those who want to know whether it is still there; they keep a weak reference."""

    @property
    def lost(self) -> bool: ...


class CallSource(Protocol):
    """The connection that a call came on, or the batch that it is a part of."""

    @property
    def lost(self) -> bool: ...

    @property
    def connection(self) -> Connected: ...

    @property
    def waited_ms(self) -> float: ...

    def answered(self, call: Call, value: object, *, is_error: bool) -> None: ...
    def in_turn(self, work: Callable[[], None]) -> None: ...
    def charge(self, ms: float) -> None: ...


class Call:
    """One remote call in progress. Not a dataclass: one is made for every call."""

    __slots__ = (
        "about",
        "args",
        "correlation",
        "done",
        "flags",
        "kwargs",
        "method",
        "of",
        "peer",
        "sequence",
        "serializer",
        "source",
    )

    def __init__(
        self,
        caller: CallSource,
        peer: Peer,
        method: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        serializer: int = 0,
        flags: int = 0,
        sequence: int = 0,
        correlation: bytes = b"",
    ) -> None:
        self.source = caller
        self.peer = peer
        self.method = method
        self.args = args
        self.kwargs = kwargs
        self.serializer = serializer
        self.flags = flags
        self.sequence = sequence
        self.correlation = correlation
        self.done = False
        self.about: str | None = None
        """The id of the request that it is about, as its object says, for lines of the log."""
        self.of = ""
        """Which of several services it is of, as its object says, likewise."""

    def through(self, source: CallSource) -> Call:
        """Return the same call, whose answer goes to `source` instead; this one is not to be answered."""
        return Call(
            source,
            self.peer,
            self.method,
            self.args,
            self.kwargs,
            self.serializer,
            self.flags,
            self.sequence,
            self.correlation,
        )

    def in_log(self) -> dict[str, str]:
        """Return what a line of the log says of it: its method, and which request it is about."""
        return {"method": self.method} | ({} if self.about is None else {"request_id": self.about})

    @property
    def connection_lost(self) -> bool:
        """Whether nobody is left to read the answer."""
        return self.source.lost

    @property
    def waited_ms(self) -> float:
        """How long it waited for the turn that goes on now."""
        return self.source.waited_ms

    @property
    def connection(self) -> Connected:
        """The connection that it came on; several calls come on one."""
        return self.source.connection

    def answer(self, value: object) -> None:
        """Answer with a plain value. Never raises for a caller that is gone."""
        assert not self.done, f"{self.method} was answered twice"
        self.done = True
        self.source.answered(self, value, is_error=False)

    def answer_with(self, make: Callable[[], object]) -> None:
        """Answer with what `make` returns or raises, when it is the caller's turn.

        For an answer that takes time to make. If nobody is left to read it, it is not made.
        """
        assert not self.done, f"{self.method} was answered twice"
        self.done = True
        self.source.in_turn(partial(self._make, make))

    def _make(self, make: Callable[[], object]) -> None:
        try:
            value = None if self.source.lost else make()
        except Exception as error:
            self.source.answered(self, self._form(error), is_error=True)
        else:
            self.source.answered(self, value, is_error=False)

    def charge(self, ms: float) -> None:
        """Say what this call will cost later, in milliseconds: nothing that is done at once."""
        self.source.charge(ms)

    def fail(self, error: Exception, *, in_its_own_words: bool = False) -> None:
        """Answer with an error: one of ours goes by its code, of an unexpected one only that it was.

        `in_its_own_words`: the error is known to tell nothing that a stranger should not read.
        """
        assert not self.done, f"{self.method} was answered twice"
        self.done = True
        form = write_shown_error(error) if in_its_own_words else self._form(error)
        self.source.answered(self, form, is_error=True)

    def _form(self, error: Exception) -> dict[str, object]:
        form = write_error(error)
        if form is None:
            complaints.error("call failed", error, peer=self.peer.address, **self.in_log())
            form = write_unexpected_error()
        return form


class RemoteObject(Protocol):
    """What can be registered with a daemon."""

    @property
    def exposed(self) -> Exposed: ...

    def invoke(self, call: Call) -> None:
        """Begin to execute the call; called in the event loop, must not block, may answer later."""
        ...


def begin(target: RemoteObject, call: Call) -> None:
    """Have the call executed, if the object shows such a method; whatever it raises is the answer.

    But for a broken invariant: that goes on to the event loop's exception handler, unanswered.
    """
    try:
        if call.method not in target.exposed.methods:
            check_exposed(target.exposed, call.method, call.args)
        target.invoke(call)
    except BrokenInvariant:
        raise
    except Exception as error:
        if call.done:
            complaints.error("failed after the answer", error, **call.in_log())
        else:
            call.fail(error)


def check_exposed(exposed: Exposed, method: str, args: Sequence[object]) -> None:
    """Raise NotExposed unless it is a method, or the reading of an attribute, that is shown."""
    if method in exposed.methods:
        return
    if method == READ_ATTRIBUTE and len(args) == 1:
        name = args[0]
        if isinstance(name, str) and name in exposed.attributes:
            return
    if method in (READ_ATTRIBUTE, "__setattr__"):
        raise NotExposed("attributes of this object cannot be set or are not exposed")
    raise NotExposed(f"the object has no exposed method {method[:80]!r}")


Guard = Callable[..., None]
"""Called with the arguments of a call before the method is; raises to refuse it."""


class PlainObject:
    """Makes a remote object of an ordinary one, whose methods answer at once.

    `guards` are asked before a method of that name is called, and refuse by raising an error of
    ours, as for the regular expressions that Pyro's name server would run for anybody. `shown` are the
    exceptions whose own words are fit for strangers. The methods that are `told_who_calls` are given the
    call itself before its arguments.
    """

    def __init__(
        self,
        target: object,
        exposed: Exposed | Iterable[str],
        *,
        guards: Mapping[str, Guard] | None = None,
        told_who_calls: Iterable[str] = (),
        shown: tuple[type[Exception], ...] = (),
    ) -> None:
        self.exposed = exposed if isinstance(exposed, Exposed) else Exposed(methods=frozenset(exposed))
        self._target = target
        self._guards = dict(guards or {})
        self._told_who_calls = frozenset(told_who_calls)
        self._shown = shown
        unknown = (self._guards.keys() | self._told_who_calls) - self.exposed.methods
        assert not unknown, f"guards for methods that are not exposed: {sorted(unknown)}"

    def invoke(self, call: Call) -> None:
        if call.method == READ_ATTRIBUTE:
            call.answer(getattr(self._target, call.args[0]))
            return
        try:
            guard = self._guards.get(call.method)
            if guard is not None:
                _call(guard, call)
            value = _call(self._method(call), call)
        except Exception as error:  # whatever the object raises is for `fail` to judge
            call.fail(error, in_its_own_words=type(error) in self._shown)
            return
        call.answer(value)

    def _method(self, call: Call) -> Callable[..., object]:
        method: Callable[..., object] = getattr(self._target, call.method)
        return partial(method, call) if call.method in self._told_who_calls else method


def is_of_the_call_itself(error: TypeError) -> bool:
    """Whether the caught error was raised by calling something, not inside of it: there is no frame below.

    A function of its own, so that no frame that the traceback holds has the traceback in it: such a circle
    would keep the arguments of the call until the garbage collector comes by.
    """
    traceback = error.__traceback__
    return traceback is not None and traceback.tb_next is None


def _call(method: Callable[..., object], call: Call) -> object:
    """Call it; wrong arguments are the caller's mistake, and said in a sentence."""
    try:
        return method(*call.args, **call.kwargs)
    except TypeError as error:
        if is_of_the_call_itself(error):
            raise InvalidRequest(f"{call.method} does not take these arguments") from error
        raise
