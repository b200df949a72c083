"""Backups: taken from a server while it serves, and put back into an empty data directory.

Its files:

    taking          one backup, from the question to the file under its name
    fetching        what is asked of a server, how fast, and what of its answers is believed
    draft           the file while it is made
    chain           a whole backup and the increments that continue it, read as one journal
    point           which action id `--to` and `--at` mean
    rebuilding      a server's database, made of a chain
    restoring       one restore: refused where the bank may live, and then put in place
    service_copy    one backup of the state of a class: a copy of a database
    service_export  that state as lines of JSON

Rule: what is written here is read back and checked before anybody is told that it is there.
"""
