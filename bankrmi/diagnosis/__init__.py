"""What a process tells operators of itself and of its machine: the remote object that `bankrmi doctor` asks.

`process` gathers it; `usage` is what any process has used, seen from outside.

Rule: everything told is at hand, or takes a few system calls: whoever asks delays nobody.
"""

from __future__ import annotations

from .process import (
    DIAGNOSIS_ID,
    ProcessDiagnosis,
    diagnosis_object,
    free_bytes,
    machine_id,
    own_versions,
)

__all__ = [
    "DIAGNOSIS_ID",
    "ProcessDiagnosis",
    "diagnosis_object",
    "free_bytes",
    "machine_id",
    "own_versions",
]
