"""Whole banks in one process, under faults drawn from a seed; rules, storage and retries are production's.

simulation   one seed, from its first event to its verdict
world        time, chance and the network
faults       what goes wrong, how often, and to whom
server       a server's process, disk, links and clock
client       a client: what it asks, and all that it was told
witness      the keeper of the view
workload     what clients ask for
history      the clients' calls and the servers' disks, for the checker
"""
