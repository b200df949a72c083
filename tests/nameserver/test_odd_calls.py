"""Whatever a stranger calls the name server with, it answers, and nothing that is not his changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bankrmi.nameserver.names import TaggedNames, remote_names
from bankrmi.replication.view import View
from bankrmi.rmi import Call, PlainObject
from tests.examples import examples
from tests.nameserver.callers import STRANGER, Connection, server

VIEW = View.first(history="h1", server="s1", start_id="a", incarnation="disk")
S1 = server("s1", "a", "disk")
NAME = "bankrmi.account.s1"

texts = st.sampled_from(
    [
        NAME,
        "bankrmi.account.",
        "Pyro.NameServer",
        "bankrmi.witness",
        "aaa",
        "b",
        "",
        "role:primary",
        "Role:primary",
        "epoch:1",
        "service:account",
        f"PYRO:{NAME}@127.0.0.1:6666",
        "PYRO:x@h:1",
        "PYROMETA:a,b",
        "PYRO:x@[::1",
        "PYRO:x@h:99999999999",
    ]
) | st.text(max_size=8)
plain: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=4) | texts,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(texts, inner, max_size=3)
        | st.sets(texts, max_size=4)
    ),
    max_leaves=8,
)
ours = st.sampled_from([NAME, "bankrmi.account.s2", "Pyro.NameServer", "bankrmi.witness", "bankrmi.x"])
named = st.sampled_from(["aaa", "b", "Pyro", "bankrmi", "P", ""]) | ours
tags = st.lists(st.sampled_from(["role:primary", "Role:primary", " role:standby", "epoch:1", "kind:x"]))
uris = st.sampled_from([f"PYRO:{NAME}@127.0.0.1:6666", "PYRO:x@h:1", "PYROMETA:a,b", "PYRO:x@[::1", "no"])
sensible = st.one_of(
    st.tuples(st.just("register"), st.tuples(named, uris, st.booleans(), tags | plain)),
    st.tuples(st.just("set_metadata"), st.tuples(named, tags | plain)),
    st.tuples(st.just("remove"), st.tuples(named) | st.tuples(st.none(), named)),
    st.tuples(st.just("list"), st.tuples(named, st.none(), st.booleans())),
    st.tuples(st.just("yplookup"), st.tuples(tags, tags, plain)),
)
methods = st.sampled_from(["register", "set_metadata", "remove", "list", "lookup", "yplookup", "count"])
odd = st.tuples(methods, st.lists(texts | plain, max_size=4))
keywords = st.dictionaries(
    st.sampled_from(["name", "uri", "safe", "metadata", "prefix", "regex", "meta_all", "caller", "self"]),
    plain,
)
calls = st.tuples(sensible | odd, st.just({}) | keywords)


class Answered:
    """The connection of a stranger, which keeps what he is answered."""

    lost = False
    waited_ms = 0.0
    connection = Connection()

    def __init__(self) -> None:
        self.answers: list[tuple[object, bool]] = []

    def in_turn(self, work: Callable[[], None]) -> None:
        work()

    def charge(self, ms: float) -> None:
        """Nothing is owed here."""

    def answered(self, call: Call, value: object, *, is_error: bool) -> None:
        self.answers.append((value, is_error))


def ask(target: PlainObject, name: str, args: Any, kwargs: Any) -> tuple[object, bool]:
    stranger = Answered()
    target.invoke(Call(stranger, STRANGER.peer, name, tuple(args), dict(kwargs)))
    [answer] = stranger.answers
    return answer


@settings(max_examples=examples(50))
@given(st.lists(calls, max_size=6))
def test_a_stranger_changes_nothing_of_ours_and_is_always_answered(made: list[Any]) -> None:
    names = TaggedNames("account", ["s1"])
    names.register_itself("127.0.0.1:9090")
    names.register(S1, NAME, f"PYRO:{NAME}@127.0.0.1:9101", metadata=["service:account"])
    names.follow(VIEW)
    before = names.list(prefix="Pyro.", return_metadata=True) | names.list(
        prefix="bankrmi.", return_metadata=True
    )
    target = remote_names(names)
    for (name, args), kwargs in made:
        value, is_error = ask(target, name, args, kwargs)
        assert not (is_error and "went wrong in the server" in str(value)), (name, args, kwargs)
    everything = names.list(return_metadata=True)
    assert {name: everything.get(name) for name in before} == before
    for name in everything.keys() - before.keys():
        assert not name.startswith("bankrmi.")
        assert not [tag for tag in everything[name][1] if tag.lower().strip().startswith(("role:", "epoch:"))]
    assert list(names.yplookup(meta_all=["role:primary"])) == [NAME]
