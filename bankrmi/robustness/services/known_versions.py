"""The versions that a state can have had: what could be called meanwhile, and what may have been refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bankrmi.errors import InvalidRequest
from bankrmi.replication.code_versions import StateVersion, version_of
from bankrmi.robustness.checker.history import HistoryCall
from bankrmi.service.calls import Called, called
from bankrmi.service.declaring import MIGRATION, Description, Method
from bankrmi.service.served_services import ServedServices, plain_name, qualified, renamed_method

__all__ = ["KnownVersions", "asked_in", "versions_from"]


def versions_from(one: Description, version: int) -> list[Description]:
    """Return a class in all versions that are known, from one on, the oldest first."""
    return [known for held, known in one.of_version.items() if held >= version][::-1]


class KnownVersions:
    """Those of all services, from the ones on with which the state began."""

    def __init__(self, services: ServedServices, begins_at: StateVersion) -> None:
        """`begins_at`: 0 of a service that comes later."""
        self._begins_at = begins_at
        self._of: Mapping[str, Sequence[Description]] = {
            name: versions_from(one, version_of(begins_at, name)) for name, one in services.each()
        }
        self.methods: Mapping[str, Method] = {
            qualified(service, name): renamed_method(method, qualified(service, name))
            for service, versions in self._of.items()
            for known in versions
            for name, method in known.methods.items()
        }
        """All methods, by the names that the journal has for them; of several versions the newest."""

    def is_known(self, method: str) -> bool:
        """Whether that is a method of theirs, or what makes a version."""
        service, plain = plain_name(method)
        if service not in self._of:
            return False
        creates = bool(service) and plain == "create"
        return method in self.methods or creates or MIGRATION.fullmatch(plain) is not None

    def may_settle(self, call: HistoryCall) -> HistoryCall:
        """Return a call of an update as one that may be settled, unless every version takes it: whoever
        leads may have refused it."""
        may_be_settled = not call.is_question and not self.is_taken_by_all(call)
        return replace(call, may_be_settled=may_be_settled)

    def is_taken_by_all(self, call: HistoryCall) -> bool:
        """Whether every version has such a method, and takes these arguments; where a service comes later,
        one version has it not."""
        asked = asked_in(call)
        service, plain = plain_name(asked.method)
        if not version_of(self._begins_at, service):
            return False
        return all(_takes(one, plain, asked, is_read=call.is_read) for one in self._of.get(service, ()))


def asked_in(call: HistoryCall) -> Called:
    """Return what was called, of an update or a query."""
    found: Called = call.query.called if call.is_read else called(call.operations[0])
    return found


def _takes(description: Description, name: str, call: Called, *, is_read: bool) -> bool:
    method = description.methods.get(name)
    if method is None or method.is_update is is_read:
        return False
    try:
        method.bound(call.args, call.kwargs)
    except InvalidRequest:
        return False
    return True
