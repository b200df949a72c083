"""`bankrmi migrate`: a bank goes from servers that keep it themselves to a database, and back.

    to_database   from the journal and the accounts of servers, while they serve, and then retired
    to_servers    from a database that is retired, as the backup that a bank begins anew with
    retirement    what is the last of a bank that leaves its servers, and which retirement is taken back
    kinds         what can be moved

Rule 1: at no moment may both acknowledge. Who gives the bank away is retired first, durably: the servers by
        their view (V14), the database by the row that each of its transactions reads. Only what is frozen so
        is read to its end; only when that is there, whole, the other one opens.
Rule 2: it can be interrupted at any moment, and run again: what is found at both ends says how far it is.
Rule 3: who tries again what was acknowledged before gets the recorded outcome afterwards; of the newest
        request of each session, at least (O1, O5).
"""
