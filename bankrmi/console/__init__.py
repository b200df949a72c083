"""A page that shows one's own bank as it is, and lets one break it; and recordings of it, on the same page.

    app        the web server: the page, the stream of events, what may be asked for
    guard      who may ask: this machine's browser, and whoever has the token
    events     what happens, as values: the one format of the stream and of recordings
    feed       what has happened lately, and whoever listens
    watching   asks the bank how it is, and says what has changed
    teller     calls of a person, and a load
    periods    what became of calls, in sums
    silences   for how long nobody was answered
    misfortunes  what can be done to a bank on this machine, and with which command
    local_processes  which processes of the bank run here, and what they do
    local_usage  what they use of the machine
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
