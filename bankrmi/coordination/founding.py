"""A bank that begins anew with a restored copy: is there none that lives, and who makes its first view.

An old copy has forgotten what was acknowledged since. Where a living bank would take it for its own, that is
lost; so nothing may be left of the bank that it is a copy of: no view, and no copy that may be newer.

Rule 1: the witness answers, and holds no view. One that cannot be asked may hold one.
Rule 2: every other server answers, and holds nothing; or the operator gives it up by name, with all that it
        held. His word stands for those that do not answer, never for one that says that it holds something.
Rule 3: the first view has this copy alone, and a history of its own, in an epoch far above any that the bank
        before can have reached since: one of its servers that comes back later, given up as it was, finds the
        newer view, and joins that.
Rule 4: it is proposed as the first one, by compare-and-set: of two that are restored at a time, one wins.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from bankrmi.config import Configuration
from bankrmi.coordination.keepers import asked_keeper, keeper_in_words
from bankrmi.coordination.restoring import holding_of, propose
from bankrmi.errors import OperationFailed
from bankrmi.foreign_text import foreign
from bankrmi.replication.messages import Holdings
from bankrmi.replication.view import View

__all__ = ["EPOCHS_SINCE_A_BACKUP", "check_that_none_lives", "found"]

EPOCHS_SINCE_A_BACKUP = 1_000_000
"""More than a bank wins between a backup and the day on which it is needed: one a minute for two years."""


def check_that_none_lives(
    configuration: Configuration, server: str, *, given_up: Collection[str] = ()
) -> None:
    """Raise OperationFailed, with the reason, unless a bank may begin with a restored copy at `server`."""
    view = asked_keeper(configuration).read()
    if view is not None:
        raise OperationFailed(
            f"the bank lives: {keeper_in_words(configuration)} holds a view (epoch {view.epoch}), and with "
            "an old copy it would lose what was acknowledged since. While a server of it is left, an empty "
            "one joins that by itself; if none is, move the witness's folder away, start it, and restore"
        )
    names = list(configuration.servers)
    with ThreadPoolExecutor(len(names)) as pool:
        told = pool.map(lambda name: holding_of(name, configuration, "holdings"), names)
    for name, answer in zip(names, told, strict=True):
        if why := _objection(name, answer, is_itself=name == server, is_given_up=name in given_up):
            raise OperationFailed(why)


def _objection(name: str, answer: Holdings | str, *, is_itself: bool, is_given_up: bool) -> str:
    match answer:
        case Holdings() if is_itself:
            return f"{name} runs: stop it first"
        case Holdings(history=None):
            return ""
        case Holdings(tip=tip, history=history):
            return (
                f"the bank lives: {name} holds it up to action id {tip.action_id} (history "
                f"{foreign(history)}), and with an old copy it would lose that; `bankrmi witness restore` "
                "makes it go on with what it holds"
            )
        case str() if is_itself or is_given_up:
            return ""
    return (
        f"{name} cannot be asked ({answer}), and may hold more than the backup: start it, or say "
        f"--give-up {name} if all that it held is lost"
    )


def found(configuration: Configuration, view: View) -> bool | None:
    """Propose the first view; return whether it won, None if that cannot be known."""
    try:
        return propose(configuration, view) == view
    except OperationFailed:  # It lost, or its answer was lost, or could not be read.
        return _is_known_to_have_won(configuration, view)


def _is_known_to_have_won(configuration: Configuration, view: View) -> bool | None:
    """Settle a proposal whose answer was lost (V6): it has won if it is the view, has lost if another is."""
    try:
        holds = asked_keeper(configuration).read()
    except OperationFailed:
        return None
    return None if holds is None else holds == view  # None: it may still be on its way.
