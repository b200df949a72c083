"""One port of a process for whoever watches it: figures for Prometheus, health for load balancers.

It is served from the process's own event loop, not by a thread beside it (as prometheus-client's own server
would be): what is read needs no locks, and a thread that is kept busy by strangers would hold up the loop at
every system call (they share an interpreter), with nothing that bounds it. Here a budget does (`port`).

Rule 1: rooms count in plain numbers, whether anybody looks or not; here they are read, when somebody asks.
Rule 2: prometheus-client is loaded only where there is such a port (`page`): nobody else pays for it.
"""
