"""A console as its page sees it: the events, and what is asked for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

import httpx2

__all__ = ["Page"]


class Page:
    """One open page; it collects what is told until the end of the `with`."""

    def __init__(self, address: str) -> None:
        """`address` is what the terminal has printed, with the token."""
        self.address = address
        self.base, _, self._token = address.partition("/#token=")
        self.events: list[dict[str, Any]] = []
        self._client = httpx2.Client(timeout=httpx2.Timeout(20.0, read=20.0), trust_env=False)
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Page:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, _: TracebackType | None
    ) -> None:
        self._client.close()
        if failure is not None:
            print(*(event for event in self.events[-200:] if event["kind"] != "call"), sep="\n")  # noqa: T201

    def _listen(self) -> None:
        try:
            with httpx2.stream("GET", f"{self.base}/events", timeout=30.0, trust_env=False) as told:
                for line in told.iter_lines():
                    if line.startswith("data: "):
                        self.events.append(json.loads(line.removeprefix("data: ")))
        except httpx2.HTTPError:
            pass  # It has ended: what it told is there.

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return what was told of this kind so far."""
        return [event for event in list(self.events) if event["kind"] == kind]

    def do(self, name: str, **asked: Any) -> dict[str, Any]:
        """Ask for something; return the answer, with its status."""
        answer = self._client.post(
            f"{self.base}/do/{name}", json=asked, headers={"Authorization": f"Bearer {self._token}"}
        )
        return {"status": answer.status_code, **answer.json()}

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """Get a part of the page."""
        return self._client.get(f"{self.base}{path}", headers=headers)

    def last_state(self, wanted: Callable[[dict[str, Any]], object]) -> bool:
        """Whether the newest state is as wanted."""
        states = self.of("state")
        return bool(states) and bool(wanted(states[-1]))
