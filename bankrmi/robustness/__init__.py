"""Production code under every fault that we can make, with a verdict.

Its folders:
    simulator    whole banks in one process: simulated network, clock, disk and life of processes
"""
