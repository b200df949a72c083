"""The members of one etcd cluster: a question is put to one of them, and to the next when that one is silent.

Each question is a POST to the JSON gateway that etcd serves beside gRPC (ADR 32).

Rule 1: every question has a deadline. A member that has not answered after a part of the time is not waited
        for alone: the next one is asked as well, and the first answer counts. What was sent to any of them
        may still be carried out (V6), so a question that ends without an answer says whether anything left.
Rule 2: all members are of one cluster, the one that answered this process first. Another cluster keeps
        another view, so what it says is no answer.
Rule 3: an answer has a bound; a member that sends more is cut off. Nothing that a member says is repeated at
        length.
Rule 4: who knows no password that etcd takes, or is shown a certificate of another authority, learns
        nothing: that is silence, with the reason.
Assumption: lives in one event loop.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import structlog

from bankrmi.config import EtcdSettings
from bankrmi.errors import ConfigurationError
from bankrmi.foreign_text import cut, foreign

__all__ = ["Members", "NoAnswer", "check_files"]

log = structlog.get_logger("bankrmi.coordination")

_NEXT_AFTER = 0.25
"""Of the time that a question has: then another member is asked as well."""
_CONNECTIONS = httpx2.Limits(max_connections=3, max_keepalive_connections=2, keepalive_expiry=60.0)
_TOKEN_BYTES = 64 << 10
_REASON_LENGTH = 120
_PASSWORD_BYTES = 4096

Form = Mapping[str, Any]


class NoAnswer(Exception):
    """Nobody answered; `sent` is False only if nothing can have left this process.

    `unread`: there was an answer, and what it says cannot be read by this version.
    """

    def __init__(self, reason: str, *, sent: bool, unread: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.unread = unread


class _Failed(Exception):
    """One member did not answer, or not as etcd does; says why."""


class _TokenRefused(_Failed):
    """The member does not take our token (any more)."""


def check_files(settings: EtcdSettings) -> None:
    """Raise ConfigurationError, saying which, if a file that the way to etcd needs cannot be used."""
    _password(settings)
    _tls(settings)


class Members:
    """All members, behind one question."""

    def __init__(self, settings: EtcdSettings) -> None:
        """Raises ConfigurationError if a certificate or the password cannot be read."""
        self._settings = settings
        self._cluster_id: str | None = None
        self._strange: set[str] = set()  # Members of another cluster, which the log has.
        self._closing: set[asyncio.Task[None]] = set()
        self._files = _stamps(settings)
        self._members = self._made()

    @property
    def cluster_id(self) -> str | None:
        """The cluster that answers, as soon as one has."""
        return self._cluster_id

    async def ask(self, path: str, question: Form, *, seconds: float, most_bytes: int) -> Form:
        """Return the first member's answer; raises NoAnswer."""
        self._take_files_anew()
        question_bytes = json.dumps(question).encode()
        asking = _Asking(deque(self._members), path, question_bytes, most_bytes)
        try:
            member, answer = await asking.first_answer(seconds, self._check_cluster)
        finally:
            await asking.end()
        if self._members[0] is not member and member in self._members:  # Else they were made anew meanwhile.
            self._members.remove(member)
            self._members.insert(0, member)
        return answer

    async def close(self) -> None:
        """Hang up everywhere."""
        await asyncio.gather(*(member.close() for member in self._members), *self._closing)

    def _check_cluster(self, member: _Member, answer: Form) -> None:
        header = answer.get("header")
        cluster_id = header.get("cluster_id") if isinstance(header, Mapping) else None
        if not isinstance(cluster_id, str) or not cluster_id.isascii() or not 0 < len(cluster_id) <= 20:
            raise _Failed("it does not answer as etcd does")
        if self._cluster_id is None:
            self._cluster_id = cluster_id
        elif cluster_id != self._cluster_id:
            if member.url not in self._strange:
                self._strange.add(member.url)
                log.error("another etcd cluster", member=member.url, is_of=cluster_id, ours=self._cluster_id)
            raise _Failed("it is of another cluster than the one that answered first: see witness.etcd")

    # -- certificates and passwords that change ------------------------------------------------------

    def _made(self) -> list[_Member]:
        context, password = _tls(self._settings), _password(self._settings)
        return [_Member(url, self._settings.user, password, context) for url in self._settings.etcd]

    def _take_files_anew(self) -> None:
        """What stands in the files now counts from the next question on."""
        stamps = _stamps(self._settings)
        if stamps == self._files:
            return
        self._files = stamps
        try:
            made = self._made()
        except ConfigurationError as error:
            log.warning("what was read before is used on", why=error.message)
            return
        for member in self._members:
            task = asyncio.create_task(member.close_when_idle())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        self._members = made
        log.info("certificates and password for etcd were read anew")


class _Asking:
    """One question, at one member or several at once."""

    def __init__(self, waiting: deque[_Member], path: str, question: bytes, most_bytes: int) -> None:
        self._waiting = waiting
        self._path = path
        self._question = question
        self._most_bytes = most_bytes
        self._under_way: dict[asyncio.Task[Form], _Member] = {}
        self._attempts: list[_Attempt] = []
        self._reasons: list[str] = []

    async def first_answer(self, seconds: float, check: Any) -> tuple[_Member, Form]:
        now = asyncio.get_running_loop().time
        deadline, pause = now() + seconds, _NEXT_AFTER * seconds
        while True:
            left = deadline - now()
            if left <= 0:
                silent = ", ".join(member.url for member in self._under_way.values())
                self._reasons.append(f"no answer from {silent}" if silent else "no time was left to ask")
                raise self._no_answer()
            if self._waiting:
                self._begin(self._waiting.popleft())
            if not self._under_way:
                raise self._no_answer()
            done, _ = await asyncio.wait(
                self._under_way,
                timeout=min(left, pause) if self._waiting else left,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                member = self._under_way.pop(task)
                try:
                    answer = task.result()
                    check(member, answer)
                    return member, answer
                except _Failed as failure:
                    self._reasons.append(f"{member.url}: {failure}")

    def _begin(self, member: _Member) -> None:
        attempt = _Attempt()
        self._attempts.append(attempt)
        task = asyncio.create_task(member.ask(self._path, self._question, self._most_bytes, attempt))
        self._under_way[task] = member

    def _no_answer(self) -> NoAnswer:
        sent = any(attempt.sent for attempt in self._attempts)
        return NoAnswer("; ".join(self._reasons), sent=sent)

    async def end(self) -> None:
        """Wait for nobody any more."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)


class _Attempt:
    """Whether the question has left, as far as can be known."""

    def __init__(self) -> None:
        self.sent = False
        self._shaking_hands: Any = None  # A connection of httpcore's, until TLS has said who is who.

    async def trace(self, event: str, of: Mapping[str, Any]) -> None:
        """Told by httpcore what it is about to do, or has done."""
        if event == "connection.connect_tcp.complete":
            self._shaking_hands = of["return_value"]
        elif event == "connection.start_tls.complete":
            self._shaking_hands = None
        elif "send_request" in event:
            self._shaking_hands = None
            self.sent = True

    async def give_up(self) -> None:
        """Hang up: httpcore leaves it to the garbage collector where a TLS handshake is cancelled."""
        stream, self._shaking_hands = self._shaking_hands, None
        if stream is not None:
            await stream.aclose()


class _Member:
    """One member, and the connections to it."""

    def __init__(self, url: str, user: str | None, password: str, context: ssl.SSLContext | None) -> None:
        self.url = url.removesuffix("/")
        self._user = user
        self._password = password
        self._token: str | None = None
        self._users = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._client = httpx2.AsyncClient(
            verify=context if context is not None else False,  # Of http:// nothing is to be verified.
            timeout=None,  # Whoever asks has a deadline.
            limits=_CONNECTIONS,
            trust_env=False,
            follow_redirects=False,
            headers={"Accept-Encoding": "identity"},
        )

    async def ask(self, path: str, question: bytes, most_bytes: int, attempt: _Attempt) -> Form:
        """Return the answer; raises _Failed."""
        self._users += 1
        self._idle.clear()
        try:
            fresh = await self._authenticated()
            try:
                return await self._post(path, question, most_bytes, attempt)
            except _TokenRefused:
                if self._user is None or fresh:
                    raise
            self._token = None  # It has run out, or the member has forgotten it: it was refused unread.
            await self._authenticated()
            return await self._post(path, question, most_bytes, attempt)
        except (httpx2.HTTPError, OSError) as error:  # An alert of TLS comes as it is.
            raise _Failed(_reason(error)) from error
        except (httpx2.InvalidURL, ValueError, RecursionError) as error:
            raise _Failed("what it answered cannot be read") from error
        finally:
            self._users -= 1
            if not self._users:
                self._idle.set()

    async def _authenticated(self) -> bool:
        """Have a token, if one is needed; return whether it is a new one."""
        if self._user is None or self._token is not None:
            return False
        question = json.dumps({"name": self._user, "password": self._password}).encode()
        try:
            answer = await self._post("/v3/auth/authenticate", question, _TOKEN_BYTES, _Attempt())
        except _NotEnabled:
            log.warning("etcd asks for no password, though one is configured", member=self.url)
            self._token = ""
            return True
        token = answer.get("token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise _Failed("it gave no token for user and password")
        self._token = token
        return True

    async def _post(self, path: str, question: bytes, most_bytes: int, attempt: _Attempt) -> Form:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = self._token
        try:
            async with self._client.stream(
                "POST",
                self.url + path,
                content=question,
                headers=headers,
                extensions={"trace": attempt.trace},
            ) as response:
                body = await _bounded(response, most_bytes)
        except asyncio.CancelledError:
            await attempt.give_up()
            raise
        answer = json.loads(body)
        if not isinstance(answer, dict):
            raise _Failed("it does not answer as etcd does")
        if response.status_code != 200:
            raise _refusal(response.status_code, answer)
        return answer

    async def close_when_idle(self) -> None:
        """Hang up when nothing is under way any more."""
        await self._idle.wait()
        await self.close()

    async def close(self) -> None:
        """Hang up."""
        await self._client.aclose()


async def _bounded(response: httpx2.Response, most_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > most_bytes:
            raise _Failed(f"it sent more than {most_bytes} bytes")
    return bytes(body)


class _NotEnabled(_Failed):
    """The cluster has no authentication."""


_UNAUTHENTICATED, _PRECONDITION, _INVALID, _DENIED = 16, 9, 3, 7


def _refusal(status: int, answer: Form) -> _Failed:
    """Return what an answer that is none means; etcd's codes are gRPC's."""
    code, said = answer.get("code"), _short(answer.get("error", ""))
    reason = f"{said} (HTTP {status})"
    if code == _PRECONDITION and "authentication is not enabled" in said:
        return _NotEnabled(reason)
    if code == _UNAUTHENTICATED or (code == _INVALID and ("auth" in said or "user name is empty" in said)):
        return _TokenRefused(reason)
    return _Failed(reason)


def _reason(error: Exception) -> str:
    """Return why there was no answer, short."""
    if isinstance(error, httpx2.ConnectError):
        return f"no connection ({_short(error)})"
    return _short(str(error) or type(error).__name__)


def _short(text: object) -> str:
    return cut(foreign(text), _REASON_LENGTH)


def _tls(settings: EtcdSettings) -> ssl.SSLContext | None:
    """Return what TLS is spoken with: believe only those whom `ca` names, and show `certificate`."""
    if not settings.is_encrypted:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(settings.ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"witness.ca: {settings.ca} is not a certificate: {_why(error)}") from error
    if settings.certificate is not None and settings.key is not None:
        try:
            context.load_cert_chain(settings.certificate, settings.key, password=_no_passphrase)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"witness.certificate: {settings.certificate} and {settings.key} are not a certificate "
                f"and its key: {_why(error)}"
            ) from error
    return context


def _no_passphrase() -> str:
    raise ssl.SSLError("the key has a passphrase, which nobody is there to type")


def _why(error: OSError) -> str:
    return error.strerror or getattr(error, "reason", None) or str(error)


def _password(settings: EtcdSettings) -> str:
    if settings.password_file is None:
        return settings.password or ""
    try:
        with settings.password_file.open("rb") as file:
            return file.read(_PASSWORD_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise ConfigurationError(f"witness.password_file: {settings.password_file}: {why}") from error


def _stamps(settings: EtcdSettings) -> list[tuple[int, int, int] | None]:
    """Return what changes when a file does."""
    return [
        _stamp(file)
        for file in (settings.ca, settings.certificate, settings.key, settings.password_file)
        if file is not None
    ]


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
