"""What an author may write, and what is said of the rest; arguments and results."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from bankrmi.errors import ConfigurationError, InvalidRequest
from bankrmi.service import Service, described, load, query, update
from bankrmi.service.machine import ServiceMachine
from bankrmi.service.plain_values import Annotation, NotPlain
from tests.service.classes import Inventory, Line, OutOfStock


class NoMethods(Service):
    pass


class Coroutine(Service):
    @update
    async def put(self) -> None: ...


class AsyncGenerator(Service):
    @update
    async def put(self) -> AsyncIterator[int]:
        yield 1


class Generator(Service):
    @query
    def get(self) -> Iterator[int]:
        yield 1


class Taken(Service):
    @query
    def status(self) -> dict[str, Any]:
        return {}


class Initialized(Service):
    def __init__(self) -> None:
        pass

    @query
    def get(self) -> int:
        return 1


class RaisesNothing(Service):
    @update(raises=["OutOfStock"])  # type: ignore[list-item]
    def put(self) -> None: ...


class UnknownAnnotation(Service):
    @update
    def put(self, what: Unknown) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (int, "int is not a service"),
        ("text", "is not a service"),
        (NoMethods, "NoMethods has no method"),
        (Coroutine, "Coroutine.put is a coroutine"),
        (AsyncGenerator, "AsyncGenerator.put is a coroutine"),
        (Generator, "Generator.get is a generator"),
        (Taken, "Taken.status cannot be called that"),
        (Initialized, "Initialized has an __init__"),
        (RaisesNothing, "RaisesNothing.put is said to raise 'OutOfStock'"),
        (UnknownAnnotation, "UnknownAnnotation.put has an annotation that cannot be used"),
    ],
)
def test_what_cannot_be_served_is_refused_in_a_sentence(kind: object, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        described(kind)
    assert sentence in refused.value.message


def test_a_class_is_described() -> None:
    methods = described(Inventory).methods
    assert methods["put"].is_update
    assert not methods["get"].is_update
    assert methods["take"].raises == (OutOfStock,)
    assert "_count" not in methods
    assert "create" not in methods


@pytest.mark.parametrize(
    ("args", "kwargs", "sentence"),
    [
        (("apple",), {}, "put does not take these arguments: missing a required argument: 'count'"),
        (("apple", 1, 2), {}, "put does not take these arguments"),
        (("apple", "3"), {}, "put takes no such count: '3'"),
        (("apple", True), {}, "put takes no such count"),
        (("apple", 1.0), {}, "put takes no such count"),
        ((b"apple", 1), {}, "put takes no such name"),
        ((), {"name": "apple", "count": 2**70}, "put takes no such count: an integer of more than 64 bits"),
    ],
)
def test_arguments_that_a_method_does_not_take_are_refused(
    args: tuple[Any, ...], kwargs: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        described(Inventory).methods["put"].bound(args, kwargs)
    assert sentence in refused.value.message


def test_defaults_are_filled_in_before_anything_is_recorded() -> None:
    """What a default is may change with the code; what was asked does not."""
    assert described(Inventory).methods["take"].bound(["pear"], {}) == (["pear", 1], {})


@pytest.mark.parametrize(
    ("annotation", "given", "plain", "made"),
    [
        (int, 3, 3, 3),
        (float, 3, 3.0, 3.0),
        (list[int], (1, 2), [1, 2], [1, 2]),
        (tuple[int, str], [1, "a"], [1, "a"], (1, "a")),
        (set[str], {"b", "a"}, ["a", "b"], {"a", "b"}),
        (Line, Line("a", 2), {"name": "a", "count": 2}, Line("a", 2)),
        (Line, {"name": "a", "count": 2}, {"name": "a", "count": 2}, Line("a", 2)),
        (dict[str, list[Line]], {"x": [Line("a")]}, {"x": [{"name": "a", "count": 1}]}, {"x": [Line("a")]}),
        (bytes, b"\xff", b"\xff", b"\xff"),
        (int | None, None, None, None),
        (Any, {"a": [1, None]}, {"a": [1, None]}, {"a": [1, None]}),
    ],
)
def test_a_value_is_plain_in_the_journal_and_what_it_was_in_the_method(
    annotation: Any, given: Any, plain: Any, made: Any
) -> None:
    checks = Annotation(annotation)
    assert checks.checked(given) == plain
    assert checks.made(plain) == made


def test_what_was_told_is_what_the_method_returned() -> None:
    class Pairs(Service):
        @query
        def pair(self) -> tuple[int, Line]:
            return 1, Line("a")

    method = described(Pairs).methods["pair"]
    assert method.returned(method.result((1, Line("a")))) == (1, Line("a"))


MADE: Any = Line
NONSENSE = [MADE("a", "1"), MADE(1)]
"""A dataclass takes whatever it is given."""


@pytest.mark.parametrize(
    ("annotation", "given"),
    [
        (int, "3"),
        (str, 3),
        (list[int], ["1"]),
        (Line, {"name": 1, "count": 1}),
        *((Line, nonsense) for nonsense in NONSENSE),
        (list[Line], [NONSENSE[0]]),
        (Line | None, NONSENSE[1]),
        (Any, object()),
        (Any, {1: 2}),
    ],
)
def test_nothing_is_converted_but_the_container(annotation: Any, given: Any) -> None:
    with pytest.raises(NotPlain):
        Annotation(annotation).checked(given)


def nested(depth: int) -> Any:
    return [] if depth == 0 else [nested(depth - 1)]


def test_values_are_nested_only_so_deep() -> None:
    with pytest.raises(NotPlain, match="nested deeper"):
        Annotation(Any).checked(nested(100))


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("CREATE TABLE t (a INTEGER)", "t has no PRIMARY KEY"),
        ("CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT)", "AUTOINCREMENT has a counter"),
        ("CREATE VIRTUAL TABLE t USING fts5(a)", "create failed"),
        ("CREATE TABLE journal (a INTEGER PRIMARY KEY)", "the name journal is taken"),
        ("CREATE TABLE", "create failed: SQLError"),
        ("CREATE TABLE t (a INTEGER PRIMARY KEY, b INTEGER UNIQUE ON CONFLICT ROLLBACK)", "ROLLBACK"),
        ("CREATE TABLE t (a INTEGER PRIMARY KEY); INSERT INTO t VALUES (random())", "use self.now"),
    ],
)
def test_tables_that_could_not_be_kept_are_refused(table: str, sentence: str) -> None:
    class Kept(Service):
        def create(self) -> None:
            self.db.execute(table)

        @query
        def get(self) -> int:
            return 1

    with pytest.raises(ConfigurationError) as refused:
        ServiceMachine(described(Kept)).try_class()
    assert sentence in refused.value.message


SOUND = """
import bankrmi

class S(bankrmi.Service):
    @bankrmi.query
    def get(self) -> int:
        return 1
"""


@pytest.mark.parametrize("how", ["now", "random", "new_id", "clock"])
def test_the_opening_state_goes_by_nothing_that_differs(how: str) -> None:
    class Begun(Service):
        def create(self) -> None:
            _ = time.time() if how == "clock" else self.new_id() if how == "new_id" else getattr(self, how)

        @query
        def get(self) -> int:
            return 1

    with pytest.raises(
        ConfigurationError, match=r"Begun\.create failed: .*(has to come out alike|use self\.now)"
    ):
        ServiceMachine(described(Begun)).try_class()


MODULES = {
    "sound": SOUND,
    "broken": "class S(:\n",
    "failing": "1 / 0\n",
    "ending": "import sys\nsys.exit(0)\n",
    "lacking": "import no_such_module\n",
    "taking": "from time import time\n" + SOUND,
    "plain": "class S: pass\n",
}


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("nothing", "write module:Class"),
        ("../x:S", "write module:Class"),
        ("no_such_thing:S", "there is no module no_such_thing in"),
        ("sound.more:S", "there is no module sound.more in"),
        ("broken:S", "broken.py, line 1"),
        ("failing:S", "ZeroDivisionError"),
        ("ending:S", "SystemExit: 0"),
        ("lacking:S", "No module named 'no_such_module'"),
        ("sound:T", "there is no T in"),
        ("plain:S", "S is not a service"),
        ("taking:S", "taking has taken time.time as `time`"),
    ],
)
def test_a_class_that_cannot_be_loaded_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, sentence: str
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name, content in MODULES.items():
        (tmp_path / f"{name}.py").write_text(content)
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ConfigurationError) as refused:
        load(target, tmp_path)
    assert sentence in refused.value.message


def test_a_class_is_loaded_from_beside_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "sound", raising=False)
    (tmp_path / "sound.py").write_text(MODULES["sound"])
    assert load("sound:S", tmp_path).name == "S"
