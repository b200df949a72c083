"""Production code under every fault that we can make, with a verdict.

Its folders:
    checker      what clients were told, held against the journals: the verdict
    simulator    whole banks in one process: simulated network, clock, disk and life of processes
"""
