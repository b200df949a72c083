"""Two copies of an object against a plain Python object with the same methods: whatever is called, fails, or
crashes.

The twin knows nothing of ours. It is copied deeply after each call; a call that raises leaves its copy of
before.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from bankrmi.service import ObjectService, query, update
from bankrmi.service.calls import Raised, result_of
from tests.examples import examples
from tests.service.two_copies import TwoCopies

NAMES = st.sampled_from("abcd")


@dataclass
class Box:
    name: str
    things: list[int] = field(default_factory=list)


class Methods:
    """What can be done, written as for any object."""

    boxes: dict[str, Box]
    order: list[str]
    tree: dict[Any, Any]

    def begin(self) -> None:
        self.boxes = {}
        self.order = []
        self.tree = {}
        self.total = 0

    def fill(self, name: str, things: list[int]) -> int:
        box = self.boxes.setdefault(name, Box(name))
        for thing in things:
            box.things.append(thing)
            self.total += thing
            self.tree.setdefault(thing, {}).setdefault("in", []).append(name)
            if thing < 0:
                raise ValueError(name, thing)
        self.order.append(name)
        return len(box.things)

    def drop(self, name: str) -> bool:
        box = self.boxes.pop(name, None)
        if box is None:
            return False
        self.order = [one for one in self.order if one != name]
        if sum(box.things) > 6:
            raise ValueError(name)
        self.total -= sum(box.things)
        return True

    def turn(self, names: list[str]) -> list[str]:
        for name in names:
            if name in self.boxes:
                self.boxes[name] = self.boxes.pop(name)
                self.boxes[name].things.reverse()
            else:
                del self.boxes[name]  # Which raises.
        return list(self.boxes)

    def replace(self, name: str) -> None:
        self.boxes = {name: Box(name), **self.boxes}
        self.tree, self.shadow = dict(reversed(self.tree.items())), self.tree
        self.last = self.boxes[name]

    def clear(self) -> None:
        self.boxes.clear()
        self.tree = {}
        if hasattr(self, "shadow"):
            del self.shadow

    def everything(self) -> str:
        names = ("boxes", "order", "tree", "total", "shadow", "last")
        return repr([getattr(self, name, "none") for name in names])


class Twin(Methods):
    def __init__(self) -> None:
        self.begin()


def _unshare(twin: Twin) -> None:
    """Between calls nothing is shared between two attributes, or two keys of a dict that is one."""
    for name, value in vars(twin).items():
        if isinstance(value, dict):
            value = {key: copy.deepcopy(one) for key, one in value.items()}
        setattr(twin, name, copy.deepcopy(value) if not isinstance(value, dict) else value)


class Boxes(Methods, ObjectService):
    """The same, served."""

    def __init__(self) -> None:
        self.begin()

    fill = update(Methods.fill)
    drop = update(Methods.drop)
    turn = update(Methods.turn)
    replace = update(Methods.replace)
    clear = update(Methods.clear)
    everything = query(Methods.everything)


class CopiesAgainstATwin(TwoCopies):
    """An object that is served, and one that is not."""

    kind = Boxes

    @initialize()
    def begin(self) -> None:
        self.begin_with(Twin())

    def do(self, method: str, *args: Any) -> None:
        twin = copy.deepcopy(self.states[-1])
        try:
            expected: Any = getattr(twin, method)(*args)
        except Exception as error:
            twin, expected = self.states[-1], type(error).__name__
        _unshare(twin)
        try:
            came = result_of(self.decided(twin, method, *args))
        except Raised as raised:
            came = raised.name
        assert came == expected

    @rule(name=NAMES, things=st.lists(st.integers(-1, 4), max_size=3))
    def fill(self, name: str, things: list[int]) -> None:
        self.do("fill", name, things)

    @rule(name=NAMES)
    def drop(self, name: str) -> None:
        self.do("drop", name)

    @rule(names=st.lists(NAMES, max_size=3))
    def turn(self, names: list[str]) -> None:
        self.do("turn", names)

    @rule(name=NAMES)
    def replace(self, name: str) -> None:
        self.do("replace", name)

    @rule()
    def clear(self) -> None:
        self.do("clear")

    @invariant()
    def both_are_what_the_twin_says(self) -> None:
        assert self.leads.ask("everything") == self.states[-1].everything()
        assert self.follows.ask("everything") == self.states[self.told].everything()


CopiesAgainstATwin.TestCase.settings = settings(
    max_examples=examples(12), stateful_step_count=25, deadline=None
)
TestCopiesAgainstATwin = CopiesAgainstATwin.TestCase
