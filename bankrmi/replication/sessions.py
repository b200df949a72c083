"""Ids of sessions: when each one began, and up to when sessions that began are over.  Pure.

A session's id may say when it began: `t`, the time in milliseconds since 1970 as 11 hexadecimal digits, and
16 more that were drawn. Whose id says so may be forgotten some day: of an id that it has never seen nobody
could tell otherwise whether it is new or forgotten. Any other id is taken, too, and is remembered for good.

The *horizon* is a request of the primary's own, and so an entry of the journal: session `~`, which no client
can name, and as its sequence number the time up to which sessions that began are over. So all copies have
the same one, it is acknowledged before anything rests on it, and it never goes back.

Assumption: none about clocks. What a client's clock says decides only when its session is over.
"""

from __future__ import annotations

import re
import secrets
import time

__all__ = ["HORIZON", "began_ms", "last_that_began", "new_session"]

HORIZON = "~"

_BIRTH_DIGITS = 11
_DRAWN_BYTES = 8
_WITH_BIRTH = re.compile(rf"t([0-9a-f]{{{_BIRTH_DIGITS}}})[0-9a-f]{{{2 * _DRAWN_BYTES}}}")
_AFTER_ALL_DIGITS = "g"


def new_session(now_ms: float | None = None) -> str:
    """Return the id of a session that begins now, or (milliseconds since 1970) then; never the same again."""
    began = int(1000 * time.time() if now_ms is None else now_ms)
    return f"t{began:0{_BIRTH_DIGITS}x}{secrets.token_hex(_DRAWN_BYTES)}"


def began_ms(session: str) -> int | None:
    """Return when a session began; None if its id does not say so."""
    found = _WITH_BIRTH.fullmatch(session)
    return None if found is None else int(found[1], 16)


def last_that_began(by_ms: int) -> str:
    """Return a text that stands after all ids of sessions that began by then, and before all later ones."""
    return f"t{max(0, by_ms):0{_BIRTH_DIGITS}x}{_AFTER_ALL_DIGITS}"
