"""Any Python class as what is replicated: its state in SQLite, its methods as operations.

    declaring        what an author writes, and what is made of the class; what cannot be served is refused
    plain_values     arguments and results as the journal keeps them, checked against annotations
    calls            one call, and what came of it, as the journal keeps them
    in_words         a call and a value as people read them
    written_values   the same as people write them
    drawn_arguments  arguments that nobody has written, by annotations
    tables           `self.db`: what a method may ask of the database, and which tables there can be
    row_order        rows in the order of their keys, the same on every copy
    guard            what a copy may not go by: clocks, chance, the network, files
    watched_types    what stands for `datetime`, and for `random.Random`, while an update runs
    using            what a service says of another one of its pair, which it calls
    served_services  the services of one pair: one, or the first one and those beside it
    method_names     methods by the names that people write: `put`, or `stock.put`
    table_names      tables of several services in one database, each under the names that it gave them
    hosted           one service of a pair: its object in each version, and its attributes
    running          one method run within bounds: time, exceptions, what it may use
    time_limit       how long it may take
    inner_calls      one service called by another, within one call
    traced           where in the module of the class an exception was raised
    changes          what one call changed: how to take it back, and a digest to compare copies by
    versions         of which version the state is, since when
    before           the tables as a migration found them, to take it back
    objects          what an author writes who has an object, and no tables
    object_state     its attributes as rows
    kept_dict        a dict that is an attribute, and notices what of it may have changed
    kept_values      what attributes hold, as the database keeps it
    machine          the state machine (see `storage.state_machine`)
    served_alone     what a class brings that is served alone in a way of its own
    loading          "module:Class" as the class

Assumption: the class is the author's own. What it may not do is refused, and still it is no stranger's code.
"""

from __future__ import annotations

from bankrmi.service.declaring import Description, Method, Service, described, query, update
from bankrmi.service.loading import load
from bankrmi.service.machine import ServiceMachine
from bankrmi.service.objects import ObjectService
from bankrmi.service.served_alone import ServedAlone
from bankrmi.service.served_services import ServedServices
from bankrmi.service.using import Uses

__all__ = [
    "Description",
    "Method",
    "ObjectService",
    "ServedAlone",
    "ServedServices",
    "Service",
    "ServiceMachine",
    "Uses",
    "described",
    "load",
    "query",
    "update",
]
