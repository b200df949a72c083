"""Does a class go by the order of rows that a SELECT without ORDER BY gives?

It is the order of keys (see `service.row_order`), as long as SQLite reads the table itself; another version
may read an index. So that order may be another one on one of the copies.

Rule: two of the class by themselves follow the journal; one is given such rows the other way round. Whatever
      update comes to something else there would stop a copy some day (S3).
"""

from __future__ import annotations

from bankrmi.robustness.services.by_itself import ServiceByItself
from bankrmi.robustness.services.outcomes import CallOutcome
from bankrmi.service.calls import Called
from bankrmi.service.declaring import Description
from bankrmi.service.served_services import HOME
from bankrmi.storage.state_machine import Moment

__all__ = ["OrderCheck"]


class OrderCheck:
    """Both of them."""

    def __init__(self, description: Description, begins_at: int) -> None:
        self._as_they_come = ServiceByItself(description, begins_at=begins_at)
        self._reversed = ServiceByItself(description, begins_at=begins_at)
        self._reversed.reverse_unordered_rows()
        self._is_over = description.kind._keeps_attributes  # Nothing of an object is without an order.

    def migrate(self, target: int, moment: Moment) -> bool:
        """Do a migration; return whether it goes by such an order."""
        here, there = (one.migrate(HOME, target, moment) for one in self._both)
        return self._differs(here, there)

    def update(self, call: Called, moment: Moment, told: CallOutcome) -> bool:
        """Do an update; return whether it goes by such an order."""
        here, there = (one.update(call, moment, told) for one in self._both)
        return self._differs(here, there)

    @property
    def _both(self) -> tuple[ServiceByItself, ServiceByItself]:
        return self._as_they_come, self._reversed

    def _differs(self, here: CallOutcome, there: CallOutcome) -> bool:
        """Whether they differ, for the first time: from there on they have different pasts."""
        is_same = (here.packed, here.raised) == (there.packed, there.raised)
        if self._is_over or (is_same and self._as_they_come.rows() == self._reversed.rows()):
            return False
        self._is_over = True
        return True
