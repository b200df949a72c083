"""How fast is it, and how fast is what people would use instead?  Production code under load, side by side.

Rule 1: every system does the same job: withdraw 1 from a random one of 10 000 accounts, refuse if short,
        remember the request id, answer when it is durable on both copies. Where one does less, its file says
        so.
Rule 2: the load comes from processes of its own; whoever measures sleeps meanwhile.
Rule 3: systems alternate within a round, and only ratios of one round are compared.
Rule 4: whatever was started is stopped, whatever happens; nothing outside of the folder of the run is
touched.
"""
