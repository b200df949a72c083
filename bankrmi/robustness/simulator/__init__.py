"""Whole banks in one process, under faults drawn from a seed: rules, carrier, links, storage and retries are
production's; the network, clocks, disks and the life of processes are simulated.

    simulation    one seed, from its first event to its verdict
    many          many seeds, on several processes
    cluster       what whoever plays in it may ask of the others
    whole_cluster the same, for those who watch, harm, load or end it
    world         time, chance and the network
    faults        what goes wrong in one seed, and how often
    nemesis       makes it go wrong: processes, disks, network
    server        a machine with a server on it: its life and its clock
    loop          its event loop: one thing after the other, callers in their turns
    desk          where callers are let in
    bounds        how much callers may have waiting there, and add
    work          what work costs
    load          a world in which nothing goes wrong, and there is much to do
    crowd         strangers in it
    process       one process of it: production's carrier and links, on simulated ports
    own_process   the same as its parts see it
    network       its connections to the others
    disk          its disk
    images        what that holds durably, and may hold after a crash
    folded        its journal, which tells what leaves it
    copying       the copies of databases that it makes, and gets
    client        a client: what it asks, and all that it was told
    stock_client  a stock Pyro proxy, bound to one server, whoever leads
    asked         one call of either
    witness       the keeper of the view
    operator      restores the view when the witness has lost its memory
    maintenance   pauses automatic takeover, resumes it, and has servers lead by force
    steward       adds, removes, moves and replaces servers while everything else goes on
    rollout       puts new code on the machines, one after the other, where there are releases of it
    bank_mover    moves the bank to a database, and takes that back, at badly timed moments
    operator_command  the commands by which it does that, step by step
    pretend_database  what it moves to
    exporting     exports all accounts now and then
    workload      what clients ask for
    promises      what must never be seen, watched after every step
    recovery      the last phase: faults stop, and all must be well soon
    history       the clients' calls and the servers' disks, for the checker
    failure       what a broken promise is
    trace         what happened, as values
    chart         what happened, as a sequence chart in text

`simulation` assembles all of it. Who plays knows the others as a `Cluster`, and nobody imports in a circle.

One seed is one history, to the byte: whatever is drawn is drawn from the seed, and nothing reads a clock.
"""
