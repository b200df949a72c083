"""Production code under every fault that we can make, with a verdict.

chaos        real processes, killed, paused and cut off; the report of such a run
checker      what clients were told, held against the journals: the verdict
simulator    whole banks in one process: simulated network, clock, disk and life of processes
"""
