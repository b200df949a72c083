from __future__ import annotations

from bankrmi.replication.events import RequestArrived
from bankrmi.robustness.simulator.chart import chart
from bankrmi.robustness.simulator.trace import Arrival, Happening, Loss, Note


def test_arrows_go_from_column_to_column_and_what_gets_lost_ends_half_way() -> None:
    request = RequestArrived.of(None, ("c1.0", 7), ["x"])
    happenings: list[Happening] = [
        Arrival(1203.1181, 1202.9, "c1", "s2", request),
        Arrival(1303.0, 1203.0, "s2", "c1", "an answer"),
        Loss(1304.0, "s1", "s2", "a secret"),
        Note(1305.5, "s2", "pauses", ()),
        Note(1306.0, "", "a cut begins", ([("s1", "s2")],)),
    ]
    assert chart(["c1", "s1", "s2"], happenings) == [
        "   time ms  c1      s1      s2",
        "  1203.118  o--------------->         request c1.0:7, 1 operation",
        "  1303.000  <---------------o         an answer (sent 100 ms before)",
        "  1304.000          o---x             a secret (lost)",
        "  1305.500                  *         pauses",
        "  1306.000                            a cut begins s1, s2",
    ]
