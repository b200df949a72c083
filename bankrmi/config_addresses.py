"""Which addresses the processes of a bank have: where others find each, and where it listens.

*Announced* is what others connect to: `nameserver`, `witness`, `servers`. *Bound* is where a process listens:
the same, or what `listen` says, where something translates in between (NAT, containers), or where it is to
listen at all addresses of its machine.

Rule 1: a clash is refused only where it is certain: two machines may both listen at 0.0.0.0:9101.
Rule 2: where what is announced is certainly not what is bound, something stands in between, and may refuse in
        the name of a server that lives: that proves no death there (R3, `refused_means_gone`).
Rule 3: whatever is bound or announced beyond loopback is beyond loopback.
Assumption: host names are not looked up, so two names of one machine count as two addresses.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from bankrmi.config_settings import (
    METRICS_OF_NAMESERVER,
    METRICS_OF_WITNESS,
    Address,
    ConfigSettings,
    is_every_address,
    is_loopback,
    one_endpoint,
)
from bankrmi.config_source import Key, Mistake

__all__ = [
    "bound_address",
    "exposed",
    "impossible_addresses",
    "is_apart",
    "is_translated",
    "shown_to_others",
]

_NAMESERVER, _WITNESS = METRICS_OF_NAMESERVER, METRICS_OF_WITNESS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where something listens: `who` begins a sentence, `of` is the process, announced at `announced`."""

    key: Key
    who: str
    of: str
    bound: Address
    announced: Address


def bound_address(settings: ConfigSettings, process: str) -> Address:
    """Return where this process listens: `nameserver`, `witness`, or a server.

    A witness at the name server's address is served by the same process, at the same place.
    """
    if process == _WITNESS and not is_apart(settings):
        process = _NAMESERVER
    return settings.listen.get(process, _announced(settings)[process])


def is_translated(announced: Address, bound: Address) -> bool:
    """Return whether something certainly stands between the two: a relay, or a translation of addresses."""
    (host, port), (bound_host, bound_port) = one_endpoint(announced), one_endpoint(bound)
    if port != bound_port:
        return True
    if is_every_address(bound):
        return ":" in host and ":" not in bound_host  # 0.0.0.0 is all of a machine's IPv4 addresses.
    if is_loopback(bound) and not is_loopback(announced):
        return True
    return host != bound_host and _is_number(host) and _is_number(bound_host)


def impossible_addresses(settings: ConfigSettings) -> Iterator[Mistake]:
    """Yield what cannot work: unknown processes, clashes, and what nobody could tell apart."""
    yield from _unknown_processes(settings)
    yield from _clashes(settings)
    yield from _untold_apart(settings)
    yield from _refusals_of_others(settings)


def exposed(settings: ConfigSettings) -> Iterator[tuple[Key, Address]]:
    """Yield where others can reach what moves money: as it is announced, and as it is bound."""
    addresses: dict[Key, Address] = {("nameserver",): settings.nameserver}
    if settings.witness_address not in (None, settings.nameserver):
        addresses["witness",] = str(settings.witness_address)
    addresses.update({("servers", name): address for name, address in settings.servers.items()})
    addresses.update({("listen", name): address for name, address in settings.listen.items()})
    return ((key, address) for key, address in addresses.items() if not is_loopback(address))


def shown_to_others(settings: ConfigSettings) -> Iterator[tuple[Key, Address]]:
    """Yield where figures can be read from other machines."""
    return (
        (("metrics", name), address) for name, address in settings.metrics.items() if not is_loopback(address)
    )


def is_apart(settings: ConfigSettings) -> bool:
    """Return whether the witness has an address of its own."""
    witness = settings.witness_address
    return witness is not None and one_endpoint(witness) != one_endpoint(settings.nameserver)


def _announced(settings: ConfigSettings) -> dict[str, Address]:
    witness = {_WITNESS: str(settings.witness_address)} if is_apart(settings) else {}
    return {_NAMESERVER: settings.nameserver, **witness, **settings.servers}


def _unknown_processes(settings: ConfigSettings) -> Iterator[Mistake]:
    known = _announced(settings)
    named = [("metrics", name, "to have metrics") for name in settings.metrics]
    named += [("listen", name, "to listen anywhere") for name in settings.listen]
    for section, name, what in named:
        if name not in known:
            yield Mistake(
                key=(section, name),
                others=(("servers",),),
                message=f"there is no process {name} {what}: there are {', '.join(known)}",
            )


def _clashes(settings: ConfigSettings) -> Iterator[Mistake]:
    blamed: set[Key] = set()
    for first, second in combinations(_places(settings), 2):
        verb = "have" if second.key[0] == "metrics" else "has"
        if _are_announced_alike(first, second):
            message = f"{second.who} {verb} the address of {first.who}, {second.announced}"
        elif _cannot_both_listen(first, second):
            message = f"{second.who} {verb} the address of {first.who}, {second.bound}"
        else:
            continue
        if second.key not in blamed:
            blamed.add(second.key)
            yield Mistake(
                key=second.key, others=(first.key,), message=f"{message}: only one can listen there"
            )


def _places(settings: ConfigSettings) -> list[_Place]:
    """Return all of them; of two that clash, the later one is blamed."""
    announced, etcd = _announced(settings), settings.etcd
    places = [
        _Place(key=("witness",), who="a member of etcd", of="etcd", bound=address, announced=address)
        for address in (etcd.addresses() if etcd is not None else ())
    ]
    titles = {_NAMESERVER: "the name server", _WITNESS: "the witness"}
    for process in sorted(announced, key=lambda name: name not in titles):
        key: Key = (process,) if process in titles else ("servers", process)
        places.append(
            _Place(
                key=("listen", process) if process in settings.listen else key,
                who=titles.get(process, f"server {process}"),
                of=process,
                bound=bound_address(settings, process),
                announced=announced[process],
            )
        )
    for process, address in settings.metrics.items():
        if process in announced:  # Else it is refused already.
            place = _Place(
                key=("metrics", process),
                who=f"metrics of {process}",
                of=process,
                bound=address,
                announced=announced[process],
            )
            places.append(place)
    return places


def _are_announced_alike(first: _Place, second: _Place) -> bool:
    return first.of != second.of and one_endpoint(first.announced) == one_endpoint(second.announced)


def _cannot_both_listen(first: _Place, second: _Place) -> bool:
    """Return whether both would listen at one port of one machine, as far as that is certain."""
    (host, port), (other_host, other_port) = one_endpoint(first.bound), one_endpoint(second.bound)
    anywhere = is_every_address(first.bound) or is_every_address(second.bound)
    if port != other_port or not (host == other_host or anywhere):
        return False
    if first.of == second.of or (is_loopback(first.announced) and is_loopback(second.announced)):
        return True
    return not anywhere and not is_loopback(first.bound)


def _untold_apart(settings: ConfigSettings) -> Iterator[Mistake]:
    """The process of both serves those whose address its machine has; every machine has some."""
    if not is_apart(settings):
        return
    for process in (_NAMESERVER, _WITNESS):
        announced, bound = _announced(settings)[process], bound_address(settings, process)
        everywhere = is_every_address(bound) or is_loopback(bound)
        if everywhere and not is_loopback(announced):
            yield Mistake(
                key=("listen", process),
                others=(("nameserver",), ("witness",)),
                message=f"every machine has {bound}, and `bankrmi nameserver` finds out by that whether it "
                f"is to serve the {'witness' if process == _WITNESS else 'name server'} or only the other "
                "one: write an address of its machine",
            )


def _refusals_of_others(settings: ConfigSettings) -> Iterator[Mistake]:
    if not settings.refused_means_gone:
        return
    for server, announced in settings.servers.items():
        bound = bound_address(settings, server)
        if is_translated(announced, bound):
            yield Mistake(
                key=("refused_means_gone",),
                others=(("listen", server), ("servers", server)),
                message=f"refused_means_gone must be false: {server} is announced at {announced} and listens "
                f"at {bound}, so something stands in between, and may refuse connections while it lives",
            )
            return


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
