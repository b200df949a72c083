"""What a stopped process left on its disk: is it whole, and does it agree with itself?

Its files:

    directories        which databases there are below a folder, each judged with its directory locked
    backup_file        a backup, whole or an increment: pages, label, records
    comparing          where two copies of a journal part
    statement_check    is a statement what a journal says?
    compared_sessions  whether they remember the same requests
    stopped_directory  a directory that nobody uses, read without a change
    server_directory   a server's database: pages, log, journal, accounts, adopted epoch
    witness_directory  the witness's: pages, checksums, the order of the views
    record_check       the one check of records: digests, requests, outcomes
    model              what must come of operations: a plain dictionary
    service_check      the state of a class: its journal, and the tables that lead back through it
    journal_check      a whole copy: its records, and the accounts beside them
    write_ahead_log    what the bytes of SQLite's log prove
    verdict            what came of it
"""
