"""Real processes under real faults, with a verdict and a report.

Before the run, and between its processes:

    schedule        what the nemesis is going to do, and the timing of the bank: drawn from a seed
    storms          what such a schedule is made of, whoever is aimed at, and how its storms pass
    workload        what clients want of the bank: drawn from a seed
    network         what lies between processes, and can be taken away: what both kinds of it can do
    namespaces      with root: networks of their own, and packets that are dropped between them
    relays          without: a relay on each link

The run:

    chaos           from the order to the verdict
    run             up, storms, healing, rest: the course of a run
    bank            the directory, the configurations, and what can be asked of the bank
    etcd            three members of it, that keep the view in the place of a witness
    processes       started, killed, paused, and never touched unless they are ours
    clients         the client processes, as chaos sees them
    client_process  one of them: calls, and what comes of them, written down
    ordered_clients  what each of them does: its order, how far it is, its end
    crowds          strangers, and rushes of our own clients: come and go
    strangers       traffic of strangers, as costly as every limit allows
    rolling_out     newer code for one server after the other
    slow_disk       a disk that takes its time, by strace
    roster          takes servers out of the bank, and puts them back
    nemesis         carries out the schedule, and takes everything back
    fault_log       what was done, from when to when

After it:

    summing_up      from the files of a run to all that was found
    measures        calls, failovers and counts, as clients saw it
    roles           what each process was, and when
    recorded        the values that a finished run consists of
    figures         all of that in sums; pure
    wording         figures and faults in words
    telling         a run in words, for a terminal
    retold          the same as events, for a recording
    report          that recording in one HTML file, with the page that shows it (bankrmi.console)
"""
