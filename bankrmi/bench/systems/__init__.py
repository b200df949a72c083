"""What is measured: a bank of ours, and what people would use instead, each in its fastest form.

Each file is one system; its docstring says what it does that a bank does not, or the other way round.

    system          what is asked of a system, and how one measurement goes
    all             the table of systems
    versions        what programs and libraries say they are
    ours            a bank of ours
    our_class       a class of anybody's, or several in one pair, on servers of ours
    postgresql      PostgreSQL with a synchronous standby, by pgbench; its tables are postgresql.sql
    pgbench         what pgbench is told, and what its log tells
    redis           Redis with WAIT 1; its functions are redis.lua
    etcd            etcd with three members
    pysyncobj       PySyncObj with three nodes
    floor           two bare Python processes that promise nothing
    pyro5           the stock Pyro5 thread server
"""
