"""Chaos where a database keeps the accounts: PostgreSQL with a synchronous standby, under Patroni, on etcd.

    schedule        what the nemesis is going to do, and the timing: drawn from a seed
    bank            the directory, the configurations, all processes, and what can be asked of them
    nemesis         carries out the schedule, and takes everything back
    database_copy   what one member of the database holds, read with SQL
    one_order       the order of all requests that the accounts' own orders and the clock leave
    totals          what all accounts may have held together at some moment
    seen            what databases were in the course of a run, as far as somebody looked
    failovers       how long nobody was told of an update when another led
    judge           what clients were told, held against what the database holds

The course of a run, clients, networks, files and the report are those of any chaos (`robustness.chaos`).
"""
