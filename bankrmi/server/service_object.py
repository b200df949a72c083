"""The object of a service: what clients call of a replicated class, turned into events for the rules.

    update(method, args, kwargs, request_id, seen)   a method that changes the state, once a request id
    query(method, args, kwargs, seen)                one that does not
    put("apple", 3)                                  either, by its own name, for those who have only Pyro

Rule 1: a call is answered exactly once, by the rules or, when it has waited too long, with `InDoubt`.
Rule 2: arguments are checked against the class before the rules see them; who may wait, `admission` says.
Rule 3: nothing of the class is run here.
Rule 4: what can be called is what the class has in the version of the state. A server that does not lead may
        not know which that is: what it does not know it refuses to nobody for good, and sends him on.
Rule 5: what is refused under a request id of the caller's may have been done before, perhaps by the version
        before: that is settled, as `outcome` does, so that there is an answer for good.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bankrmi.bank.operations import parse_request_id
from bankrmi.errors import BankError, Busy, InvalidRequest, NotPrimary
from bankrmi.rmi import Call, Exposed
from bankrmi.rmi.objects import READ_ATTRIBUTE, is_of_the_call_itself
from bankrmi.server.admission import Admission
from bankrmi.server.answering import BUSY_RETRY_MS
from bankrmi.server.call_arguments import request_of, seen_of
from bankrmi.server.request_figures import DONE, OF_SERVICES, KindFigures, RequestFigures
from bankrmi.server.request_lines import tell_refused
from bankrmi.server.service_answering import AskedOfService, refused_unless_done, with_its_record, without
from bankrmi.service.calls import Called, packed_call
from bankrmi.service.declaring import Description, Method
from bankrmi.service.served_services import HOME, qualified

__all__ = ["CALL_BYTES", "ServiceObject"]

CALL_BYTES = 256 << 10
"""The most that a call of a method may take, packed."""

_ENTRY_BYTES = 256
"""A longer call counts as so many more entries: what a caller may add to the journals is counted in those."""


class ServiceObject:
    """The remote object of clients (see `rmi.RemoteObject`)."""

    def __init__(
        self,
        admission: Admission,
        status: Callable[[], dict[str, Any]],
        description: Description,
        *,
        addresses: Mapping[str, str],
        entries_at_most: int,
        state_version: Callable[[], int | None],
        service: str = HOME,
        told_as: str = "",
    ) -> None:
        """`state_version`: of the state, None where this server does not lead.

        `service`: its name, if it stands beside the first one; `told_as`: its name for lines of the log,
        where there are several.
        """
        self._service = service
        self._told_as = told_as
        self._admission = admission
        self._status = status
        self._description = description
        self._state_version = state_version
        self._name = description.name
        self._addresses = addresses
        self._entries_at_most = entries_at_most
        by_name = {
            name: one for known in description.of_version.values() for name, one in known.methods.items()
        }
        self._kinds = {**by_name, **description.methods}
        self.exposed = Exposed(
            methods=frozenset({*OF_SERVICES.kinds, *by_name}), attributes=frozenset({"service"})
        )
        self.figures = RequestFigures(OF_SERVICES)
        self._ways: Mapping[str, Callable[..., None]] = {
            "update": self._update,
            "query": self._query,
            "outcome": self._outcome,
            "status": self._tell_status,
            READ_ATTRIBUTE: self._attribute,
        }

    def invoke(self, call: Call) -> None:
        """Take a call; wrong arguments are refused in a sentence."""
        call.of = self._told_as
        way = self._ways.get(call.method)
        try:
            if way is None:
                self._by_its_own_name(call)
            else:
                way(call, *call.args, **call.kwargs)
        except BankError as error:
            self._figures_of(call).failed(error)
            tell_refused(call, error)
            raise
        except TypeError as error:
            if is_of_the_call_itself(error) and not call.done:
                self._figures_of(call).counts[InvalidRequest.code] += 1
                raise InvalidRequest(f"{call.method} does not take these arguments") from error
            raise

    def _figures_of(self, call: Call) -> KindFigures:
        """Return where it counts; to read an attribute is to ask for the status."""
        method = self._kinds.get(call.method)
        if method is not None:
            return self.figures.of[_kind(method)]
        return self.figures.of["status" if call.method == READ_ATTRIBUTE else call.method]

    # -- what may be asked -----------------------------------------------------------------------

    def _update(
        self,
        call: Call,
        method: Any,
        args: Any = (),
        kwargs: Any = None,
        request_id: Any = None,
        seen: Any = None,
    ) -> None:
        request, text = request_of(request_id)
        try:
            found, bound = self.bound(method, "update", *_given(args, kwargs))
        except InvalidRequest as refused:
            if request_id is None or self._state_version() is None:
                raise
            form = refused_unless_done(refused, self._admission.look_otherwise)
            asked = AskedOfService(
                call,
                form,
                self._addresses,
                self.figures.of["update"],
                request_id=text,
                method="update",
            )
            self._admission.outcome(asked, request, seen_of(seen))
            return
        self._change(call, found, bound, request, text, seen, form=with_its_record)

    def _query(self, call: Call, method: Any, args: Any = (), kwargs: Any = None, seen: Any = None) -> None:
        found, bound = self.bound(method, "query", *_given(args, kwargs))
        self._read(call, found, bound, seen, form=with_its_record)

    def _by_its_own_name(self, call: Call) -> None:
        method, bound = self.bound(call.method, None, call.args, call.kwargs)
        if method.is_update:
            request, text = request_of(None)
            self._change(call, method, bound, request, text, None, form=without)
        else:
            self._read(call, method, bound, None, form=without)

    def _outcome(self, call: Call, request_id: Any, seen: Any = None) -> None:
        request = parse_request_id(request_id)
        checked = seen_of(seen)
        asked = AskedOfService(
            call,
            with_its_record,
            self._addresses,
            self.figures.of["outcome"],
            request_id=request_id,
            method="outcome",
        )
        self._admission.outcome(asked, request, checked)

    def _tell_status(self, call: Call) -> None:
        self.figures.of["status"].counts[DONE] += 1
        call.answer(self._status())

    def _attribute(self, call: Call, name: str) -> None:
        self.figures.of["status"].counts[DONE] += 1
        call.answer(self._status()[name])

    # -- how it is asked -------------------------------------------------------------------------

    def bound(
        self, name: Any, kind: str | None, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Method, tuple[list[Any], dict[str, Any]]]:
        """Return the method, and what it is to be called with; raises InvalidRequest, or who may know
        more."""
        if not isinstance(name, str):
            raise InvalidRequest(f"{self._name} has no method {name!r:.80}: it is called by its name")
        version = self._state_version()
        if version is not None:
            return self._bound_in(version, name, kind, args, kwargs)
        for known in self._description.of_version:
            try:
                return self._bound_in(known, name, kind, args, kwargs)
            except InvalidRequest as error:
                refused = error
        if len(self._description.of_version) == 1 and name in self._kinds:
            raise refused
        raise NotPrimary(
            "this server does not lead, and may have another version of the class",
            primary=None,
            undecided=True,
        )

    def _bound_in(
        self, version: int, name: str, kind: str | None, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Method, tuple[list[Any], dict[str, Any]]]:
        found = self._description.of_version.get(version)
        if found is None:  # It is about to be migrated, and nothing else is done before.
            what = f"is about to be brought from version {version} to {self._description.version}"
            if not version:
                what = "is not there yet: it is created once every server serves it"
            raise Busy(f"{self._name} {what}: ask again in {BUSY_RETRY_MS} ms", retry_ms=BUSY_RETRY_MS)
        method = found.methods.get(name)
        if method is None:
            raise InvalidRequest(self._has_no(name, version, found))
        if kind not in (None, _kind(method)):
            other = _kind(method)
            raise InvalidRequest(f"{self._name}.{method.name} is of the kind {other}: ask for it by {other}")
        return method, method.bound(args, kwargs)

    def _has_no(self, name: str, version: int, found: Description) -> str:
        there = f"there are {', '.join(sorted(found.methods)):.500}"
        where = f" at version {version}" if version > 1 or self._description.version > 1 else ""
        elsewhere = [known for known, one in self._description.of_version.items() if name in one.methods]
        if elsewhere and min(elsewhere) > version:
            when = f"it comes with version {min(elsewhere)}, once every server has that"
            return f"{self._name} has no method {name!r:.80}{where} yet: {when}; {there}"
        return f"{self._name} has no method {name!r:.80}{where}: {there}"

    def _change(
        self,
        call: Call,
        method: Method,
        bound: tuple[list[Any], dict[str, Any]],
        request: tuple[str, int],
        request_id: str,
        seen: Any,
        *,
        form: Callable[..., Any],
    ) -> None:
        operations = self._packed(method, bound)
        size = len(operations)
        asked = AskedOfService(
            call, form, self._addresses, self.figures.of["update"], request_id=request_id, method=method.name
        )
        self._admission.request(
            asked,
            request,
            lambda: operations,
            1,
            seen_of(seen),
            more_bytes=size,
            entries=min(1 + size // _ENTRY_BYTES, self._entries_at_most),
        )

    def _read(
        self,
        call: Call,
        method: Method,
        bound: tuple[list[Any], dict[str, Any]],
        seen: Any,
        *,
        form: Callable[..., Any],
    ) -> None:
        size = len(self._packed(method, bound))
        asked = AskedOfService(call, form, self._addresses, self.figures.of["query"], method=method.name)
        called = Called(qualified(self._service, method.name), *bound)
        self._admission.read(asked, called, seen_of(seen), more_bytes=size)

    def _packed(self, method: Method, bound: tuple[list[Any], dict[str, Any]]) -> bytes:
        operations = packed_call(qualified(self._service, method.name), *bound)
        if len(operations) > CALL_BYTES:
            raise InvalidRequest(
                f"this call of {method.name} takes {len(operations)} bytes: at most {CALL_BYTES} are taken"
            )
        return operations


def _kind(method: Method) -> str:
    return "update" if method.is_update else "query"


def _given(args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    """Return what a method is to be called with; raises InvalidRequest for what is no list, or no dict."""
    if not isinstance(args, list | tuple):
        raise InvalidRequest(f"the arguments of a method are a list, not a {type(args).__name__}")
    if kwargs is None:
        return list(args), {}
    if not isinstance(kwargs, dict) or not all(isinstance(name, str) for name in kwargs):
        raise InvalidRequest("the arguments by name are a dict, and their names are text")
    return list(args), kwargs
