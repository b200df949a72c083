"""Production code under every fault that we can make, with a verdict.

Its folders:
    checker      what clients were told, held against the journals: the verdict
    power_loss   recorded disks, cut off at any moment; disks that fail; flipped bits
    simulator    whole banks in one process: simulated network, clock, disk and life of processes
    verifying    is what a stopped process left on its disk whole?
"""
