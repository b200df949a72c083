"""The rules of docs/design.md as an explicit-state model: every order of events within small bounds.

    rules       what can be switched off, by name
    laws        the rules that are kept, and the bounds
    bounds      how much may happen, and which parts of the world there are
    state       the values that a state is made of
    disks       what a process has written, and what of it the disk has
    leases      who may not lead yet, and who may read
    witness     proposals, the view, restoring it
    leader      what a leader does: decide, acknowledge, let in, hand over
    follower    what everybody does: follow, take over, lead, copy, crash
    mover       who moves the bank to a database, and who takes that back
    promises    what must hold in every state
    search      breadth first, with the shortest history that goes wrong
    __main__    `python -m tests.model --servers 2 --epochs 3`

A state is a value. Checkpoints and acknowledgements arrive in any order, repeated, late or never; proposals
are arbitrarily late, and their answers lost; a crash loses memory and what is not durable. Nobody needs a
reason to propose: whoever may take over or go on alone does so at any time. So a primary that is stuck
without the witness, and lets another lead (V2, ADR 15), is in every search; so is one that looks for news
(V6, ADR 13).

Servers come, go and move (`--changes`): each has two addresses, and starts at either after a crash. Whoever
looks at an address where that server does not live is refused, however alive it is elsewhere.

More is allowed here than the code does: a view that a process before has won is led by the next one, and a
lease holds from the arrival of a checkpoint, not from its sending.

Not modelled: time but for the lengths of leases, digests, R2's round trip, R5, O2 to O4, batches (A4), the
first view, two processes of one server at once, how a joiner shows its tail, versions of the protocol (V13:
what an old server cannot read it never gets, so here all read all). What servers tell each other of a view
is never newer than the witness's, so neither V6's readings nor believing (ADR 21) are here.

Before you change a rule, change it here, and search again.
"""
