"""What servers say to each other does not change by accident: each version of the protocol is recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgpack
import pytest

from bankrmi import protocol_versions
from bankrmi.protocol_versions import NEWEST, OLDEST
from bankrmi.replication import forms, view
from bankrmi.replication.fields import AddedField, CannotBeSaid
from bankrmi.replication.forms import FIELDS
from bankrmi.replication.messages import Holdings, JoinRequest, ViewNews
from bankrmi.replication.view import View
from bankrmi.server.wire import METHODS, answer_from_wire, answer_to_wire, message_from_wire, message_to_wire
from bankrmi.storage.tables import FORMAT, FORMATS_READ, NEWEST_FORMAT
from tests.replication.test_messages import ANSWER_KINDS, EXAMPLES
from tests.replication.wire_forms import FULL_VIEW, at, file_of, from_plain, of_newest, of_version, recorded

CHANGED = (
    "what processes say to each other changed. A version that was released never changes: either put back "
    "what it was, or raise NEWEST in bankrmi/protocol_versions.py, name what is new in ADDED, and record the "
    "new version (python -m tests.replication.wire_forms); see docs/releasing.md"
)
VERSIONS = range(OLDEST, NEWEST + 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_is_what_was_recorded_of_it(version: int) -> None:
    told = recorded(version)
    told.pop("methods")
    assert of_version(version) == told, CHANGED
    assert not file_of(NEWEST + 1).exists(), "NEWEST is not the newest that was recorded"


def test_the_methods_are_those_of_the_newest_version_and_none_of_an_older_one_is_gone() -> None:
    assert of_newest() == recorded(NEWEST)["methods"], CHANGED
    for version in VERSIONS:
        for name, methods in recorded(version)["methods"].items():
            assert set(methods) <= set(of_newest()[name]), f"version {version} calls what is gone: {CHANGED}"


def test_every_version_says_which_databases_it_reads() -> None:
    """The newest one those that are written now: else copies, or a downgrade, would fail unexplained."""
    assert sorted(FORMATS_READ) == list(VERSIONS)
    assert FORMATS_READ[NEWEST] == NEWEST_FORMAT > FORMAT
    assert sorted(FORMATS_READ.values()) == [FORMATS_READ[version] for version in VERSIONS]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_recorded_can_be_read(version: int) -> None:
    told = recorded(version)
    for kind in FIELDS:
        form = from_plain(told["messages"][kind.__name__]["example"])
        method = METHODS.get(kind, "fence")
        if kind in ANSWER_KINDS:
            assert answer_from_wire(form, version) == at(version, EXAMPLES[kind]), CHANGED
        else:
            assert message_from_wire(method, form, version) == at(version, EXAMPLES[kind]), CHANGED
    read = View.from_wire(from_plain(told["view"]))
    wanted = at(version, FULL_VIEW)
    assert (read, read.cause, read.written_us) == (wanted, wanted.cause, wanted.written_us), CHANGED


# -- what is added ---------------------------------------------------------------------------------------

LATER = NEWEST + 1


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that knows `number` of a join request and `may_have_moved_on`, and that a view is forced."""
    monkeypatch.setattr(protocol_versions, "NEWEST", LATER)
    monkeypatch.setattr(forms, "_KNOWN", {})
    monkeypatch.setitem(forms.ADDED, JoinRequest, {"number": AddedField(since=LATER, before=0)})
    monkeypatch.setitem(forms.ADDED, Holdings, {"may_have_moved_on": AddedField(since=LATER, before=True)})
    monkeypatch.setitem(view.ADDED, "forced", AddedField(since=LATER, before=False))


def across(form: Any) -> Any:
    return msgpack.unpackb(msgpack.packb(form))


@pytest.mark.usefixtures("later")
def test_an_added_field_is_spoken_where_it_is_known_and_means_what_was_before_elsewhere() -> None:
    asks: JoinRequest = EXAMPLES[JoinRequest]
    for version, length in ((LATER, len(FIELDS[JoinRequest])), (NEWEST, len(FIELDS[JoinRequest]) - 1)):
        said = asks if version == LATER else replace(asks, number=0)
        form = across(message_to_wire(said, version))
        assert len(form) == length
        assert message_from_wire("join", form, version) == said
        with pytest.raises(ValueError, match="upgrade the older server"):
            message_from_wire("join", form, LATER + NEWEST - version)
    holds = replace(EXAMPLES[Holdings], may_have_moved_on=True)
    form = across(answer_to_wire(holds, NEWEST))
    assert "may_have_moved_on" not in form
    assert answer_from_wire(form, NEWEST) == holds
    with pytest.raises(ValueError, match="upgrade"):
        answer_from_wire(form, LATER)


@pytest.mark.usefixtures("later")
def test_what_an_older_side_could_not_read_is_not_said_rather_than_said_by_half() -> None:
    """Left out, it would be taken for what it was before."""
    with pytest.raises(CannotBeSaid, match=rf"^number cannot be said in .* {NEWEST}, it needs {LATER}"):
        message_to_wire(EXAMPLES[JoinRequest], NEWEST)
    with pytest.raises(CannotBeSaid, match="may_have_moved_on cannot be said"):
        answer_to_wire(EXAMPLES[Holdings], NEWEST)
    with pytest.raises(CannotBeSaid, match="this view cannot be said"):
        message_to_wire(ViewNews(view=FULL_VIEW), NEWEST)
    assert message_to_wire(ViewNews(view=replace(FULL_VIEW, forced=False)), NEWEST)


def test_a_view_says_what_it_needs_and_who_speaks_less_can_make_nothing_of_it(
    later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an older server that takes over would propose the next view without what it does not know."""
    simple = replace(FULL_VIEW, forced=False, paused=None, servers=None)
    needs, plain = FULL_VIEW.to_wire(), simple.to_wire()
    assert needs["needs_protocol"] == LATER
    assert "needs_protocol" not in plain
    assert View.from_wire(across(needs)) == FULL_VIEW
    monkeypatch.setattr(protocol_versions, "NEWEST", NEWEST)
    assert View.from_wire(across(plain)) == simple
    with pytest.raises(ValueError, match=rf"needs bankrmi protocol {LATER}, .* speaks up to {NEWEST}"):
        View.from_wire(across(needs))


@pytest.mark.usefixtures("later")
def test_a_view_without_an_added_field_has_what_was_before() -> None:
    form = {name: value for name, value in FULL_VIEW.to_wire().items() if name != "forced"}
    assert not View.from_wire(form).forced


@pytest.mark.parametrize("odd", [None, 0, -1, True, "2", [2], 1 << 40, 1 << 200, 1.5])
def test_odd_needs_are_no_view(odd: Any) -> None:
    with pytest.raises(ValueError, match="needs_protocol is not a version"):
        View.from_wire({**FULL_VIEW.to_wire(), "needs_protocol": odd})


def test_a_note_that_is_not_known_is_passed_over() -> None:
    """Notes decide nothing, so they need no version, and may be lost."""
    assert View.from_wire({**FULL_VIEW.to_wire(), "weather": "fine"}) == FULL_VIEW
