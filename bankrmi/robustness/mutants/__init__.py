"""A check that cannot fail is worthless: bugs, planted in the product while it runs, that have to be found.

Its files:
    mutant              what a planted bug is: functions exchanged, and put back
    acknowledging       bugs in what is acknowledged and kept (A1 to A5)
    durable             bugs in what waits for the disk (A1, A2)
    changing_the_view   bugs in who leads and who is in sync (V1 to V8)
    reading             bugs in who may read, and when a server may lead (R1 to R5)
    once_only           bugs in doing each request once, and in failing (O1, O2, F1)
    folding             bugs in what leaves the journal, and in what is forgotten (J1, O5)
    leaving             bugs in giving the bank away to a database (V14)
    of_services         bugs in running a class of somebody else's (S1 to S3)
    transfers           bugs in what has two halves
    under_load          bugs in what is done when there is more to do than time (W1 to W4)
    hunting             seed after seed, until a bug is found
    two_histories       the first seed that goes wrong, and the same one with the rule in
    table               the table of all bugs, for a person and for the documents
    __main__            `python -m bankrmi.robustness.mutants`
"""

from bankrmi.robustness.mutants.hunting import MUTANTS, Found, hunt, mutant_named, planted
from bankrmi.robustness.mutants.mutant import Mutant
from bankrmi.robustness.mutants.two_histories import TwoHistories, two_histories

__all__ = ["MUTANTS", "Found", "Mutant", "TwoHistories", "hunt", "mutant_named", "planted", "two_histories"]
