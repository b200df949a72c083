"""Production code under every fault that we can make, with a verdict.

simulator    whole banks in one process: simulated network, clock, disk and life of processes
exhaustive   every order of events of a small bank, states recognized as seen before
"""
