"""Files that change while it runs: what fits is taken, what does not is told once, and changes nothing."""

from __future__ import annotations

import logging
import logging.handlers
import os
import re
import shutil
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bankrmi.certificates import Credentials
from bankrmi.certificates.authority import create, renew, renew_authority, revocable, revoke
from bankrmi.certificates.identity import in_hex
from tests.certificates.made import anew, bank, between, copy_of, handshake, issue

Lines = list[tuple[str, str]]


class Clock:
    """A monotonic clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def looked(credentials: Credentials, times: int = 1) -> tuple[list[bool], Lines]:
    """Return what several looks said, and what was logged: level and sentence."""
    log = logging.getLogger("bankrmi.certificates")
    kept = logging.handlers.BufferingHandler(1_000)
    log.addHandler(kept)
    try:
        found = [credentials.look() for _ in range(times)]
    finally:
        log.removeHandler(kept)
    return found, [(line.levelname, line.getMessage()) for line in kept.buffer]


def test_nothing_is_opened_while_nothing_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = Credentials.of(folder, "server", "s1")

    def never(*_: object, **__: object) -> int:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(os, "open", never)
    assert looked(credentials, 100) == ([False] * 100, [])


def test_a_renewed_certificate_is_taken_for_connections_from_then_on(folder: Path) -> None:
    server, client = Credentials.of(folder, "server", "s1"), Credentials.of(folder, "client", "anna")
    before, context = server.own, server.server_context()
    renew(folder, "server", "s1", days=200)
    assert looked(server, 2) == ([True, False], [])
    assert server.own.serial != before.serial
    assert 199 < server.days_left < 201
    assert server.server_context() is not context
    for offered, serial in ((context, before.serial), (server.server_context(), server.own.serial)):
        seen = handshake(client.client_context(), offered)[0].getpeercert(binary_form=True)
        assert seen is not None
        assert client.identity_of(seen).serial == serial


def test_files_that_are_copied_one_after_the_other_are_taken_when_they_fit(
    folder: Path, tmp_path: Path
) -> None:
    """A look in between finds a key that does not fit: that is not worth a line, if the rest follows."""
    server = Credentials.of(folder, "server", "s1")
    other = copy_of(folder, tmp_path / "other")
    made = create(other, "server", "s1", days=100, overwrite=True)
    anew(folder / "server-s1.key", made.files.key.read_bytes())
    assert looked(server) == ([False], [])
    anew(folder / "server-s1.pem", made.files.certificate.read_bytes())
    assert looked(server, 3) == ([True, False, False], [])
    assert made.holder == server.own


def test_what_does_not_fit_is_told_once_and_the_old_one_stays_in_use(folder: Path) -> None:
    server, client = Credentials.of(folder, "server", "s1"), Credentials.of(folder, "client", "anna")
    before = server.own
    content = (folder / "server-s1.pem").read_bytes()
    anew(folder / "server-s1.pem", content[:200])
    found, lines = looked(server, 50)
    assert not any(found)
    ((level, said),) = lines
    assert level == "WARNING"
    assert said.startswith("new certificates cannot be used, those before stay in use: ")
    assert "server-s1.pem is no certificate, or only a part of one" in said
    assert server.own == before
    handshake(client.client_context(), server.server_context())
    anew(folder / "server-s1.pem", content)
    assert looked(server, 2) == ([False, False], []), "the same as before: nothing is different"
    anew(folder / "server-s1.pem", content[:100])
    assert len(looked(server, 2)[1]) == 1, "broken anew is told anew"


@pytest.mark.parametrize("name", ["ca.pem", "server-s1.pem", "server-s1.key"])
def test_a_file_that_is_gone_takes_nothing_from_a_process_that_runs(folder: Path, name: str) -> None:
    server = Credentials.of(folder, "server", "s1")
    (folder / name).unlink()
    found, lines = looked(server, 3)
    assert not any(found)
    assert len(lines) == 1
    assert f"{name} is missing" in lines[0][1]


def test_a_folder_that_is_gone_takes_nothing_either(folder: Path) -> None:
    server = Credentials.of(folder, "server", "s1")
    shutil.rmtree(folder)
    found, lines = looked(server, 3)
    assert not any(found)
    assert len(lines) == 1


def test_what_comes_too_early_is_told_once_and_not_taken(folder: Path) -> None:
    clock = Clock()
    server = Credentials(folder, "server", "s1", clock)
    before = server.own
    issue(folder, "server", "s1", between(1, 90))
    found, lines = looked(server, 3)
    assert (found, len(lines)) == ([False] * 3, 1)
    assert "does not count before" in lines[0][1]
    clock.now += 61
    assert looked(server, 3) == ([False] * 3, [])
    assert server.own == before


def test_what_came_too_early_is_taken_when_its_time_has_come(folder: Path) -> None:
    """No file changes then, so it is tried again every minute."""
    clock = Clock()
    server = Credentials(folder, "server", "s1", clock)
    issue(folder, "server", "s1", between(3 / 86_400, 90))
    deadline = time.monotonic() + 60
    while not server.look():
        assert time.monotonic() < deadline
        clock.now += 61
    assert 89 < server.days_left < 91


def test_a_renewed_authority_goes_on_to_count(folder: Path) -> None:
    server, client = Credentials.of(folder, "server", "s1"), Credentials.of(folder, "client", "anna")
    renew_authority(folder, days=5000)
    assert looked(server) == ([True], [])
    handshake(client.client_context(), server.server_context())
    handshake(Credentials.of(folder, "client", "anna").client_context(), server.server_context())


def test_another_authority_alone_is_not_taken(folder: Path, tmp_path: Path) -> None:
    """By mistake, or by whoever can write one file and not the others."""
    server = Credentials.of(folder, "server", "s1")
    anew(folder / "ca.pem", (bank(tmp_path / "other") / "ca.pem").read_bytes())
    found, lines = looked(server, 2)
    assert not any(found)
    assert "was not issued by the authority in" in lines[0][1]
    stranger = Credentials.of(tmp_path / "other", "client", "anna")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(stranger.client_context(), server.server_context())


# -- what is revoked -----------------------------------------------------------------------------------


def _gone(file: Path) -> None:
    file.unlink()


def _rubbish(file: Path) -> None:
    file.write_bytes(b"\xffrubbish\n")


def _a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _writable_by_everybody(file: Path) -> None:
    file.chmod(0o666)


@pytest.mark.parametrize("spoil", [_gone, _rubbish, _a_pipe, _writable_by_everybody])
def test_a_list_that_cannot_be_read_takes_nothing_back_and_is_told_once(
    folder: Path, spoil: Callable[[Path], None]
) -> None:
    server = Credentials.of(folder, "server", "s1")
    anna = Credentials.of(folder, "client", "anna").own
    file = revoke(folder, revocable(folder, "client", "anna"))
    assert looked(server, 2) == ([True, False], [])
    spoil(file)
    found, lines = looked(server, 10)
    assert not any(found)
    assert server.is_revoked(anna.serial)
    ((level, said),) = lines
    assert (level, said.partition(": ")[0]) == ("WARNING", "what was revoked stays so (1 in all)")
    assert str(file) in said


def test_a_line_that_is_none_does_not_keep_the_others_from_counting(folder: Path) -> None:
    """In a hurry one line is written wrong: the right one has to work all the same."""
    server, anna = Credentials.of(folder, "server", "s1"), Credentials.of(folder, "client", "anna").own
    olga = Credentials.of(folder, "operator", "olga").own
    revoke(folder, revocable(folder, "operator", "olga"))
    server.look()
    text = f"client-anna\n{in_hex(anna.serial).upper()}\n"
    (folder / "revoked.txt").write_text(text)
    found, lines = looked(server, 2)
    assert found == [True, False]
    assert "line 1: 'client-anna' is not a serial number in hex" in lines[0][1]
    assert server.is_revoked(anna.serial)
    assert server.is_revoked(olga.serial), "nor is anything taken back"


def test_what_a_good_list_has_no_more_counts_again(folder: Path) -> None:
    server, anna = Credentials.of(folder, "server", "s1"), Credentials.of(folder, "client", "anna").own
    file = revoke(folder, revocable(folder, "client", "anna"))
    server.look()
    file.write_text("# none\n")
    assert looked(server, 2) == ([True, False], [])
    assert not server.is_revoked(anna.serial)


@pytest.mark.parametrize("form", ["{0}", "  {0}  # why", "{1}", "{0}\r", "{2}", "\ufeff{0}"])
def test_serial_numbers_are_read_as_tools_write_them(folder: Path, form: str) -> None:
    server, anna = Credentials.of(folder, "server", "s1"), Credentials.of(folder, "client", "anna").own
    written = in_hex(anna.serial)
    pairs = ":".join(written[place : place + 2] for place in range(0, len(written), 2))
    (folder / "revoked.txt").write_text(form.format(written, written.upper(), pairs) + "\n", newline="")
    assert looked(server) == ([True], [])
    assert server.is_revoked(anna.serial)


def test_one_look_takes_all_that_has_changed(folder: Path) -> None:
    """Who is revoked is cut off at once, though a certificate was renewed in the same second."""
    server, anna = Credentials.of(folder, "server", "s1"), Credentials.of(folder, "client", "anna").own
    revoke(folder, revocable(folder, "client", "anna"))
    renew(folder, "server", "s1", days=77)
    assert server.look()
    assert server.is_revoked(anna.serial)
    assert server.days_left < 78


def test_a_broken_certificate_does_not_keep_revocations_out(folder: Path) -> None:
    server, anna = Credentials.of(folder, "server", "s1"), Credentials.of(folder, "client", "anna").own
    revoke(folder, revocable(folder, "client", "anna"))
    (folder / "ca.pem").unlink()
    assert server.look()
    assert server.is_revoked(anna.serial)


def test_who_is_revoked_himself_is_told_so(folder: Path) -> None:
    server = Credentials.of(folder, "server", "s1")
    revoke(folder, revocable(folder, "server", "s1"))
    found, lines = looked(server, 5)
    assert found == [True, False, False, False, False]
    assert lines == [("ERROR", "the own certificate is revoked: nobody takes it any more: server s1")]


# -- the end -------------------------------------------------------------------------------------------


def test_the_last_days_are_told_once_a_day(folder: Path) -> None:
    issue(folder, "server", "s1", between(-1, 29.5))
    clock = Clock()
    server = Credentials(folder, "server", "s1", clock)
    _, lines = looked(server, 100)
    ((level, said),) = lines
    assert level == "WARNING"
    assert re.match(
        r"the certificate server-s1 ends on \d{4}-\d\d-\d\d: `bankrmi cert renew server-s1`", said
    )
    clock.now += 86_401
    assert len(looked(server, 100)[1]) == 1
    assert renew(folder, "server", "s1", days=60).holder is not None
    clock.now += 86_401
    assert looked(server, 3) == ([True, False, False], [])


def test_an_end_that_is_far_is_not_told(folder: Path) -> None:
    issue(folder, "server", "s1", between(-1, 31))
    assert looked(Credentials.of(folder, "server", "s1"), 3)[1] == []


def test_an_end_of_the_authority_is_told_as_such(folder: Path) -> None:
    renew_authority(folder, days=10)
    [line] = looked(Credentials.of(folder, "server", "s1"), 3)[1]
    assert "the certificate ca ends on" in line[1]


def test_an_end_that_has_come_is_told_at_once_and_once(folder: Path) -> None:
    """Though it was told that day that it comes; and who is asked says that it counts no more."""
    issue(folder, "server", "s1", between(-1, 2 / 86_400))
    server = Credentials.of(folder, "server", "s1")
    [(level, said)] = looked(server, 3)[1]
    assert (level, "server-s1 ends on" in said, server.why_not()) == ("WARNING", True, "")
    deadline = time.monotonic() + 60
    while not server.why_not():
        assert time.monotonic() < deadline
    assert server.why_not() == "the certificate of server s1, or its authority's, has ended"
    [(level, said)] = looked(server, 3)[1]
    assert (level, "server-s1 ended on" in said) == ("ERROR", True)
    renew(folder, "server", "s1", days=200)
    assert looked(server, 2) == ([True, False], [])
    assert not server.why_not()


def test_who_is_revoked_himself_counts_no_more(folder: Path) -> None:
    """From the moment on in which the list says so, and not only from when it is looked at."""
    server = Credentials.of(folder, "server", "s1")
    revoke(folder, revocable(folder, "server", "s1"))
    assert server.why_not() == "the certificate of server s1 is revoked"
