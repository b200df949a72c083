"""Every order of events of a small bank, over production's rules and journal, states recognized as seen.

Two servers, one witness, one client with two requests.  How a state is copied: it is not.  A server is a
function, `Replica.step`, of what it is and what happens to it; a state of a server is a value (all of its
memory, found by looking, and the content of its disk) with a number, and each step is asked of production's
code once and then known.  The bank is a tuple of such numbers, so a move is a few look-ups, and production's
code runs once for some twenty moves.  Disks are production's `SqliteJournal` on databases in memory, one for
each content that ever occurs; what a step wrote is read off and taken back.

Time is not simulated.  A server's clock moves only when it ticks: by a moment (all that heartbeats, polls and
pauses wait for) or long (every timeout).  Ages are kept as far as they make a difference, numbers of messages
as far as one is waited for, so that a bank to which nothing happened is the same bank again, and a search
ends.  While all is quiet, moments pass freely; a moment while something is under way, and a long time, are
haste, and bounded: everything below is complete only together with that bound.  With leases, all clocks go
together, by half a lease.

    search        breadth first, to the end or until the time is over
    bounds        which troubles may come, how often; how time passes
    state         a whole bank as one value
    bank          everything that can happen to it next
    promises      what holds in every state
    server        one server as a function, each step known after the first time
    scribe        what a server does in one step, written down through production's carrier
    memory        what a server's process remembers, as a value, and back
    kept          things that never change, by number
    disks         production's journal, by content
    forgetting    what can make no difference any more
    client        what the client wants, and whether what it is told can be true
    beginning     the settled bank where a search begins
    words         a trace in words
"""
