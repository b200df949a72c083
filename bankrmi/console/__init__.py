"""A page that shows one's own bank as it is, and lets one break it; and recordings of it, on the same page.

    app        the web server: the page, the stream of events, what may be asked for
    guard      who may ask: this machine's browser, and whoever has the token
    events     what happens, as values: the one format of the stream and of recordings
    hello      the first of them: whose they are
    feed       what has happened lately, and whoever listens
    watching   asks the bank how it is, and says what has changed
    rolled_back  what servers on this machine have rolled back
    misfortunes  what can be done to a bank on this machine, and with which command
    bank_here    that bank: its processes, the `up` that runs them, and how it was last
    broken_processes  killed, frozen, stopped; and the way back
    broken_disks      deleted, full; the witness's memory lost
    broken_links      cut, slow
    disks        data directories, emptied and filled
    felt         what was done, from when until when, and how it is undone
    rule_search  the first history that goes wrong without a rule, by the simulator
    teller     calls of a person, and a load: what all tellers have
    account_teller  that of a bank
    method_teller   that of a class, or of several in one pair
    method_forms    a form for each of their methods, by its annotations
    periods    what became of calls, in sums
    silences   for how long nobody was answered
    local_usage  what the processes use of the machine
    recorder   the events of a bank that runs, into a file
    prober     a client that looks up, while it is recorded
    recording  that file: written line by line, and read though others may have written it
    retelling  a recording in a few lines of words
    one_page   a recording and all of the page in one HTML file
    bundle     the page's modules as one script
    page/      what the browser gets

Rule 1: the console is a process of its own, and knows the bank by the public client, by status calls and by
        its processes' numbers: its end touches nothing.
Rule 2: whatever is shown is kept for a while and in a bounded number; whoever cannot follow begins anew.

Nothing is imported here: what records and reads needs nothing of what `app` serves with, an extra.
"""
