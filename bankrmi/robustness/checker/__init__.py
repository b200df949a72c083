"""Was the bank what it promises to be?  What clients were told, held against the journals at the end.

    history        values: a call, from invocation to completion, and what its client was told
    recording      a client's side: writes down what it asks, and what it is told
    history_file   a history as JSON Lines: how it is read
    disks          the data directories of stopped servers
    replay         the final journal: is it sound, and what should clients have been told?
    answers        what each client was told, against the journal
    real_time      did anything come before what was over when it began?
    sentences      violations in words
    verdict        all of it together
    without_collector   a pause for Python's collector of cycles

Rule: only `recording`, `history_file` and `disks` touch files; the rest is pure.
"""
