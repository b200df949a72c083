"""How much is kept for others: each text, each name, and all of them together, in names and in bytes.

Rule 1: what is counted is what is shown, so that the total bounds the longest answer there is: a list of
        everything, with its tags.
Rule 2: servers' names have room of their own; strangers cannot use it up. The servers of this name server's
        configuration always fit.
Rule 3: what cannot be printed as it is, is not taken: names and tags end up on terminals.
"""

from __future__ import annotations

from collections.abc import Collection

from bankrmi.errors import InvalidRequest

__all__ = ["MOST_BYTES", "MOST_NAMES", "Capacity", "check_tags", "check_text", "size_of"]

MOST_NAMES = 512
MOST_BYTES = 64 << 10
"""A list of all of them in serpent, the slowest, takes some 3 ms, in which nobody else is answered."""
_MOST_SERVERS = 64
_MOST_BYTES_OF_SERVERS = 32 << 10
_MOST_BYTES_OF_A_NAME = 2048
"""With its URI and its tags."""
_LONGEST_TEXT = 200
_LONGEST_URI = 500
_MOST_TAGS = 32


class Capacity:
    """What is taken, and by which names."""

    def __init__(self, servers: Collection[str]) -> None:
        """`servers` are the names that always fit."""
        self._always = frozenset(servers)
        self._others: dict[str, int] = {}
        self._servers: dict[str, int] = {}

    def keep_for(self, servers: Collection[str]) -> None:
        """These are the names that always fit from now on."""
        self._always = frozenset(servers)

    def take(self, name: str, size: int, *, of_a_server: bool) -> None:
        """Note that a name takes `size` bytes from now on; raise InvalidRequest if there is no room."""
        if size > _MOST_BYTES_OF_A_NAME:
            raise InvalidRequest(f"a name with its tags has up to {_MOST_BYTES_OF_A_NAME} bytes, not {size}")
        if name not in self._always:
            self._check(name, size, of_a_server=of_a_server)
        taken = self._servers if of_a_server else self._others
        taken[name] = size

    def _check(self, name: str, size: int, *, of_a_server: bool) -> None:
        taken = self._servers if of_a_server else self._others
        most, most_bytes = (
            (_MOST_SERVERS, _MOST_BYTES_OF_SERVERS) if of_a_server else (MOST_NAMES, MOST_BYTES)
        )
        if name not in taken and len(taken) >= most:
            raise InvalidRequest(f"this name server holds {most} names, and takes no more")
        if sum(taken.values()) - taken.get(name, 0) + size > most_bytes:
            raise InvalidRequest(f"this name server holds {most_bytes} bytes of names, and takes no more")

    def leave(self, name: str) -> None:
        """Note that the name is gone."""
        self._others.pop(name, None)
        self._servers.pop(name, None)


def size_of(name: str, uri: str, tags: Collection[str]) -> int:
    """Return how many bytes of text that is."""
    return sum(len(text.encode()) for text in (name, uri, *tags))


def check_text(what: str, text: object, longest: int = _LONGEST_TEXT) -> str:
    """Return the text, or raise InvalidRequest."""
    if not isinstance(text, str) or not 0 < len(text) <= longest or not text.isprintable():
        raise InvalidRequest(f"a {what} is a printable text of 1 to {longest} characters")
    return text


def check_uri(uri: object) -> str:
    """Return the URI as text, or raise InvalidRequest if it is not printable text, or too long."""
    return check_text("URI", uri, _LONGEST_URI)


def check_tags(tags: object) -> list[str]:
    """Return the tags, or raise InvalidRequest."""
    if tags is None:
        return []
    if not isinstance(tags, list | tuple | set | frozenset):
        raise InvalidRequest("tags are a list of texts")
    if len(tags) > _MOST_TAGS:
        raise InvalidRequest(f"more than {_MOST_TAGS} tags")
    return [check_text("tag", tag) for tag in tags]
