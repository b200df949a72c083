"""Which answer may be the last of a bank that leaves, and which retirement is taken back.  Pure (ADR 55).

Rule 1: the last of it is what a server holds that leads a view in which the servers are retired, all of it
        acknowledged there; and no view before the one in which whoever moves the bank has seen them retired:
        a server that led before may not have heard that they were reinstated, and retired again (V14).
Rule 2: who cancels a move takes back the retirement that he saw before he took away what was brought, and no
        later one: by a later one somebody else may have moved the bank meanwhile.
Rule 3: what comes there anew is begun while the servers serve: who cancels may have taken away what was
        there, and be about to have them reinstated.
Rule 4: a bank is brought to more than one database perhaps, as long as the servers serve; it opens in the one
        that they were retired for, and in no other.
Rule 5: it is the same retirement as long as each view since says that the servers are retired.
"""

from __future__ import annotations

from collections.abc import Iterable

from bankrmi.backup.fetching import PieceAnswer
from bankrmi.replication.view import View

__all__ = ["is_frozen", "is_the_same", "may_begin"]


def may_begin(view: View, *, anew: bool) -> bool:
    """Return whether what was written there may stay: `anew`, where there was nothing; `view`, read since."""
    return not anew or view.retired_for is None


def is_frozen(now: PieceAnswer, seen: View) -> bool:
    """Return whether all that this server holds is all that was ever acknowledged, and ever will be.

    `seen`: the newest view in which whoever asks has seen the servers retired.
    """
    leads_retired = now.retired_for is not None and now.retired_for == seen.retired_for
    is_as_new = now.history == seen.history and now.epoch >= seen.epoch
    return leads_retired and is_as_new and now.acknowledged >= now.tip.action_id


def is_the_same(seen: View, now: View, views: Iterable[View]) -> bool:
    """Return whether the servers are retired in `now` as they were in `seen`; `views`: newest first."""
    if seen.retired_for is None or now.retired_for is None or seen.history != now.history:
        return False
    if (seen.epoch, seen.retired_for) == (now.epoch, now.retired_for):
        return True
    for view in views:
        if view.retired_for is None or view.history != seen.history:
            return False
        if view.epoch <= seen.epoch:
            return True
    return False
