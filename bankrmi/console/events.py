"""What happens to a bank, as events: what the live page is told, and what a recording is made of.

The one description of the format. An event is a JSON object with `t`, when it happened (milliseconds since
1970, perhaps with a fraction), `kind`, and what the class of that kind below says. The stream of a console
sends one in each message; a recording (`bankrmi record`, `bankrmi chaos`) is a file of them, one a line, in
UTF-8, gzipped if its name ends in `.gz`. Both begin with `hello`, which has the number of the format.

Rule 1: a field that is not known is left out; a reader takes that for "not known", never for 0.
Rule 2: within a format kinds and fields are added, never changed: readers leave alone what they do not know.
Rule 3: whatever is read was written by others: every text, list and number has a bound here.
Rule 4: an event of a thing that lasts is told again when it has ended, or when more is known: of a `fault`
        the `id` is the same then, of a `view` the history and epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

__all__ = [
    "FORMAT",
    "KINDS",
    "NAME_AT_MOST",
    "SENTENCES_AT_MOST",
    "AnyEvent",
    "CallEvent",
    "DecidedEvent",
    "FailoverEvent",
    "FaultEvent",
    "HelloEvent",
    "NoteEvent",
    "OffersEvent",
    "RateEvent",
    "RolledBackEntry",
    "RolledBackEvent",
    "RulesEvent",
    "RunEvent",
    "SampleEvent",
    "SearchEvent",
    "ShownKeeper",
    "ShownPause",
    "ShownProcess",
    "ShownServer",
    "ShownView",
    "SilenceEvent",
    "StateEvent",
    "UnknownKind",
    "UsageEvent",
    "VerdictEvent",
    "ViewEvent",
    "event_of",
    "fitting",
    "read_event",
    "text_of",
]

FORMAT: Literal[1] = 1

_LATEST_MS = 4_102_444_800_000  # 2100
_SERVERS = 100

Moment = Annotated[int | float, Field(ge=0, le=_LATEST_MS)]
Micros = Annotated[int | float, Field(ge=0, le=1e13)]
Milliseconds = Annotated[int | float, Field(ge=0, le=1e10)]
Count = Annotated[int, Field(ge=0, le=1 << 62)]
Number = Annotated[int, Field(ge=-(1 << 62), le=1 << 62)]
NAME_AT_MOST = 120
Name = Annotated[str, StringConstraints(max_length=NAME_AT_MOST)]
Sentence = Annotated[str, StringConstraints(max_length=4_000)]
Names = Annotated[list[Name], Field(max_length=_SERVERS)]
SENTENCES_AT_MOST = 1_000
Sentences = Annotated[list[Sentence], Field(max_length=SENTENCES_AT_MOST)]
Pairs = Annotated[list[tuple[Name, Sentence]], Field(max_length=200)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class _Event(_Value):
    t: Moment


class HelloEvent(_Event):
    """Whose events these are, and who tells them; the first."""

    kind: Literal["hello"] = "hello"
    format: Literal[1]
    version: Name
    """Of bankrmi."""
    service: Name
    servers: Annotated[dict[Name, Name], Field(max_length=_SERVERS)]
    """Their addresses, as the configuration has them; empty where nobody needs to know."""
    keeper: Literal["witness", "etcd"]
    told_by: Literal["console", "record", "chaos"]
    serves: Name | None = None
    """The class that is replicated; None: accounts. Of several services that of the first one."""
    services: Annotated[dict[Name, Name], Field(max_length=_SERVERS)] = {}
    """All classes that are replicated, by the names of their services, the first one first."""
    clients: Names = []
    """Processes that something can be done to, beside those of the bank."""


class RunEvent(_Event):
    """A run of `bankrmi chaos`: how to do it again, and where it left what."""

    kind: Literal["run"] = "run"
    seed: Count
    command: Sentence
    cuts_by: Name
    files: Pairs
    facts: Pairs
    """Of the machine: `("kernel", "Linux 6.1")`."""


class ShownPause(_Value):
    """Automatic takeover is off: who wanted that, and why."""

    by: Name | None
    since_us: Count | None = None
    reason: Sentence | None = None


class ShownView(_Value):
    """The view, as it is kept just then."""

    history: Name
    epoch: Count
    primary: Name
    in_sync: Names
    paused: ShownPause | None = None


class ShownProcess(_Value):
    """A process that is asked."""

    reachable: bool
    reason: Sentence | None = None
    """Why it is not reachable."""
    process: Literal["running", "stopped", "gone", "unknown"] | None = None
    """What whoever sees the process on its machine says; `stopped` is by SIGSTOP."""
    name: Name | None = None
    """What faults call it, if not by what it is."""


class ShownKeeper(ShownProcess):
    """Who keeps the view; of etcd the members, too."""

    members: Annotated[list[ShownProcess], Field(max_length=20)] = []


class ShownServer(ShownProcess):
    """A server, as it says that it is."""

    name: Name
    address: Name | None = None
    silent: bool | None = None
    """Nobody knows whether it is there: not even a refusal came."""
    role: Name | None = None
    why: Sentence | None = None
    epoch: Count | None = None
    action_id: Count | None = None
    acknowledged: Count | None = None
    digest: Name | None = None
    lag: Number | None = None
    pid: Count | None = None
    connected: Names | None = None
    """The servers to which it has a connection."""
    in_sync: bool | None = None
    lease: bool | None = None


class StateEvent(_Event):
    """How the bank is; told when anything of that has changed."""

    kind: Literal["state"] = "state"
    view: ShownView | None
    view_from: Name | None = None
    """Who says so: its keeper, or a server."""
    keeper: ShownKeeper
    nameserver: ShownProcess
    servers: Annotated[list[ShownServer], Field(max_length=_SERVERS)]
    cut: Annotated[list[tuple[Name, Name]], Field(max_length=1_000)] = []
    """From whom to whom nothing passes, as whoever did that knows."""
    late: Annotated[list[tuple[Name, Name, Milliseconds]], Field(max_length=1_000)] = []
    """From whom to whom everything is late, and by how much."""
    down: Names = []
    """Who is kept from being started again."""


class ViewEvent(_Event):
    """A change of the view, as its keeper has it on record; told again once it is known what it took."""

    kind: Literal["view"] = "view"
    history: Name
    epoch: Count
    primary: Name
    in_sync: Names
    why: Sentence
    by: Name | None = None
    cause_kind: Name | None = None
    """As `replication.cause` names them."""
    changed_ms: Moment | None = None
    """When, by the keeper's clock."""
    took_ms: Milliseconds | None = None
    """For how long no call was answered around it."""
    silent_since_ms: Moment | None = None
    """Since when."""
    before: bool = False
    """It was there before anybody looked."""
    takes_time: bool = False
    """Another one leads since, so that callers had to wait."""


class RateEvent(_Event):
    """What became of the calls that ended since `from_ms`, and how long they took. Their callers' words."""

    kind: Literal["rate"] = "rate"
    from_ms: Moment
    calls: Count
    done: Count
    declined: Count
    failed: Count
    in_doubt: Count
    operations: Count | None = None
    """That were decided by them, done and declined; without it each call is one."""
    per_second: Count | None = None
    median_us: Micros | None = None
    """Of those that were answered, as all figures here."""
    p99_us: Micros | None = None
    slowest_us: Micros | None = None
    left_out: Count | None = None
    """Of whom no event of their own tells."""


class DecidedEvent(_Event):
    """How many operations the bank decided since `from_ms`, whoever asked for them."""

    kind: Literal["decided"] = "decided"
    from_ms: Moment
    operations: Count


class CallEvent(_Event):
    """One call that has ended. Of a load these are a sample; who is slowest or in doubt is told always."""

    kind: Literal["call"] = "call"
    client: Name
    request_id: Name | None = None
    what: Name
    account: Number | None = None
    to: Number | None = None
    """Of a transfer: where the amount goes."""
    amount: Number | None = None
    call: Sentence | None = None
    """Of a class: the method, which is `what`, with its arguments, cut."""
    operations: Count | None = None
    outcome: Literal["done", "declined", "refused", "in_doubt"]
    """Of a class: `declined` is what has raised an exception."""
    message: Sentence = ""
    balance: Number | None = None
    value: Sentence | None = None
    """Of a class: what was returned, cut."""
    error: Name | None = None
    """Of a class: the exception that was raised; `message` is what it says."""
    action_id: Count | None = None
    took_us: Micros
    again: bool = False


class SampleEvent(_Event):
    """Single calls in columns, for a closer look: when each ended after `from_ms`, and how long it took."""

    kind: Literal["sample"] = "sample"
    from_ms: Moment
    ended_ms: Annotated[list[Milliseconds], Field(max_length=20_000)]
    took_us: Annotated[list[Micros], Field(max_length=20_000)]
    outcomes: Annotated[str, StringConstraints(max_length=20_000, pattern="^[dnri]*$")]
    """A letter for each: done, no (declined), refused, in doubt."""
    calls: Count
    """How many there were, told or not."""


class FaultEvent(_Event):
    """What was done to whom."""

    kind: Literal["fault"] = "fault"
    id: Count
    what: Name
    whom: Name
    toward: Name | None = None
    """The other end, if it was done to a link: that which does not hear `whom`."""
    both_ways: bool = False
    was: Name | None = None
    """The role of whoever it was done to."""
    words: Sentence
    command: Sentence | None = None
    """That does the same in a terminal."""
    late_ms: Milliseconds | None = None
    """Of a slow link."""
    undo: Name | None = None
    """What is pressed to undo it, where that can be."""
    part_of: Count | None = None
    """The fault that this one is a part of: who is cut off loses several links."""
    by: Name | None = None
    since_ms: Moment
    until_ms: Moment | None
    """None while it lasts."""


class SilenceEvent(_Event):
    """From `from_ms` until `t` callers waited, and nobody was answered."""

    kind: Literal["silence"] = "silence"
    from_ms: Moment


class FailoverEvent(_Event):
    """Another one leads: from what brought it about to the first update of its epoch that was answered."""

    kind: Literal["failover"] = "failover"
    cause: Name
    since_ms: Moment
    took_ms: Milliseconds
    old: Name
    new: Name
    epoch: Count


class UsageEvent(_Event):
    """What processes use: the share of a processor since `from_ms`, and their memory now."""

    kind: Literal["usage"] = "usage"
    from_ms: Moment
    cpu: Annotated[dict[Name, Annotated[int | float, Field(ge=0, le=10_000)]], Field(max_length=_SERVERS)]
    resident_kb: Annotated[dict[Name, Count], Field(max_length=_SERVERS)]


class VerdictEvent(_Event):
    """What came of judging all that callers were told; the last word of a run."""

    kind: Literal["verdict"] = "verdict"
    tone: Literal["good", "bad", "empty"]
    """`empty`: nothing was judged."""
    words: Sentence
    violations: Sentences
    untold: Count = 0
    """Violations beyond those with a sentence."""
    checked: Sentences
    notes: Sentences
    counts: Annotated[list[tuple[Name, Count]], Field(max_length=200)]
    calls: Count
    answered: Count
    operations: Count
    in_doubt: Count
    median_us: Micros | None = None
    p99_us: Micros | None = None


class NoteEvent(_Event):
    """A sentence of whoever tells all this."""

    kind: Literal["note"] = "note"
    level: Literal["info", "warning"] = "info"
    text: Sentence = ""


class RolledBackEntry(_Value):
    """One entry that a server had to give up."""

    action_id: Count
    request_id: Name
    kind: Name | None = None
    account: Number | None = None
    to: Number | None = None
    """Of a transfer: where the amount goes."""
    amount: Number | None = None
    call: Sentence | None = None
    """Of a class: the method, which is `kind`, with its arguments, cut."""
    status: Name | None = None
    time: Name | None = None


class RolledBackEvent(_Event):
    """What a server has rolled back of one epoch: it was confirmed to nobody. Told again when it is more."""

    kind: Literal["rolled_back"] = "rolled_back"
    server: Name
    epoch: Count
    entries: Annotated[list[RolledBackEntry], Field(max_length=100)]
    """The newest few."""
    count: Count
    """Of all."""
    noticed_ms: Moment
    record: Sentence
    """The file that has all of them."""


class OffersEvent(_Event):
    """What can be done to the bank from a console; of the live page alone."""

    kind: Literal["offers"] = "offers"
    misfortunes: list[Any]


class RulesEvent(_Event):
    """The rules that can be taken out in a simulation; of the live page alone."""

    kind: Literal["rules"] = "rules"
    rules: list[Any]


class SearchEvent(_Event):
    """How far the search for a history that goes wrong without a rule is; of the live page alone."""

    kind: Literal["search"] = "search"
    name: Name
    seed: Number | None
    """Which one is tried; None when the search has ended."""
    seconds: Annotated[int | float, Field(ge=0)]


AnyEvent = (
    HelloEvent
    | RunEvent
    | StateEvent
    | ViewEvent
    | RateEvent
    | DecidedEvent
    | CallEvent
    | SampleEvent
    | FaultEvent
    | SilenceEvent
    | FailoverEvent
    | UsageEvent
    | VerdictEvent
    | NoteEvent
    | RolledBackEvent
    | OffersEvent
    | RulesEvent
    | SearchEvent
)
KINDS: frozenset[str] = frozenset(one.model_fields["kind"].default for one in AnyEvent.__args__)
_EVENT: TypeAdapter[AnyEvent] = TypeAdapter(Annotated[AnyEvent, Discriminator("kind")])


class UnknownKind(ValueError):
    """An event that a version after this one tells."""


def event_of(kind: str, t: float, values: Mapping[str, Any]) -> AnyEvent:
    """Return the event; raises ValidationError if that is none: then it is our own mistake."""
    return _EVENT.validate_python({"t": t, "kind": kind, **values}, extra="forbid")


def fitting(shape: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what somebody said of himself without what cannot be so: whoever answers may be no server."""
    try:
        shape.model_validate(values)
    except ValidationError as error:
        unfit = {one["loc"][0] for one in error.errors() if one["loc"]}
        return {name: value for name, value in values.items() if name not in unfit}
    return dict(values)


def text_of(event: AnyEvent) -> str:
    """Return it as it is told and kept: one line, of what is known."""
    return event.model_copy(update={"kind": event.kind}).model_dump_json(exclude_unset=True)


def read_event(line: str | bytes) -> AnyEvent:
    """Return the event that somebody wrote; raises ValueError with what is wrong, in a few words."""
    try:
        return _EVENT.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:] if part not in ("int", "float"))
        if first["type"] == "union_tag_invalid":
            raise UnknownKind("its kind is not known") from None
        if not where:
            raise ValueError("it is no JSON object with a kind") from None
        raise ValueError(f"{where}: {first['msg']}") from None
