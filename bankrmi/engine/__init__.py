"""A bank whose accounts are in a database that is distributed already: `engine: postgresql://…`.

Servers are stateless there, any number of them under the one attributed name, and all of them answer. What a
client sees is the same: names, calls, errors, promises. What keeps the promises is the database.

    tables       what is kept there, and the statements
    deciding     a group of requests on the balances that were read: what comes of it, what is written
    records      what was decided, as answers are made of it
    database     the connections: one transaction a group, repeated as long as it has to be
    statements   the entries of one account
    sweeping     what is older than is asked for is forgotten
    driver       those who wait, in groups; the answers
    measures     what is shown to Prometheus, and told load balancers
    process      one server
    moving       a bank comes to a database, or leaves it: what an operator's command does there
    settings     how connections are made, and what their errors mean

Rule 1: a group of requests is one serializable transaction; a failure to serialize is repeated here.
Rule 2: a request and what came of it are in one transaction, under the request's id: whoever repeats it
        finds it (O1). A connection that breaks at the commit is followed by a look for it, never by a guess.
Rule 3: whose outcome is asked before it was decided never happens: its id is taken (O4).
Rule 4: of what is too old to be known nothing is done any more (O2, O5).
Rule 5: whether the bank is here is looked at in each transaction: once it has left, nobody is answered (V14).
Rule 6: action ids count for each account. No id is shared by all: that would be the one row that everybody
        waits for.
"""

from bankrmi.engine.process import run

__all__ = ["run"]
