"""What one pair of servers serves: one service, or several, each under a name of its own (S8).

The first one is the *home* service: it is what is there where there is only one. Its tables and its calls in
the journal have plain names, so a pair that served it alone goes on with what it has. Those beside it have
theirs before each: the call `orders.place`, the table `orders.line`.

Rule 1: what a service uses is one of those that are served with it; that is looked at when classes are
        loaded.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bankrmi.errors import ConfigurationError
from bankrmi.replication.code_versions import CodeVersions, StateVersion, with_version
from bankrmi.service.declaring import Description, Method
from bankrmi.service.served_alone import ServedAlone
from bankrmi.service.using import Uses

__all__ = ["HOME", "ServedServices", "plain_name", "qualified", "renamed_method"]

HOME = ""
"""How the first service is called here; what its name is, the configuration says."""


def qualified(service: str, name: str) -> str:
    """Return the name of a method of a service, or of a table, as the journal has it, or the database."""
    return f"{service}.{name}" if service else name


def plain_name(name: str) -> tuple[str, str]:
    """Return the service of a qualified name of a method, and the name in it."""
    service, _, plain = name.rpartition(".")
    return service, plain


@dataclass(frozen=True)
class ServedServices:
    """The classes that are served, with all that is known of them."""

    home: Description
    beside: Mapping[str, Description] = field(default_factory=dict)
    home_name: str = ""
    """What the first one is called; nothing where it is alone, or nobody has to know."""

    @classmethod
    def of(cls, services: Description | ServedServices) -> ServedServices:
        """Return what may be one class."""
        return services if isinstance(services, ServedServices) else cls(services)

    @property
    def served_alone(self) -> ServedAlone | None:
        """What serves the one class that there is, if it brings that."""
        return None if self.beside else self.home.served_alone

    @property
    def takes_ledger(self) -> bool:
        """Whether any of them opens with the accounts of the ledger file."""
        return any(one.takes_ledger for _, one in self.each())

    def each(self) -> Iterator[tuple[str, Description]]:
        """Yield every service, the first one first, by the name that it has here."""
        yield HOME, self.home
        yield from self.beside.items()

    def find(self, service: str) -> Description | None:
        """Return the class of a service; None if it is not served."""
        return self.beside.get(service) if service else self.home

    def called(self, service: str) -> str:
        """Return what the configuration calls a service."""
        return service or self.home_name or self.home.name

    @property
    def name(self) -> str:
        """The names of the classes."""
        return " and ".join(dict.fromkeys(one.name for _, one in self.each()))

    @property
    def opening_version(self) -> StateVersion:
        """Of a state that servers with this code make."""
        version: StateVersion = 1
        for name, one in self.each():
            version = with_version(version, name, one.version)
        return version

    @cached_property
    def methods(self) -> Mapping[str, Method]:
        """All methods of the newest versions, by the names that the journal has for them."""
        found = {}
        for service, one in self.each():
            for name, method in one.methods.items():
                found[qualified(service, name)] = renamed_method(method, qualified(service, name))
        return found

    @cached_property
    def code(self) -> CodeVersions:
        """What these classes know."""
        beside = tuple(sorted((name, one.code) for name, one in self.beside.items()))
        return self.home.code._replace(beside=beside)

    def in_words(self, method: str) -> str:
        """Return a method of a class as people write it: `Orders.place`."""
        service, plain = plain_name(method)
        one = self.find(service)
        return method if one is None else f"{one.name}.{plain}"

    @cached_property
    def modules(self) -> frozenset[str]:
        """The modules of all classes."""
        return frozenset(known.kind.__module__ for _, one in self.each() for known in one.of_version.values())

    def used(self, user: Description, uses: Uses[Any]) -> str:
        """Return the name of the service that a class means; raises ConfigurationError."""
        kind = uses.kind
        found = [
            name
            for name, one in self.each()
            if any(_is_meant(kind, it.kind) for it in one.of_version.values())
        ]
        if uses.service is not None:
            found = [name for name in found if self.called(name) == uses.service]
        if len(found) == 1:
            return found[0]
        what = kind.__name__ if uses.service is None else f"{kind.__name__} as {uses.service}"
        if not found:
            raise ConfigurationError(
                f"{user.name} uses {what}, and that is not served with it: name it under `serves`, as well"
            )
        names = ", ".join(map(self.called, found))
        raise ConfigurationError(
            f"{user.name} uses {what}, which is served as {names}: say which, with "
            f"bankrmi.Uses({kind.__name__}, service=...)"
        )

    def check_uses(self) -> None:
        """Raise ConfigurationError if a service uses what is not served, or itself."""
        for service, one in self.each():
            for known in one.of_version.values():
                for attribute, uses in known.uses.items():
                    if self.used(known, uses) == service:
                        raise ConfigurationError(
                            f"{known.name}.{attribute} is the service itself: its own methods are called "
                            "with self"
                        )


def _is_meant(kind: type, served: type) -> bool:
    return served is kind or issubclass(served, kind)


def renamed_method(method: Method, name: str) -> Method:
    """Return a method under the name that the journal has for it."""
    if method.name == name:
        return method
    renamed = copy.copy(method)
    renamed.name = name
    return renamed
