"""What is asked of a bank of ours alone, or of a class, beside throughput: each file is one row.

A row yields its findings one after the other, as they are found: an interrupted run keeps those.

    row             what a row is handed, and what several of them do
    all             the table of rows
    one_client      one client of ours beside whatever happens
    failover        how long nobody is answered
    cut_off         the same, when the primary is cut off
    growth          does it get slower as it grows?
    slow_disk       what reads cost while each fsync takes 5 ms
    catching_up     until a standby that was away is in sync again
    own_clients     what our own clients cost besides the calls
    crowds          idle ones, slow ones, storms of connections, hoarders
    engine          servers on a database: throughput against how many there are
    daemon          calls a second of a daemon's CPU

    of_classes      the table of rows of classes, and what these are handed
    class_failover  how long nobody is answered by a class
    across          what a call costs that calls other services
    beside          what services of one pair cost each other
"""
