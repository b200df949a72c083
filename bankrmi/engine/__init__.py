"""A bank whose accounts are in a database that is distributed already: `engine: postgresql://…`.

Servers are stateless there, any number of them under the one attributed name, and all of them answer. What a
client sees is the same: names, calls, errors, promises. What keeps the promises is the database.

    tables       what is kept there, and the statements
    deciding     a group of requests on the balances that were read: what comes of it, what is written
    records      what was decided, as answers are made of it
    database     the connections: one transaction a group, repeated as long as it has to be
    driver       those who wait, in groups; the answers
    process      one server

Rule 1: a group of requests is one serializable transaction; a failure to serialize is repeated here.
Rule 2: a request and what came of it are in one transaction, under the request's id: whoever repeats it
        finds it (O1). A connection that breaks at the commit is followed by a look for it, never by a guess.
Rule 3: whose outcome is asked before it was decided never happens: its id is taken (O4).
Rule 4: action ids count for each account. No id is shared by all: that would be the one row that everybody
        waits for.
"""

from bankrmi.engine.process import run

__all__ = ["run"]
