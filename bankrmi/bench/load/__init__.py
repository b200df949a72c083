"""Processes that generate load: one loop for all systems, and the leanest client for each.

    python -m bankrmi.bench.load.process < ORDER

The order is one line of JSON. The process writes `begun` when it is warm, and one line of JSON with what it
found when the time is over; in between it is what whoever started it measures.

    process         reads its order, carries it out, answers
    order           what a load process is told, and what it answers
    loop            the loop of all asyncio clients
    links           our wire protocol, spoken directly; a stock Pyro5 daemon understands it
    methods         the same, to classes: their methods; and by our own clients, for ever
    resp            Redis' protocol
    grpc            etcd's messages, and a withdrawal by them
    http2           the little of HTTP/2 that they take
    protobuf        the little of protocol buffers that they take
    libraries       one client as a person writes it
    own             our own asyncio clients, counted; and load that outlives failures

Processes that serve, or both:

    pysyncobj_node  one node of a PySyncObj bank, which calls itself
    floor           two bare processes that do the same work and promise nothing
    pyro5           the stock Pyro5 server, and its proxy
    echo            a daemon of ours that repeats what it is told, and its callers
"""
