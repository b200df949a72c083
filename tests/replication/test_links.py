"""What is spoken with the servers that are linked, and whether that is enough for what is new."""

from __future__ import annotations

from bankrmi.protocol_versions import NEWEST
from bankrmi.replication.events import LinkChanged
from bankrmi.replication.links import LinkTable
from bankrmi.replication.settings import Settings


def linked(**protocols: int) -> LinkTable:
    table = LinkTable(Settings(server="s1", servers=("s1", "s2", "s3")))
    for server, protocol in protocols.items():
        table.up(LinkChanged(server=server, up=True, start_id="x", protocol=protocol), "x")
    return table


def test_the_lowest_version_counts_as_long_as_its_server_is_linked() -> None:
    table = linked(s2=5, s3=2)
    assert table.lowest_protocol == 2
    table.up(LinkChanged(server="s3", up=True, start_id="y", protocol=4), "y")
    assert table.lowest_protocol == 4
    table.down("s3")
    assert table.lowest_protocol == 5
    assert linked().lowest_protocol == NEWEST


def test_what_is_new_has_to_be_understood_by_all_others_and_who_is_away_may_not_understand_it() -> None:
    table = linked(s2=2, s3=1)
    assert table.why_not_yet(1, ["s2", "s3"]) == ""
    assert table.why_not_yet(2, ["s2"]) == ""
    assert table.why_not_yet(2, ["s3", "s2"]) == (
        "s3 speaks bankrmi protocol 1, this needs 2: upgrade it first"
    )
    table.down("s3")
    assert table.why_not_yet(1, ["s2", "s3"]).startswith("s3 is not connected")
    assert table.why_not_yet(2, []) == ""


def test_what_a_server_stated_counts_as_no_more_than_there_are_servers_now() -> None:
    """V12: the view may name fewer than the file, or more, after the connection is up."""
    table = LinkTable(Settings(server="s1", servers=("s1", "s2", "s3")))
    table.up(LinkChanged(server="s2", up=True, start_id="x", copies_min=4), "x")
    seen = [table.copies_min]
    for table.most_copies in (2, 5):
        seen.append(table.copies_min)
    assert seen == [3, 2, 4]
