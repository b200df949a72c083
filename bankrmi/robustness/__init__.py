"""Production code under every fault that we can make, with a verdict.

Its folders:
    chaos       real processes, killed, paused and cut off; the report of such a run
    checker     what clients were told, held against the journals: the verdict
    exhaustive  every order of events of a very small bank
    mutants     bugs to be planted in the product while it runs, and how many seeds find each
    power_loss  what a power loss, a failing disk, a flipped bit can leave; is anything lost?
    simulator   whole banks in one process: simulated network, clock, disk and life of processes
"""
