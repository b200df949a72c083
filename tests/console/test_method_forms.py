"""A form has a field for each argument, and what is written there is what the method is called with."""

from __future__ import annotations

from typing import Any, Literal

import pytest

import bankrmi
from bankrmi.console.method_forms import METHODS_AT_MOST, METHODS_IN_ALL, forms_of, read_form
from bankrmi.errors import InvalidRequest
from bankrmi.service import Description, ServedServices, described
from tests.console.odd_class import Odd
from warehouse import Points, Purchases, Shelf

DESCRIPTION = described(Odd)
THREE = ServedServices(
    described(Shelf), {"points": described(Points), "purchases": described(Purchases)}, home_name="shelf"
)


def forms(of: Description) -> list[dict[str, Any]]:
    [one] = forms_of(ServedServices.of(of))
    assert (one["name"], one["uses"]) == (of.name, [])
    return list(one["methods"])


def form_of(name: str) -> dict[str, Any]:
    return next(form for form in forms(DESCRIPTION) if form["name"] == name)


def read(name: str, /, **given: str | None) -> tuple[list[Any], dict[str, Any]]:
    return read_form(DESCRIPTION.methods[name], given)


def test_what_changes_the_state_comes_first_and_says_what_it_takes_and_raises() -> None:
    found = forms(DESCRIPTION)
    assert [form["name"] for form in found if form["changes"]] == ["everything", "fail", "put", "take"]
    assert [form["name"] for form in found[4:]] == ["get", "long", "rare"]
    assert form_of("take")["raises"] == ["OutOfStock"]
    assert form_of("put")["signature"] == "put(name: str, count: int = 1) -> int"
    whole = form_of("everything")["signature"]
    assert "size: Literal['s', 'm'], place: Place, raw: bytes = b'x', *more: int, **named: Any)" in whole
    assert form_of("put")["about"] == "Add some; <img src=x onerror=alert(1)> is no picture."


def test_of_several_services_each_has_its_forms_under_names_that_tell_them_apart() -> None:
    found = {one["service"]: one for one in forms_of(THREE)}
    assert {service: one["name"] for service, one in found.items()} == {
        "shelf": "Shelf",
        "points": "Points",
        "purchases": "Purchases",
    }
    assert [form["name"] for form in found["shelf"]["methods"]] == ["shelf.put", "shelf.take", "shelf.left"]
    assert [form["plain"] for form in found["shelf"]["methods"]] == ["put", "take", "left"]
    assert found["shelf"]["methods"][0]["signature"].startswith("put(name: ")
    assert sorted(found["purchases"]["uses"]) == ["points", "shelf"]
    assert found["points"]["uses"] == []


def test_many_services_are_told_of_in_a_bounded_number_of_forms() -> None:
    def nothing(self: object) -> None:
        """Do nothing."""

    methods = {f"m{number}": bankrmi.update(nothing) for number in range(METHODS_AT_MOST)}
    many = described(type("Many", (bankrmi.Service,), methods))
    services = ServedServices(many, {f"s{number}": many for number in range(31)}, home_name="s")
    found = forms_of(services)
    assert len(found) == 32
    assert all(one["methods"] for one in found)
    assert sum(len(one["methods"]) for one in found) <= METHODS_IN_ALL


def test_a_field_is_of_the_kind_that_its_annotation_says() -> None:
    fields = {field["name"]: field for field in form_of("everything")["fields"]}
    assert {name: field["kind"] for name, field in fields.items()} == {
        "number": "int",
        "part": "float",
        "flag": "bool",
        "size": "choice",
        "place": "value",
        "raw": "bytes",
        "more": "value",
        "named": "value",
    }
    assert [name for name, field in fields.items() if field["nullable"]] == ["number"]
    assert fields["size"]["options"] == ['"s"', '"m"']
    assert fields["raw"]["value"] == "x"
    assert '"shelf": ' in fields["place"]["value"], "an example of what is wanted"
    assert form_of("put")["fields"][1]["value"] == "1"


def test_what_is_written_becomes_what_the_annotation_says() -> None:
    written = {
        "number": "9007199254740993",
        "part": "1.5",
        "flag": "true",
        "size": '"m"',
        "place": '{"shelf": "low", "marks": ["é"]}',
        "raw": "é",
        "more": "[1, 2]",
        "named": '{"a": null}',
    }
    args, kwargs = read("everything", **written)
    assert args == [(1 << 53) + 1, 1.5, True, "m", {"shelf": "low", "marks": ["é"]}, "é".encode(), 1, 2]
    assert kwargs == {"a": None}
    args, _ = read("everything", **{**written, "number": None})
    assert args[0] is None
    assert DESCRIPTION.methods["everything"].bound(args, kwargs)
    assert read("put", name="apple") == (["apple"], {})


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("put", {"count": "3x"}, "count: '3x' is no whole number"),
        ("put", {"count": ""}, "count: '' is no whole number"),
        ("put", {"nobody": "1"}, "put has no argument nobody"),
        ("put", {"name": 1}, "what is written for name is a text, or null"),
        ("everything", {"flag": "yes"}, "flag: 'yes' is no truth value"),
        ("everything", {"place": "{"}, "place: '{' is no value"),
        ("everything", {"more": "1"}, "everything takes a list for more"),
        ("everything", {"named": "[]"}, "everything takes an object with names for named"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(name: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said.replace("(", r"\(").replace("{", r"\{")):
        read_form(DESCRIPTION.methods[name], given)


class _Default:
    """Nothing that a field could show."""

    def __repr__(self) -> str:
        raise RuntimeError("not even so")


_NOTHING = _Default()


class Strange(bankrmi.Service):
    """What an author may write as well."""

    @bankrmi.update
    def strange(self, given: Any = _NOTHING, maybe: bool | None = None, one: Literal[1, None] = 1) -> None:
        """\x1b[31mRed\u202e."""


def test_what_an_author_has_written_is_made_visible_and_what_cannot_be_shown_keeps_its_default() -> None:
    [form] = forms(described(Strange))
    assert [field["name"] for field in form["fields"]] == ["maybe", "one"]
    assert [field["options"] for field in form["fields"]] == [["true", "false", "null"], ["1", "null"]]
    assert [field["value"] for field in form["fields"]] == ["null", "1"]
    assert form["about"] == "\\u001b[31mRed\\u202e."
    assert form["signature"] == "strange(…)"
    assert read_form(described(Strange).methods["strange"], {"maybe": "null", "one": "null"}) == (
        [],
        {"maybe": None, "one": None},
    )


def test_forms_have_a_bound() -> None:
    methods = {f"m{number}": bankrmi.query(lambda self: None) for number in range(METHODS_AT_MOST + 1)}
    assert len(forms(described(type("Many", (bankrmi.Service,), methods)))) == METHODS_AT_MOST
