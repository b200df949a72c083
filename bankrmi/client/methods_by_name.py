"""What a client of a class has beside its methods: any of them by its name.  The same for all four clients.

Assumption: `_called` returns what comes of the call; or, of an asyncio client, what is to be awaited for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from bankrmi.client.service_requests import CallsOf
from bankrmi.service.declaring import Method

__all__ = ["MethodsByName"]


class MethodsByName(ABC):
    """A client of one class."""

    _kind: ClassVar[str] = "client"
    _calls: CallsOf

    def __repr__(self) -> str:
        return f"<{self._kind} of the service {self._calls.name}>"

    def update(
        self,
        method: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        request_id: str | None = None,
    ) -> Any:
        """Call a method that changes the state.

        A `request_id` of one's own ("SESSION:SEQ") makes it safe to repeat the whole call: it is done once.
        """
        return self._called(self._calls.marked(method, is_update=True), args, kwargs or {}, request_id)

    def query(self, method: str, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        """Call a method that changes nothing."""
        return self._called(self._calls.marked(method, is_update=False), args, kwargs or {}, None)

    @abstractmethod
    def _called(
        self, method: Method, args: Sequence[Any], kwargs: Mapping[str, Any], request_id: str | None
    ) -> Any:
        """Call it; `request_id` is of an update, where the caller has chosen one."""
