"""What did each server say last, and what is true, by that, of a call that ends without an answer?

Rule 1: `Unreached` and `Busy` ("it did not happen") are said only while no server may have taken the request,
        or of a read, which changes nothing. Anything else that ends without an answer is `InDoubt`.
Rule 2: the sentence says why: who said what, or did not say anything, last.
"""

from __future__ import annotations

from collections.abc import Sequence

from bankrmi.client.decisions import Candidate
from bankrmi.errors import BankError, Behind, Busy, InDoubt, NotPrimary, Unreached, Unsettled

__all__ = ["LastWords"]


class LastWords:
    """Those of all servers, in one call."""

    __slots__ = ("_words", "reason", "refusals")

    def __init__(self) -> None:
        self._words: dict[Candidate, type[BankError] | None] = {}
        self.reason = "there was no time to ask anyone"
        """What came of the last attempt that ended, or fell silent."""
        self.refusals = 0
        """How often we heard `Busy`."""

    def take_failure(self, candidate: Candidate, error: BankError) -> None:
        """Note what it said."""
        self.reason = f"{candidate.server}: {error.message}"
        self._words[candidate] = type(error)
        self.refusals += isinstance(error, Busy)

    def take_silence(self, candidate: Candidate, reason: str) -> None:
        """Note why it says nothing."""
        self.reason = f"{candidate.server} ({candidate.address}): {reason}"
        self._words[candidate] = None

    def all_are_behind(self, candidates: Sequence[Candidate]) -> bool:
        """Whether the last word of every server is `Behind`, or `NotPrimary` of some of them."""
        words = [self._words.get(candidate) for candidate in candidates]
        return Behind in words and all(word in (Behind, NotPrimary) for word in words)

    def given_up(self, reason: str, *, request_id: str | None, may_have_been_taken: bool) -> BankError:
        """Return what is true of a call that ends now; `request_id` is None for a read."""
        if request_id is not None and may_have_been_taken:
            return InDoubt(
                f"the outcome of {request_id} is unknown ({reason}); ask for it by this id",
                request_id=request_id,
            )
        if self.refusals:
            return Busy(f"the bank has too much to do, and nothing was done ({reason})")
        if Unsettled in self._words.values():
            return Unsettled(f"no server gave an answer that can be used ({reason})")
        if may_have_been_taken:
            return Unreached(f"no server answered in time, and nothing was changed ({reason})")
        if NotPrimary in self._words.values():
            return Unreached(f"no server that leads could be reached, and nothing was done ({reason})")
        return Unreached(f"no server could be reached, and nothing was done ({reason})")
