"""What did each server say last, and what is true, by that, of a call that ends without an answer?

Rule 1: `Unreached` and `Busy` ("it did not happen") are said only while no server may have taken the request,
        or of a read, which changes nothing. Anything else that ends without an answer is `InDoubt`.
Rule 2: the sentence says why: what each server said last, or that it said nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from bankrmi.client.decisions import Candidate
from bankrmi.errors import BankError, Behind, Busy, InDoubt, NotPrimary, Unreached, Unsettled

__all__ = ["LastWords"]


class LastWords:
    """Those of all servers, in one call."""

    __slots__ = ("_sentences", "_words", "refusals")

    def __init__(self) -> None:
        self._words: dict[Candidate, type[BankError] | None] = {}
        self._sentences: dict[Candidate, str] = {}
        self.refusals = 0
        """How often we heard `Busy`."""

    def take_failure(self, candidate: Candidate, error: BankError) -> None:
        """Note what it said."""
        self._sentences[candidate] = f"{candidate.server}: {error.message}"
        self._words[candidate] = type(error)
        self.refusals += isinstance(error, Busy)

    def take_silence(self, candidate: Candidate, reason: str) -> None:
        """Note why it says nothing."""
        self._sentences[candidate] = f"{candidate.server} ({candidate.address}): {reason}"
        self._words[candidate] = None

    @property
    def reason(self) -> str:
        """What came of the last attempt at each server, in the order of their names."""
        said = sorted((candidate.server, sentence) for candidate, sentence in self._sentences.items())
        return "; ".join(sentence for _, sentence in said) or "there was no time to ask anyone"

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
