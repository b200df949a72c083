"""A PostgreSQL that fails over by itself, of programs on this machine: what `up` and `chaos` put `engine` on.

    programs    which programs that takes, and as whom they run
    members     the members of the database and of etcd: their files, and the commands that run them
    passwords   of the database; made once, kept in a file
    kept        a program that is none of ours, and that leaves nothing behind: a process of its own
    descent     who descends from a process
    asking      what the members say of themselves
    http        one question to one of them

Patroni looks after each PostgreSQL, and the leader's key in etcd says which of them takes changes.

Rule 1: nothing of this machine's own PostgreSQL is touched: folders, ports and users are ours.
Rule 2: whatever happens to whoever started it, no process of it is left.
Assumption: Debian's packages, or others that work alike: PostgreSQL 15, Patroni 3.0, etcd 3.4.
"""
