"""What a power loss, a failing disk, a flipped bit can leave, and whether anything acknowledged is lost.

Its files:

    operations    what happened to a disk, and what was told, as plain values
    strace        the command that records, the one that makes calls fail, and the lines they write
    told          what a process told others, from the bytes that it sent
    recording     from the calls of a process to the operations on its disk
    processes     a bank of real processes, each on a disk of its own
    load          clients that keep it busy
    story         a recorded run in which everything happens that writes to a disk
    disk          the model: what is certain, what is pending, from sync to sync
    states        what of the pending survives
    reference     the one history that was acknowledged
    judge         opens a disk as a start does, and says what is missing
    search        which states are tried, and what was found
    disk_failures calls that fail under load: the process stops, the others go on
    bit_flips     single bits of a stopped server's files
    __main__      all of it, from the command line
"""
