"""What should be done about a bank: all machines looked at, each finding with its remedy.  `bankrmi doctor`.

    examination ──facts──> judged ──findings──> cli.doctor

Its files:

    findings              what a finding is
    facts                 what was found out, as values
    examination           asks every process, side by side
    own_machine           looks at this one, where nothing of the bank runs
    judged                asks all judges for their findings
    configuration_judged  the file, and what processes run with
    processes_judged      who answers, in which version and place, under which name
    machines_judged       disks, clocks, ways
    certificates_judged   ends, addresses, files

Rule 1: judges are pure: facts in, findings out. What is looked at is changed by nothing here.
Rule 2: what is not known is no finding about the bank: that it is not known is told, and why.
Rule 3: a machine that is dead costs a few seconds, however many are.
"""

from __future__ import annotations

from .examination import examine
from .findings import DoctorFinding, Weight
from .judged import judge

__all__ = ["DoctorFinding", "Weight", "examine", "judge"]
