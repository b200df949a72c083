"""Does everybody answer, in the version and the place that he should, under the right name?  Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from bankrmi.config import one_endpoint
from bankrmi.config_settings import is_loopback
from bankrmi.doctor.configuration_judged import is_refused
from bankrmi.doctor.facts import Facts
from bankrmi.doctor.findings import DoctorFinding, note, to_do
from bankrmi.foreign_text import foreign
from bankrmi.rmi import NamedObject

__all__ = ["judge_processes"]

_CUT_AT = 60
_ACCOUNT = "bankrmi.account."
_SAME = ("bankrmi", "protocol")
"""What should be of one version everywhere, once an upgrade is over."""
_FEW_MEMBERS = 3


def judge_processes(facts: Facts) -> Iterator[DoctorFinding]:
    """Yield who does not answer, and what does not fit together."""
    if not facts.is_running:
        return
    yield from _denied(facts)
    yield from _away(facts)
    yield from _untold(facts)
    yield from _unreadable(facts)
    yield from _bank(facts)
    yield from _names(facts)
    yield from _versions(facts)
    yield from _class_versions(facts)
    yield from _places(facts)
    yield from _members(facts)


def _denied(facts: Facts) -> Iterator[DoctorFinding]:
    """Who is there, and does not let us in; or we do not take it for what it should be."""
    configuration = facts.configuration
    if facts.lets_us_in:
        remedy = (
            "others let us in, so look at its certificate: its log, and `bankrmi cert list` where ca.key is"
        )
    elif configuration.certificates is None:
        remedy = (
            f"write the section certificates into {configuration.path}, with the folder of ca.pem and yours"
        )
    else:
        remedy = (
            f"is {configuration.certificates.folder} of this bank's authority, and nothing in it revoked? "
            "`bankrmi cert list`, where ca.key is, says so; `bankrmi cert create-operator NAME` makes another"
        )
    for one in facts.status.get("denials", ()):
        who = ", ".join(one["who"])
        yield to_do(
            "denied", who, f"{who}: somebody is there, and no handshake: {foreign(one['why'], 300)}", remedy
        )


def _is_away(standing: Mapping[str, Any]) -> bool:
    return not standing["reachable"] and "denied" not in standing


def _away(facts: Facts) -> Iterator[DoctorFinding]:
    for server in facts.status["servers"]:
        if _is_away(server):
            name = server["server"]
            yield to_do(
                "away",
                name,
                f"{name} does not answer: {foreign(server['reason'], 200)}",
                f"on its machine: is `bankrmi server {name}` running, what does its log say, and is the way "
                "there open?",
            )
    if _is_away(facts.status["nameserver"]):
        yield to_do(
            "away",
            "nameserver",
            f"the name server does not answer: {foreign(facts.status['nameserver']['reason'], 200)}; clients "
            "use "
            "the addresses of their own files, and plain Pyro clients find nobody",
            "on its machine: is `bankrmi nameserver` running, and is the way there open?",
        )
    keeper = facts.status["witness"]
    if facts.was_moved:
        yield to_do(
            "keeper",
            "configuration",
            f"{facts.configuration.path} is from before a move: {foreign(keeper['reason'], 200)}",
            "look with the file that names the keeper of now, and have it on all machines; nothing has to be "
            "restarted",
        )
    elif facts.is_kept_elsewhere:
        yield to_do(
            "keeper",
            "configuration",
            f"{facts.configuration.path} names another keeper of the view than the servers run with: "
            f"{foreign(keeper['reason'], 300)}",
            "look with the file that they run with; if the view is to be kept where this one says: "
            f"`bankrmi --config THAT-FILE witness move --to {facts.configuration.path}`",
        )
    elif _is_away(keeper):
        yield _etcd_away(facts, keeper) if facts.configuration.etcd is not None else _witness_away(keeper)


def _witness_away(keeper: Mapping[str, Any]) -> DoctorFinding:
    return to_do(
        "away",
        "witness",
        f"the witness does not answer: {foreign(keeper['reason'], 200)}; nobody can take over until it does",
        "start it with its data; if that is lost, `bankrmi witness restore` after it has started",
    )


def _etcd_away(facts: Facts, keeper: Mapping[str, Any]) -> DoctorFinding:
    """A member that is there answers nothing either while most of the others are not."""
    if not facts.members:  # Nobody was asked: a file is missing that the way there needs.
        why, remedy = foreign(keeper["reason"], 200), "mend what is said here, and look again"
    else:
        most = len(facts.members) // 2 + 1
        why = f"none of its {len(facts.members)} members says what the view is"
        remedy = (
            f"start its members with their data, until {most} of them run and reach each other; only if the "
            "data of most is lost: a new etcd, and `bankrmi witness restore`"
        )
    return to_do("away", "etcd", f"etcd does not answer: {why}; nobody can take over until it does", remedy)


def _untold(facts: Facts) -> Iterator[DoctorFinding]:
    denied = [name for name, one in facts.looked.items() if one.is_denied]
    if denied and facts.lets_us_in:
        why = f" ({foreign(facts.why_client, 200)})" if facts.why_client else ""
        yield note(
            "not-told",
            ", ".join(denied),
            "versions, settings, clocks, disks and round trips are told to operators only, and so is the "
            f"view{why}",
            "look again with an operator's certificate (`bankrmi cert create-operator NAME`)",
        )


def _unreadable(facts: Facts) -> Iterator[DoctorFinding]:
    reachable = {one["server"] for one in facts.status["servers"] if one["reachable"]}
    if facts.status["nameserver"]["reachable"]:
        reachable.add("nameserver")
    for name, one in facts.looked.items():
        if one.facts is None and not one.is_denied and name in reachable:
            yield to_do(
                "not-told",
                name,
                f"{name} answers, and tells nothing of itself: {foreign(one.why_not, 200)}",
                f"if {name} is of an older version, upgrade it; else its log says more",
            )


def _bank(facts: Facts) -> Iterator[DoctorFinding]:
    view = facts.status["view"]
    reachable = {one["server"]: one for one in facts.status["servers"] if one["reachable"]}
    if view is None:
        yield from _no_view(facts, reachable)
        return
    primary = reachable.get(view["primary"])
    if primary is not None and primary.get("acknowledges") is False:
        yield to_do(
            "waiting",
            view["primary"],
            f"{view['primary']} leads, and can acknowledge nothing: it waits for copies that the view, or "
            "copies_min, wants",
            "start the servers that are away; `bankrmi why` says which ones are waited for",
        )
    for name in sorted(set(facts.addresses) - set(view["in_sync"])):
        if name in reachable and not is_refused(facts, name):
            why = foreign(reachable[name].get("why") or "it has just begun to join", 200)
            yield to_do(
                "not-in-sync",
                name,
                f"{name} is not in sync ({why}): it could not take over",
                f"wait, and look again; if it lasts, the log of {name} says what is in the way",
            )


def _no_view(facts: Facts, reachable: Mapping[str, Mapping[str, Any]]) -> Iterator[DoctorFinding]:
    if not facts.status["witness"]["reachable"]:
        return  # That nobody knows of a view says nothing then.
    if any(one.get("epoch") for one in reachable.values()):
        yield to_do(
            "witness-memory",
            "witness",
            "it holds no view, though the servers hold accounts: it has lost its memory, and nobody can take "
            "over",
            "`bankrmi witness restore`: it shows what each server holds, and asks before it does anything",
        )
        return
    for name, one in reachable.items():
        if one.get("why"):
            yield to_do(
                "not-begun",
                name,
                f"the bank has not begun yet; {name} says: {foreign(one['why'], 200)}",
                "start all servers of the file; one that is lost for good is left out by `server NAME "
                "--first`",
            )


def _names(facts: Facts) -> Iterator[DoctorFinding]:
    view = facts.status["view"]
    if facts.names is None or view is None:
        return
    known = {one.name: one for one in facts.names}
    for server in facts.status["servers"]:
        if server["reachable"] and not is_refused(facts, server["server"]):
            yield from _name_of(server, known.get(_ACCOUNT + server["server"]), view)


def _name_of(
    server: Mapping[str, Any], named: NamedObject | None, view: Mapping[str, Any]
) -> Iterator[DoctorFinding]:
    name = server["server"]
    restart = f"it registers again every few seconds; if this lasts, the log of {name} says why it is refused"
    if named is None:
        yield to_do(
            "names", name, f"the name server does not know {name}: plain Pyro clients do not find it", restart
        )
        return
    if not _same(named.address, server["address"]):
        yield to_do(
            "names",
            name,
            f"the name server has {name} at {foreign(named.address, _CUT_AT)}, and it lives at "
            f"{server['address']}",
            f"if this lasts, restart {name} with that address in its file",
        )
    wanted = "primary" if view["primary"] == name else "standby" if name in view["in_sync"] else "joining"
    roles = sorted(tag.removeprefix("role:") for tag in named.tags if tag.startswith("role:"))
    if roles != [wanted]:
        said = ", ".join(foreign(role, _CUT_AT) for role in roles) or "no role"
        yield to_do(
            "names",
            name,
            f"the view says that {name} is {wanted}, and the name server says {said}",
            "if this lasts for seconds, the name server does not hear of the view: does it reach the "
            "witness?",
        )


def _same(one: str, other: str) -> bool:
    try:
        return one_endpoint(one) == one_endpoint(other)
    except ValueError:
        return False


def _versions(facts: Facts) -> Iterator[DoctorFinding]:
    told = {name: one.versions for name, one in facts.told.items()}
    told["this command"] = dict(facts.own_machine.versions)
    for what in ("bankrmi", "protocol", "python", "pyro5", "sqlite"):
        by_version: dict[str, list[str]] = defaultdict(list)
        for name, versions in told.items():
            if what in versions:
                by_version[versions[what]].append(name)
        if len(by_version) > 1:
            spread = "; ".join(
                f"{foreign(version, _CUT_AT)} on {', '.join(names)}" for version, names in by_version.items()
            )
            say = to_do if what in _SAME else note
            yield say(
                "versions",
                "all machines",
                f"{what} is not of one version: {spread}",
                "go on with the upgrade until all are of the newest"
                if what in _SAME
                else "nothing has to be done; use one version of it on all machines to have one set of bugs",
            )


def _class_versions(facts: Facts) -> Iterator[DoctorFinding]:
    """Of a class that is served: which version each server has, and what keeps the state from the newest."""
    reachable = {one["server"]: one for one in facts.status["servers"] if one["reachable"]}
    by_service: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, one in reachable.items():
        for what, version in _served_versions(one):
            by_service[what][version].append(name)
    for what, by_version in sorted(by_service.items()):
        if len(by_version) > 1:
            spread = ", ".join(
                f"{version} on {', '.join(names)}" for version, names in sorted(by_version.items())
            )
            yield to_do(
                "class-version",
                "all servers",
                f"{what} is of version {spread}",
                "replace the module where it is older, and start that server again, one after the other",
            )
    for name, one in reachable.items():
        if one.get("migration"):
            yield to_do(
                "class-version",
                name,
                foreign(one["migration"], 300),
                "if it failed: mend the migration, replace the module on all servers, "
                "and start them again, one "
                "after the other; else do what it waits for",
            )


def _served_versions(server: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield what one server serves, in words, and in which version its code has that."""
    services = server.get("services")
    if not isinstance(services, Mapping) or len(services) < 2:
        services = {"": server}
    for name, told in services.items():
        if isinstance(told, Mapping) and type(told.get("class_version")) is int:
            what = f"the class that is served as {foreign(name, 64)}" if name else "the class that is served"
            yield what, told["class_version"]


def _places(facts: Facts) -> Iterator[DoctorFinding]:
    """A machine that two of them are on takes both with it."""
    together: dict[str, list[str]] = defaultdict(list)
    for name, told in facts.told.items():
        if told.machine is not None:
            together[told.machine].append(name)
    on_one = all(map(is_loopback, (facts.configuration.nameserver, *facts.addresses.values())))
    keeper = next((name for name in ("witness", "nameserver") if name in facts.told), None)
    for names in together.values():
        servers = [name for name in names if name in facts.addresses]
        if on_one and len(names) > 1:
            yield note(
                "one-machine",
                ", ".join(names),
                "all of these are on one machine, as the file says: its loss is the loss of the bank",
                "for more than a trial give each a machine of its own: `bankrmi init --servers … --witness "
                "…`",
            )
        elif len(servers) > 1:
            yield to_do(
                "one-machine",
                ", ".join(servers),
                "these servers are on one machine: its loss takes all their copies",
                "move one of them to another machine",
            )
        elif servers and keeper in names and facts.configuration.etcd is None:
            yield to_do(
                "witness-place",
                servers[0],
                f"the witness is on the machine of {servers[0]}: if that is lost, nobody can take over",
                "move the witness to a third machine (`bankrmi witness move`)",
            )


def _without(url: str, reason: str | None) -> str:
    return str(reason).removeprefix(f"{url}: ")


def _members(facts: Facts) -> Iterator[DoctorFinding]:
    silent = [one for one in facts.members if one.reason is not None]
    for one in silent:
        yield to_do(
            "etcd",
            one.url,
            f"this member of etcd does not answer: {foreign(_without(one.url, one.reason), 200)}",
            "`etcdctl endpoint status` on its machine says more",
        )
    if 0 < len(facts.members) < _FEW_MEMBERS or (facts.members and len(facts.members) % 2 == 0):
        yield note(
            "etcd",
            "configuration",
            f"the file names {len(facts.members)} members of etcd: of three the loss of one costs nothing, "
            "and an "
            "even number bears no more losses than the odd one below it",
            "name all members that there are; run three or five",
        )
