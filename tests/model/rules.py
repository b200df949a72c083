"""The rules that can be switched off, each to show what it is for."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["PIPELINED_ONLY", "SECOND_LOCKS", "Rule"]


class Rule(StrEnum):
    """One rule of docs/design.md, or one clause of it; the name begins with the rule's."""

    A1_COPIES = "an answer waits until every copy in sync has acknowledged"
    A1_OWN_DISK = "an answer waits until the primary's own disk has the entry"
    A1_STANDBY_DISK = "a standby acknowledges what is durable, not what it has in memory"
    A1_RECORDED = "a recorded outcome waits like any other answer"
    A2_ADOPTED = "no checkpoint of an epoch below the adopted one is taken"
    A2_ACTS = "a standby acknowledges in an epoch only when its adoption is durable"
    A2_LEADS = "a primary acts in an epoch only when its adoption is durable"
    A3_LATE = "nothing is removed merely because a message ends earlier"
    A3_BASE = "a message of a newer epoch removes nothing up to the base that the primary began with"
    A3_CONFLICT = "what conflicts with the primary's entries is removed"
    A5_EPOCH = "an acknowledgement counts in its epoch only"
    A5_DISK = "an acknowledgement counts only from the disk that is named"
    V2_FIRST = "going on alone is won before anything is acknowledged alone"
    V3_MANDATORY = "a joiner that may win its way in is waited for"
    V3_EVERYTHING = "a joiner is let in when it holds everything that was acknowledged"
    V3_INHERITED = "and what the primary began with"
    V3_OTHER_DISK = "while a let-in is unsettled, no other disk takes the joiner's place"
    V4_FRESH = "a primary that starts again leads in a fresh epoch only"
    V5_STOPS = "a primary that hands over takes no requests and reads"
    V5_RESUME = "and resumes only by winning, if its gift may still win"
    V6_SETTLE = "a proposal whose answer was lost may still win"
    V7_MEMBER = "only a member takes over"
    V7_OFF = "whoever is forced to lead does so when all in sync, and all who lead, were switched off"
    V7_OFF_ALL = "those as well that lead an epoch before, and were left behind since"
    V8_NEW_MEMBER = "a server with another disk is not the member that the view names"
    V8_NAMED_DISK = "a new disk does not count in the named one's place before the view names it"
    V8_WITNESS_ONLY = "an empty server believes only what the witness says after its start"
    V9_RESTORE = "a restore goes by the highest adopted epoch, not by the newest journal"
    V12_HOME = "a process leads only where the view says that its server lives"
    V12_NOT_ITSELF = "a primary moves others, never itself"
    V12_LEAVES = "who is moved is no longer in sync"
    V12_JOINS = "a joiner is let in only where the view says that it lives"
    V12_PROOF = "a refusal proves only that nobody lives at that address"
    V12_READ = "before it has read the view, a new process proves nothing by the addresses of its file"
    V14_CARRIED = "every later view says that the servers are retired"
    V14_DECIDES = "who leads such a view decides nothing"
    V14_READS = "and reads nothing"
    V14_ANSWERS = "and tells of nothing but what it has decided itself before, since it leads"
    V14_LEADS = "who moves the bank copies what a server holds that leads such a view"
    V14_SEEN = "and not one before that in which he has seen the servers retired"
    V14_ALL = "and all of it is acknowledged there"
    V14_NOTED = "who leads notes it with the epoch, and a restore goes by that"
    V14_CANCEL = "what was brought is taken away before the servers are reinstated"
    V14_SERVED = "a move begins anew only while the servers serve"
    V14_SAME = "who cancels reinstates from that retirement which he saw before he took anything away"
    O1_ONCE = "a request that is in the journal is not decided again"
    R1_UNSETTLED = "a primary with a let-in that may win is not alone"
    R2_LEASE = "a primary reads by itself only while it holds every lease"
    R3_WAIT = "a server leads when the leases are over that it granted"
    R3_LEADS = "and that counts when it leads, not when it proposes"
    R3_LENGTH = "the lease that a message names binds, not the receiver's own setting"
    R3_RESTART = "a new process waits, too"
    R3_NOTED = "and for the longest lease that its disk has noted, not for its own setting"
    R3_EVERY = "the leases granted to every server count, not the newest alone"
    R3_PROOF = "a proof of death counts against grants made before the look began"
    R4_SAW = "a read waits until the newest entry that it shows is acknowledged"
    R4_EPOCH = "in this epoch: what the primary began with may not have been"


PIPELINED_ONLY = frozenset({Rule.A1_STANDBY_DISK, Rule.A2_ACTS, Rule.A2_LEADS})
"""Where a commit holds everything up, these cannot be broken."""

SECOND_LOCKS = frozenset({Rule.R3_EVERY, Rule.V8_WITNESS_ONLY, Rule.V12_LEAVES, Rule.V12_JOINS})
"""Without one of these no search has gone wrong yet: another rule stands before it.

R3_EVERY: whoever leads a newer epoch was a member, and has waited for what it granted itself; so no older
primary reads any more. V8_WITNESS_ONLY: what V3_OTHER_DISK and V8_NAMED_DISK do not stop is a restore that is
misled by the copy of a deposed primary. V12_LEAVES and V12_JOINS: whoever does not live where the view says
leads nothing (V12_HOME); without them it would be in sync all the same, and nobody could be led by it.
"""
