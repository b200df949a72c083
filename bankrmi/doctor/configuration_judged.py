"""Is the file one with which this bank can run, and do all processes run with the same?  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bankrmi.config import Configuration, one_endpoint, split_address
from bankrmi.config_settings import is_every_address, is_loopback
from bankrmi.coordination.keepers import keeper_in_words
from bankrmi.doctor.facts import Facts
from bankrmi.doctor.findings import DoctorFinding, note, to_do
from bankrmi.foreign_text import foreign
from bankrmi.server.agreement import GOES_BY_VIEW, compared, stated

__all__ = ["is_refused", "judge_configuration"]

_ABOUT = "configuration"
_CUT_AT = 80


def judge_configuration(facts: Facts) -> Iterator[DoctorFinding]:
    """Yield what is wrong with the file by itself, and where processes run with another one."""
    configuration = facts.configuration
    yield from _loopback_among_machines(configuration)
    yield from _open_doors(configuration)
    yield from _copies(facts)
    yield from _other_servers(facts)
    yield from _translations(configuration)
    for name, told in facts.servers.items():
        yield from _differences(facts, name, told.settings)
    for name in ("nameserver", "witness"):
        if name in facts.told:
            yield from _differences_of_nameserver(facts, name, facts.told[name].settings)
    yield from _listening_elsewhere(facts)


def is_refused(facts: Facts, name: str) -> bool:
    """Return whether the others have no connection with this server for its settings: the rest follows."""
    told = facts.servers.get(name)
    return told is not None and any(one.refused for one in compared(_meant(facts), told.settings))


def _meant(facts: Facts) -> dict[str, Any]:
    """Return what every server should state: the file, and which servers there are by the view (V12)."""
    now = facts.configuration.with_servers(facts.addresses)
    return {**stated(now), GOES_BY_VIEW: _goes_by_view(facts)}


def _announced(configuration: Configuration) -> dict[str, str]:
    """Return where every process is found, as the file says."""
    witness = configuration.witness_address
    others = {"nameserver": configuration.nameserver} | ({} if witness is None else {"witness": witness})
    return others | dict(configuration.servers)


def _loopback_among_machines(configuration: Configuration) -> Iterator[DoctorFinding]:
    announced = _announced(configuration)
    near = [name for name, address in announced.items() if is_loopback(address)]
    if not near or len(near) == len(announced):
        return
    where = ", ".join(f"{name} at {announced[name]}" for name in near)
    yield to_do(
        "loopback",
        _ABOUT,
        f"{where}: every machine would look for it on itself, and others are on machines of their own",
        f"in {configuration.path} write an address that all machines reach, and the same file on all of them",
    )


def _open_doors(configuration: Configuration) -> Iterator[DoctorFinding]:
    exposed = configuration.open_to_strangers()
    if exposed:
        yield to_do(
            "open-to-strangers",
            _ABOUT,
            f"{', '.join(exposed)} can be reached by others, who need not prove who they are: whoever "
            "reaches "
            "it can move money",
            "make certificates: `bankrmi cert create-ca`, and the section certificates in the file",
        )


def _copies(facts: Facts) -> Iterator[DoctorFinding]:
    if len(facts.addresses) == 1:
        yield note(
            "copies",
            _ABOUT,
            "there is one server only: when its machine is lost, everything is",
            "add a second server, on another machine",
        )


def _other_servers(facts: Facts) -> Iterator[DoctorFinding]:
    """V12: the bank goes by its view; a file that is behind it is where processes and clients start from."""
    named, there = facts.configuration.servers, facts.addresses
    if {name: one_endpoint(at) for name, at in named.items()} != {
        name: one_endpoint(at) for name, at in there.items()
    }:
        in_file, in_bank = (
            ", ".join(f"{name} at {at}" for name, at in servers.items()) for servers in (named, there)
        )
        yield to_do(
            "servers",
            _ABOUT,
            f"{facts.configuration.path} names {in_file}; the servers of the bank are {in_bank}",
            "write those of the bank into the file, on all machines; nothing has to be restarted",
        )


def _translations(configuration: Configuration) -> Iterator[DoctorFinding]:
    if configuration.refused_means_gone:
        return
    if all(
        one_endpoint(configuration.listens_at(name)) == one_endpoint(address)
        for name, address in configuration.servers.items()
    ):
        yield note(
            "refused-means-gone",
            _ABOUT,
            f"refused_means_gone is false: a crash is noticed after lease_ms ({configuration.lease_ms}), not "
            "in "
            "milliseconds",
            "if nothing between the servers refuses connections in a live server's name, set it to true",
        )


def _differences(facts: Facts, name: str, settings: dict[str, Any]) -> Iterator[DoctorFinding]:
    for one in compared(_meant(facts), settings):
        if facts.has_another_keeper and one.key == "witness":
            continue  # They have followed it, and this file has not.
        yield to_do(
            "settings",
            name,
            f"{one.key} is {one.ours} in {facts.configuration.path}, and {one.theirs} in what {name} runs "
            f"with: {one.so}",
            f"make the files alike, and restart {name}; one server after the other",
        )


def _differences_of_nameserver(facts: Facts, name: str, settings: dict[str, Any]) -> Iterator[DoctorFinding]:
    configuration = facts.configuration
    ours: dict[str, object] = {
        "service": configuration.service,
        "nameserver": configuration.nameserver,
        "witness": keeper_in_words(configuration),
    }
    theirs = {key: value for key, value in settings.items() if key != "servers"}
    if not _goes_by_view(facts):
        told = settings.get("servers")
        ours |= {f"servers.{server}": at for server, at in configuration.servers.items()}
        theirs |= {f"servers.{server}": at for server, at in told.items()} if isinstance(told, dict) else {}
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key) and not (facts.has_another_keeper and key == "witness"):
            here, there = (foreign(one.get(key, "not there"), _CUT_AT) for one in (ours, theirs))
            yield to_do(
                "settings",
                name,
                f"{key} is {here} in {configuration.path}, and {there} in what {name} runs with",
                f"make the files alike, and restart {name}",
            )


def _goes_by_view(facts: Facts) -> bool:
    """V12: whether servers were added, removed or moved, so that no file says any more which there are."""
    by_view = any(told.settings.get(GOES_BY_VIEW) is True for told in facts.servers.values())
    return by_view or facts.addresses != facts.configuration.servers  # Which only a view can tell.


def _listening_elsewhere(facts: Facts) -> Iterator[DoctorFinding]:
    """What only a running process tells: it may have been started with another `listen`."""
    configuration = facts.configuration
    for name, told in facts.servers.items():
        announced = facts.addresses[name]
        for bound in () if told.relayed else told.listens_at:
            if _is_elsewhere(announced, bound) and configuration.refused_means_gone:
                yield to_do(
                    "listening",
                    name,
                    f"{name} is announced at {announced} and listens at {foreign(bound, _CUT_AT)}: something "
                    "in "
                    "between may refuse connections while it lives, which would pass for its death",
                    "set refused_means_gone to false on all machines, one server after the other",
                )


def _is_elsewhere(announced: str, bound: str) -> bool:
    try:
        if is_every_address(bound):
            return split_address(bound)[1] != split_address(announced)[1]
        return one_endpoint(bound) != one_endpoint(announced)
    except ValueError:
        return False
