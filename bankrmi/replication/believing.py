"""Which epochs are acted on before the witness was asked, and who said what was not so.  Rules A2, V6.

Every epoch is won at the witness, so whoever tells of one that was won tells the truth or is wrong about the
world; and epochs only grow, so a reading that begins after somebody told of an epoch, and finds an older view
of the same history, proves that it was not so.

Rule 1: an epoch up to `epochs_unseen` above the newest one that the witness is known to have held may be
        acted on unseen: a standby has to go on with a primary whose view it could not read yet (F2).
Rule 2: any higher one is looked up first; until the witness answers, nothing changes for it.
Rule 3: a primary gives way to whoever tells of a newer epoch (A2), and looks.  What the witness refutes is
        not believed again, as long as the process lives that said it: else one liar could keep a bank busy
        with giving way and winning again for ever.
Giving way and adopting are only ever left out here, as if the message had been lost: that is always safe.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bankrmi.replication.messages import Superseded
from bankrmi.replication.step import Step
from bankrmi.replication.view import View

__all__ = ["CONTRADICTION", "Believing"]

CONTRADICTION = "contradiction"
"""The report of what cannot be, if all servers keep the rules: it was not acted on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """A server told of an epoch.  `early`: the reading that is under way began before that."""

    start_id: str | None
    history: str
    epoch: int
    early: bool


class Believing:
    """What one server believes of others."""

    def __init__(self, adopted_epoch: int) -> None:
        self._confirmed_epoch = adopted_epoch
        self._claims: dict[str, _Claim] = {}
        self._refuted: dict[str, str | None] = {}  # Servers, and which process of theirs it was.

    def may_be(self, epoch: int, step: Step) -> bool:
        """Whether to act on an epoch that the witness was not asked for."""
        return epoch <= self._confirmed_epoch + step.settings.epochs_unseen

    def claimed(self, claim: Superseded, step: Step, *, reading: bool) -> bool:
        """A server tells a primary of a newer epoch; return whether to give way to that."""
        server, start_id = claim.server, step.links.start_id(claim.server)
        if server in self._refuted and self._refuted[server] == start_id:
            return False
        if not self.may_be(claim.epoch, step):
            return False
        noted = _Claim(start_id=start_id, history=claim.history, epoch=claim.epoch, early=reading)
        self._claims.setdefault(server, noted)
        return True

    def witness_says(self, view: View | None, step: Step) -> None:
        """A reading of the view has ended (None: without an answer)."""
        if view is not None:
            self._confirmed_epoch = max(self._confirmed_epoch, view.epoch)
        for server, claim in list(self._claims.items()):
            if claim.early:
                self._claims[server] = replace(claim, early=False)
            elif view is not None:
                del self._claims[server]
                if (view.history, view.epoch < claim.epoch) == (claim.history, True):
                    self._refute(server, claim, view, step)

    def _refute(self, server: str, claim: _Claim, view: View, step: Step) -> None:
        self._refuted[server] = claim.start_id
        why = f"it told of epoch {claim.epoch}, and the witness holds epoch {view.epoch}"
        step.report(CONTRADICTION, server=server, why=why)

    def decided(self, view: View | None) -> None:
        """The witness answered a proposal, with the view as it is."""
        if view is not None:
            self._confirmed_epoch = max(self._confirmed_epoch, view.epoch)
