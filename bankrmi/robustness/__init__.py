"""Production code under every fault that we can make, with a verdict.

simulator    whole banks in one process: simulated network, clock, disk and life of processes
power_loss   recorded disks, cut off at any moment; disks that fail; flipped bits
verifying    is what a stopped process left on its disk whole?
"""
