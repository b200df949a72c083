"""Each judge, by itself: nothing is said of a bank that is well, and one spoilt fact is one finding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bankrmi.doctor import Weight, judge
from bankrmi.doctor.facts import Facts, Looked, MemberState, OwnMachine
from bankrmi.server.agreement import GOES_BY_VIEW, stated
from tests.doctor.known import (
    APART,
    VERSIONS,
    clock,
    configured,
    well,
    with_away,
    with_denied,
    with_told,
)

EVERYBODY = ("s1", "s2", "nameserver", "witness")


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    return well(configured(tmp_path))


def the_finding(facts: Facts) -> tuple[str, str, str, str]:
    """Return kind, weight, about and sentence of the only one."""
    [one] = judge(facts)
    assert one.remedy
    return one.kind, one.weight.value, one.about, one.says


def test_of_a_bank_that_is_well_nothing_is_said(facts: Facts) -> None:
    assert judge(facts) == []


# -- the configuration -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        (
            APART.replace("10.0.0.10:9090", "127.0.0.1:9090"),
            "loopback",
            "nameserver at 127.0.0.1:9090, witness at 127.0.0.1:9090: every machine would look for it on",
        ),
        (
            APART.partition("certificates")[0],
            "open-to-strangers",
            "10.0.0.11:9101, 10.0.0.12:9101 can be reached",
        ),
        (
            APART + "refused_means_gone: false\n",
            "refused-means-gone",
            "a crash is noticed after lease_ms (1000)",
        ),
    ],
)
def test_what_is_wrong_with_the_file_by_itself(tmp_path: Path, text: str, kind: str, says: str) -> None:
    found = [one for one in judge(well(configured(tmp_path, text))) if one.kind == kind]
    assert [one.about for one in found] == ["configuration"]
    assert says in found[0].says


def test_a_file_that_is_behind_the_bank_is_told_and_the_bank_is_judged_by_its_own_servers(
    tmp_path: Path,
) -> None:
    """V12: s3 came and s2 went; what is said of s3, and nothing of s2."""
    file = configured(tmp_path)
    bank = well(configured(tmp_path, APART.replace("s2: 10.0.0.12", "s3: 10.0.0.13")))
    settings = {**stated(bank.configuration), GOES_BY_VIEW: True}
    for name in ("s1", "s3"):
        bank = with_told(bank, name, settings=settings)
    kind, weight, about, says = the_finding(replace(bank, configuration=file))
    assert (kind, weight, about) == ("servers", "to do", "configuration")
    assert says.endswith(
        "config.yaml names s1 at 10.0.0.11:9101, s2 at 10.0.0.12:9101; "
        "the servers of the bank are s1 at 10.0.0.11:9101, s3 at 10.0.0.13:9101"
    )
    of_new_file = with_told(bank, "s3", settings=stated(bank.configuration))
    assert [one.kind for one in judge(replace(of_new_file, configuration=file))] == ["servers"], (
        "not settings"
    )
    ends = {"days_left": 3.0, "hosts": ["10.0.0.13"], "problems": []}
    machine = "machine of nameserver"
    spoilt = with_told(bank, "s3", settings=settings, certificate=ends, machine=machine)
    found = judge(replace(spoilt, configuration=file))
    assert {one.kind for one in found} == {"servers", "certificate-days", "witness-place"}
    older = {**bank.told["nameserver"].settings, "servers": dict(file.servers)}
    assert judge(with_told(bank, "nameserver", settings=older)) == [], "it goes by the view"


def test_one_server_is_one_copy(tmp_path: Path) -> None:
    text = APART.replace("  s2: 10.0.0.12:9101\n", "")
    assert the_finding(well(configured(tmp_path, text)))[0] == "copies"


def test_a_server_that_runs_with_other_settings(facts: Facts) -> None:
    settings = dict(facts.told["s2"].settings) | {"lease_ms": 2000}
    kind, weight, about, says = the_finding(with_told(facts, "s2", settings=settings))
    assert (kind, weight, about) == ("settings", "to do", "s2")
    assert "lease_ms is 1000 in" in says
    assert "and 2000 in what s2 runs with: the primary's counts" in says


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"service": "loans"}, "service is account in"),
        ({"servers": {"s1": "10.0.0.11:9101"}}, "and not there in what nameserver runs with"),
        ({"witness": "etcd at https://x:1"}, "and etcd at https://x:1 in what nameserver runs with"),
        ({"servers": "\x1b[31m"}, "and not there in"),
    ],
)
def test_a_name_server_that_runs_with_another_file(facts: Facts, changed: dict[str, Any], says: str) -> None:
    settings = dict(facts.told["nameserver"].settings) | changed
    found = judge(with_told(facts, "nameserver", settings=settings))
    assert {(one.kind, one.about) for one in found} == {("settings", "nameserver")}
    assert any(says in one.says for one in found)


def test_a_server_that_was_started_to_listen_elsewhere(facts: Facts) -> None:
    kind, _, about, says = the_finding(with_told(facts, "s1", listens_at=["192.168.1.5:9101"]))
    assert (kind, about) == ("listening", "s1")
    assert "which would pass for its death" in says
    assert judge(with_told(facts, "s1", listens_at=["0.0.0.0:9101"])) == []


# -- the processes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["s2", "nameserver", "witness"])
def test_whoever_does_not_answer(facts: Facts, who: str) -> None:
    spoilt = with_away(facts, who)
    found = judge(replace(spoilt, names=None))
    assert [(one.kind, one.about) for one in found] == [("away", who)]
    assert "does not answer: nobody listens there" in found[0].says


@pytest.mark.parametrize(
    ("own", "weight", "says"),
    [
        ({"is_idle": True, "is_new": True}, "note", "only the file and this machine"),
        ({"is_idle": True}, "to do", "only the file and this machine"),
        ({"is_idle": False}, "to do", "though one runs on this machine"),
    ],
)
def test_a_bank_of_which_nothing_runs_is_a_fault_once_it_was_started(
    facts: Facts, own: dict[str, Any], weight: str, says: str
) -> None:
    """Or if it is to run elsewhere: there is nothing to be seen from here."""
    for name in EVERYBODY:
        facts = with_away(facts, name)
    found = the_finding(replace(facts, names=None, own_machine=OwnMachine(versions=VERSIONS, **own)))
    assert found[:2] == ("nothing-runs", weight)
    assert says in found[3]


@pytest.mark.parametrize("as_client", [False, True])
def test_a_bank_that_is_there_and_lets_us_not_in_is_not_taken_for_dead(facts: Facts, as_client: bool) -> None:
    denied = replace(with_denied(facts, *EVERYBODY), names=None)
    if as_client:
        denied = replace(denied, looked=dict.fromkeys(facts.looked, Looked(is_denied=True)))
    kind, weight, about, says = the_finding(denied)
    assert (kind, weight, about) == ("denied", "to do", "s1, s2, nameserver, witness")
    assert says.endswith("somebody is there, and no handshake: it denied the connection: revoked")
    [one] = judge(denied)
    assert "of this bank's authority" in one.remedy
    [plain] = [
        one
        for one in judge(
            replace(denied, configuration=facts.configuration.model_copy(update={"certificates": None}))
        )
        if one.kind == "denied"
    ]
    assert "write the section certificates" in plain.remedy


def test_one_that_lets_us_not_in_where_others_do_is_looked_at_itself(facts: Facts) -> None:
    [one] = judge(with_denied(facts, "s2", why="no TLS with it: certificate has expired"))
    assert (one.kind, one.about) == ("denied", "s2")
    assert "look at its certificate" in one.remedy


def test_where_nobody_could_be_asked_that_is_said_and_nothing_else(facts: Facts) -> None:
    asked = Facts(
        configuration=facts.configuration, own_machine=facts.own_machine, why_not_asked="no certificate"
    )
    kind, weight, _, says = the_finding(asked)
    assert (kind, weight) == ("not-asked", "to do")
    assert "no certificate" in says
    assert the_finding(replace(asked, is_for_servers=True))[:2] == ("not-asked", "note")


def test_a_file_from_before_a_move_of_the_view_is_told_and_nobody_is_to_be_restarted(facts: Facts) -> None:
    moved = with_away(facts, "witness", "the view was moved to 07cd, and is not kept here any more")
    moved = replace(moved, looked=facts.looked)
    for name in ("s1", "s2", "nameserver"):
        moved = with_told(
            moved, name, settings=facts.told[name].settings | {"witness": "etcd at https://x:1"}
        )
    kind, weight, about, says = the_finding(moved)
    assert (kind, weight, about) == ("keeper", "to do", "configuration")
    assert "config.yaml is from before a move: the view was moved to 07cd" in says


def test_a_file_that_names_a_keeper_which_the_servers_do_not_run_with_is_told_as_that(facts: Facts) -> None:
    """And not as a witness that has lost its memory; a difference of that key is told once."""
    reason = "the witness at x:1 holds no view, and s1 runs with another keeper (y:1)"
    other = replace(with_away(facts, "witness", reason), looked=facts.looked)
    other.status["witness"]["elsewhere"] = True
    for name in ("s1", "s2"):
        other = with_told(other, name, settings=facts.told[name].settings | {"witness": "y:1"})
    kind, weight, about, says = the_finding(other)
    assert (kind, weight, about) == ("keeper", "to do", "configuration")
    assert f"config.yaml names another keeper of the view than the servers run with: {reason}" in says


def test_a_client_is_told_what_it_is_not_told(facts: Facts) -> None:
    """And the witness, which tells clients nothing, is not taken for dead."""
    status = dict(facts.status) | {"witness": facts.status["witness"] | {"denied": "for operators only"}}
    denied = replace(facts, status=status, looked=dict.fromkeys(facts.looked, Looked(is_denied=True)))
    kind, weight, about, says = the_finding(replace(denied, why_client="operator-olga.pem is revoked"))
    assert (kind, weight, about) == ("not-told", "note", "nameserver, s1, s2")
    assert "operator-olga.pem is revoked" in says
    dead = with_away(replace(denied, status=facts.status), "witness")
    assert "away" in {one.kind for one in judge(dead)}, "one that is dead is told all the same"


def test_a_client_hears_of_certificates_that_end_what_the_status_tells(facts: Facts) -> None:
    status = dict(facts.status)
    status["servers"] = [one | {"certificate_days": 3} for one in facts.status["servers"]]
    found = judge(replace(facts, status=status, looked=dict.fromkeys(facts.looked, Looked(is_denied=True))))
    assert [(one.kind, one.about) for one in found if one.weight is Weight.TO_DO] == [
        ("certificate-days", "s1"),
        ("certificate-days", "s2"),
    ]


def test_a_process_that_answers_and_tells_nothing(facts: Facts) -> None:
    silent = replace(facts, looked={**facts.looked, "s1": Looked(why_not="unknown object")})
    kind, _, about, says = the_finding(silent)
    assert (kind, about) == ("not-told", "s1")
    assert "unknown object" in says


def test_a_server_that_is_not_in_sync(facts: Facts) -> None:
    status = dict(facts.status) | {"view": facts.status["view"] | {"in_sync": ["s1"]}}
    status["servers"] = [
        one | {"why": "catching up with s1"} if one["server"] == "s2" else one
        for one in facts.status["servers"]
    ]
    assert facts.names is not None
    s1, s2 = facts.names
    joining = replace(s2, tags=frozenset({"role:joining"}))
    kind, weight, about, says = the_finding(replace(facts, status=status, names=(s1, joining)))
    assert (kind, weight, about) == ("not-in-sync", "to do", "s2")
    assert "catching up with s1" in says


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"s1": {"class_version": 1}, "s2": {"class_version": 2}}, "the class that is served is of version"),
        (
            {
                name: {
                    "class_version": 3,
                    "services": {"stock": {"class_version": 3}, "orders": {"class_version": orders}},
                }
                for name, orders in (("s1", 1), ("s2", 2))
            },
            "the class that is served as orders is of version",
        ),
    ],
)
def test_a_class_that_is_not_of_one_version(facts: Facts, told: dict[str, Any], says: str) -> None:
    for one in facts.status["servers"]:
        one.update(told[one["server"]])
    assert the_finding(facts) == ("class-version", "to do", "all servers", f"{says} 1 on s1, 2 on s2")


@pytest.mark.parametrize("services", [7, [], {"a": 1, "b": None}, {"a": {"class_version": "1"}, "b": {}}])
def test_what_a_server_says_of_its_services_and_is_nothing_of_the_kind(facts: Facts, services: Any) -> None:
    facts.status["servers"][0]["services"] = services
    assert judge(facts) == []


def test_a_server_that_is_refused_for_its_settings_is_one_finding(facts: Facts) -> None:
    """That it is not heard, not in sync and has no name follows from that."""
    settings = dict(facts.told["s2"].settings) | {"service": "loans"}
    spoilt = with_told(facts, "s2", settings=settings, round_trips_ms={"s1": None})
    spoilt = with_told(spoilt, "s1", round_trips_ms={"s2": None})
    status = dict(facts.status) | {"view": facts.status["view"] | {"in_sync": ["s1"]}}
    assert facts.names is not None
    found = the_finding(replace(spoilt, status=status, names=facts.names[:1]))
    assert found[:3] == ("settings", "to do", "s2")


def test_a_primary_that_waits(facts: Facts) -> None:
    status = dict(facts.status)
    status["servers"] = [one | {"acknowledges": one["server"] != "s1"} for one in facts.status["servers"]]
    assert the_finding(replace(facts, status=status))[:3] == ("waiting", "to do", "s1")


@pytest.mark.parametrize(
    ("epoch", "why", "kind", "about"),
    [
        (7, None, ["witness-memory"], ["witness"]),
        (0, "waiting for s9", ["not-begun", "not-begun"], ["s1", "s2"]),
    ],
)
def test_a_bank_without_a_view(
    facts: Facts, epoch: int, why: str | None, kind: list[str], about: list[str]
) -> None:
    status = dict(facts.status) | {"view": None}
    status["servers"] = [one | {"epoch": epoch, "why": why} for one in facts.status["servers"]]
    found = judge(replace(facts, status=status))
    assert ([one.kind for one in found], [one.about for one in found]) == (kind, about)
    status["witness"] = {"reachable": False, "silent": False, "reason": "refused"}
    assert [one.kind for one in judge(replace(facts, status=status))] == ["away"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda names: names[:1], "the name server does not know s2"),
        (
            lambda names: (names[0], replace(names[1], address="10.0.0.99:9101")),
            "the name server has s2 at 10.0.0.99:9101, and it lives at 10.0.0.12:9101",
        ),
        (
            lambda names: (names[0], replace(names[1], tags=frozenset({"role:primary"}))),
            "the view says that s2 is standby, and the name server says primary",
        ),
        (
            lambda names: (names[0], replace(names[1], tags=frozenset())),
            "and the name server says no role",
        ),
    ],
)
def test_names_that_do_not_fit_the_view(
    facts: Facts, change: Callable[[tuple[Any, ...]], tuple[Any, ...]], says: str
) -> None:
    assert facts.names is not None
    kind, _, about, said = the_finding(replace(facts, names=change(facts.names)))
    assert (kind, about) == ("names", "s2")
    assert says in said


@pytest.mark.parametrize(
    ("what", "weight"), [("bankrmi", "to do"), ("protocol", "to do"), ("python", "note"), ("sqlite", "note")]
)
def test_versions_that_differ(facts: Facts, what: str, weight: str) -> None:
    found = the_finding(with_told(facts, "s2", versions=VERSIONS | {what: "0.9"}))
    assert found[:3] == ("versions", weight, "all machines")
    assert "0.9 on s2" in found[3]


def test_two_servers_on_one_machine(facts: Facts) -> None:
    found = the_finding(with_told(facts, "s2", machine="machine of s1"))
    assert found[:3] == ("one-machine", "to do", "s1, s2")


def test_a_witness_beside_a_server(facts: Facts) -> None:
    found = the_finding(with_told(facts, "nameserver", machine="machine of s1"))
    assert found[:3] == ("witness-place", "to do", "s1")


def test_a_bank_that_is_meant_for_one_machine_is_only_told_so(tmp_path: Path) -> None:
    text = "nameserver: 127.0.0.1:1\nservers: {s1: 127.0.0.1:2, s2: 127.0.0.1:3}\n"
    facts = well(configured(tmp_path, text))
    for name in facts.looked:
        facts = with_told(facts, name, machine="the one")
    found = the_finding(facts)
    assert found[:3] == ("one-machine", "note", "nameserver, s1, s2")


def test_members_of_etcd(tmp_path: Path) -> None:
    keeper = "witness: {etcd: [http://10.0.0.1:2379, http://10.0.0.2:2379, http://10.0.0.3:2379]}\n"
    facts = well(configured(tmp_path, APART + keeper))
    urls = [f"http://10.0.0.{number}:2379" for number in (1, 2, 3)]
    members = tuple(MemberState(url=url, reason=None) for url in urls)
    assert judge(replace(facts, members=members)) == []
    silent = (*members[:2], MemberState(url=urls[2], reason="refused"))
    assert the_finding(replace(facts, members=silent))[:3] == ("etcd", "to do", urls[2])
    assert the_finding(replace(facts, members=members[:2]))[:2] == ("etcd", "note")
    gone = tuple(MemberState(url=url, reason=f"{url}: no leader") for url in urls)
    away, *each = judge(replace(with_away(facts, "witness"), members=gone))
    assert (away.kind, away.about) == ("away", "etcd")
    assert away.says.startswith("etcd does not answer: none of its 3 members says what the view is; nobody")
    assert "until 2 of them run" in away.remedy
    assert [(one.about, one.says.partition(": ")[2]) for one in each] == [(url, "no leader") for url in urls]
    unasked = with_away(facts, "witness", "ca.pem is missing")
    assert the_finding(unasked)[3].startswith("etcd does not answer: ca.pem is missing; nobody")


# -- machines ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("free", "weight"), [(100 << 20, "to do"), (1 << 30, "note"), (None, "")])
def test_a_disk_that_is_nearly_full(facts: Facts, free: int | None, weight: str) -> None:
    spoilt = with_told(facts, "s1", free_bytes=free)
    if not weight:
        assert judge(spoilt) == []
        return
    found = the_finding(spoilt)
    assert found[:3] == ("disk-space", weight, "s1")
    assert "/var/lib/bank/s1" in found[3]


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        ([0, 0, 100, 100, 0], "up to 100 ms"),
        ([0, 0, 0, 10, 90], "up to longer than is counted"),
        ([990, 0, 0, 10, 0], "a sync took over checkpoint_timeout_ms (500 ms)"),
        ([10, 0, 0, 0, 0], ""),
        ([0, 0, 0, 0, 19], ""),  # Too few to say anything.
        ([0, 0, 0, 0, 0], ""),
        ([99_999, 0, 0, 0, 1], ""),  # Once, long ago.
    ],
)
def test_a_slow_disk(facts: Facts, counts: list[int], says: str) -> None:
    spoilt = with_told(facts, "s1", syncs={"bounds_s": [0.001, 0.01, 0.1, 1.0], "counts": counts})
    if not says:
        assert judge(spoilt) == []
        return
    found = the_finding(spoilt)
    assert found[:3] == ("slow-disk", "to do", "s1")
    assert says in found[3]


def with_clock(facts: Facts, name: str, **more: float) -> Facts:
    return replace(facts, looked={**facts.looked, name: replace(facts.looked[name], clock=clock(**more))})


def test_clocks_that_drift_apart(facts: Facts) -> None:
    """20 ms in a lease of 1000 are assumed: one in fifty."""
    assert judge(with_clock(facts, "s2", rate=0.019)) == []
    found = the_finding(with_clock(facts, "s2", rate=-0.021))
    assert found[:3] == ("clock-rate", "to do", "s1, s2")
    assert "drift apart by 21 ms in a lease" in found[3]


def test_an_error_of_measurement_is_no_drift_but_is_told(facts: Facts) -> None:
    found = the_finding(with_clock(facts, "s2", rate=0.03, rate_within=0.03))
    assert found[:2] == ("clock-rate", "note")


def test_the_clock_of_the_name_server_grants_no_leases(facts: Facts) -> None:
    assert judge(with_clock(facts, "nameserver", rate=0.5)) == []


def test_the_time_of_day_may_differ_and_is_told(facts: Facts) -> None:
    found = judge(with_clock(facts, "s2", wall_ahead_s=-90.0))
    assert {one.kind for one in found} == {"wall-clock"}
    assert {one.weight for one in found} == {Weight.NOTE}
    assert "90 s ahead on s1" in " ".join(one.says for one in found)
    assert judge(with_clock(facts, "s2", wall_ahead_s=5.0, wall_within_s=5.0)) == []


@pytest.mark.parametrize(
    ("more", "weight", "says"),
    [
        ({"round_trips_ms": {"s2": 60.0}}, "note", "the way from s1 to s2 and back takes 60 ms"),
        ({"round_trips_ms": {"s2": 300.0}}, "to do", "takes 300 ms, and checkpoint_timeout_ms is 500"),
        ({"keeper_ms": 300.0}, "to do", "the way from s1 to the keeper of the view and back"),
        ({"round_trips_ms": {"s2": None}}, "to do", "s1 does not hear s2, which answers from here"),
    ],
)
def test_a_long_way(facts: Facts, more: dict[str, Any], weight: str, says: str) -> None:
    found = the_finding(with_told(facts, "s1", **more))
    assert found[:3] == ("round-trip", weight, "s1")
    assert says in found[3]


def test_whoever_is_away_is_not_heard_either_and_that_is_one_finding(facts: Facts) -> None:
    spoilt = with_away(with_told(facts, "s1", round_trips_ms={"s2": None}), "s2")
    assert [(one.kind, one.about) for one in judge(spoilt)] == [("away", "s2")]


# -- certificates ------------------------------------------------------------------------------------------


def certificate(**more: Any) -> dict[str, Any]:
    return {"certificate": {"days_left": 200.0, "hosts": ["10.0.0.11"], "problems": [], **more}}


@pytest.mark.parametrize(
    ("more", "kind", "weight", "says"),
    [
        (certificate(days_left=12.9), "certificate-days", "to do", "ends in 12 days"),
        (certificate(days_left=1.9), "certificate-days", "to do", "or its authority's, ends in 1 day"),
        (certificate(days_left=0.9), "certificate-days", "to do", "ends within a day"),
        (certificate(days_left=-0.1), "certificate-days", "to do", "has ended"),
        (
            certificate(problems=["chmod 600 x"]),
            "certificate-files",
            "to do",
            "would not be found now: chmod",
        ),
        (
            certificate(hosts=["10.0.0.99"]),
            "certificate-hosts",
            "note",
            "is for 10.0.0.99, and it is found at",
        ),
        (certificate(hosts=[]), "certificate-hosts", "note", "is for no address"),
    ],
)
def test_certificates(facts: Facts, more: dict[str, Any], kind: str, weight: str, says: str) -> None:
    found = the_finding(with_told(facts, "s1", **more))
    assert found[:3] == (kind, weight, "s1")
    assert says in found[3]


@pytest.mark.parametrize(
    ("ends_first", "says", "remedy"),
    [
        ("server-s1", "the certificate of s1 ends in 9 days", "`bankrmi cert renew server-s1` where"),
        ("ca", "the bank's authority, as s1 has it, ends in 9 days", "`bankrmi cert renew ca` where"),
        (None, "the certificate of s1, or its authority's, ends in 9 days", "(of the authority: `bankrmi"),
        ("rm -r /", "the certificate of s1 ends in 9 days", "`bankrmi cert renew server-s1` where"),
    ],
)
def test_what_ends_is_what_is_to_be_renewed(
    facts: Facts, ends_first: str | None, says: str, remedy: str
) -> None:
    """A server's own certificate cannot be renewed beyond the end of the authority."""
    [one] = judge(with_told(facts, "s1", **certificate(days_left=9.5, ends_first=ends_first)))
    assert one.says == says
    assert remedy in one.remedy


# -- this machine ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"unresolved": ("s9.example",)}, "host-names"),
        ({"ports": ("127.0.0.1:1: taken by process 7",)}, "ports"),
        ({"writing": "nothing can be written in /x: Read-only file system"}, "data-directory"),
        ({"files": ("ledger.csv line 3: …",)}, "files"),
        ({"free_bytes": 1 << 20, "folder": "/x"}, "disk-space"),
        ({"sync_s": (0.2, 0.3, 0.2)}, "slow-disk"),
        ({"sync_s": (0.001, 0.001, 0.7)}, "slow-disk"),
    ],
)
def test_what_would_keep_a_bank_from_starting_here(facts: Facts, more: dict[str, Any], kind: str) -> None:
    found = the_finding(replace(facts, own_machine=OwnMachine(versions=VERSIONS, is_idle=True, **more)))
    assert found[:3] == (kind, "to do", "this machine")


def test_what_should_be_done_comes_first(facts: Facts) -> None:
    spoilt = with_told(facts, "s1", free_bytes=1 << 30, machine="machine of s2")
    assert [one.weight for one in judge(spoilt)] == [Weight.TO_DO, Weight.NOTE]


def test_what_others_say_is_foreign(facts: Facts) -> None:
    hostile = "\x1b[2J\nfalse line"
    spoilt = with_told(
        facts,
        "s1",
        versions={"python": hostile},
        folder=hostile,
        free_bytes=1,
        listens_at=[hostile],
        certificate={"days_left": 1.0, "hosts": [hostile], "problems": [hostile]},
        round_trips_ms={hostile: 400.0},
        settings={"format": hostile},
    )
    spoilt = replace(spoilt, own_machine=OwnMachine(versions=VERSIONS, is_idle=True, ports=(hostile,)))
    for one in judge(spoilt):
        assert one.says.isprintable(), one
        assert one.remedy.isprintable()
