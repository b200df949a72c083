from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bankrmi.replication.lease import Grants, binding_ms, holds_until, read_lease_ends_ms, read_lease_left_ms
from bankrmi.replication.peer import PeerState

LEASE_MS, DRIFT_MS = 1000.0, 20.0
TIMES = st.integers(0, 10_000)
FOR_EVER = float("-inf")


@given(sent_ms=TIMES, delay_ms=TIMES, now_ms=TIMES)
def test_a_late_answer_never_lengthens_a_lease(sent_ms: int, delay_ms: int, now_ms: int) -> None:
    """However long the answer sat in a queue, the end is counted from the sending."""
    at_once, late = PeerState("s2"), PeerState("s2")
    for peer in (at_once, late):
        peer.sent(1, 0, sent_ms)
    at_once.acknowledged(1, 0)
    late.acknowledged(1, 0)
    assert late.confirmed_at_ms == at_once.confirmed_at_ms == sent_ms
    held = holds_until(read_lease_ends_ms(LEASE_MS, DRIFT_MS, [late.confirmed_at_ms]), now_ms)
    assert held == (now_ms < sent_ms + LEASE_MS - DRIFT_MS)


@given(sent=st.lists(st.tuples(TIMES, st.booleans()), min_size=1, max_size=20), data=st.data())
def test_the_newest_acknowledged_sending_counts_in_whatever_order_answers_come(
    sent: list[tuple[int, bool]], data: st.DataObject
) -> None:
    peer = PeerState("s2")
    times = sorted(time for time, _ in sent)
    for number, time in enumerate(times, 1):
        peer.sent(number, 0, time)
    answered = [number for number, (_, arrives) in enumerate(sent, 1) if arrives]
    for number in data.draw(st.permutations(answered)):
        peer.acknowledged(number, 0)
    newest = max((times[number - 1] for number in answered), default=FOR_EVER)
    assert peer.confirmed_at_ms == newest


@given(confirmed=st.lists(TIMES, min_size=1, max_size=4), now_ms=TIMES)
def test_the_lease_is_as_long_as_the_shortest_confirmation(confirmed: list[int], now_ms: int) -> None:
    left = read_lease_left_ms(now_ms, LEASE_MS, DRIFT_MS, confirmed)
    assert left == min(confirmed) + 980 - now_ms
    assert holds_until(read_lease_ends_ms(LEASE_MS, DRIFT_MS, confirmed), now_ms) == (left > 0)


@given(confirmed=st.lists(TIMES, min_size=1, max_size=4), now_ms=TIMES)
def test_without_leases_nobody_holds_one(confirmed: list[int], now_ms: int) -> None:
    assert not holds_until(read_lease_ends_ms(0, DRIFT_MS, confirmed), now_ms)


def test_who_never_confirmed_gives_no_lease() -> None:
    assert not holds_until(read_lease_ends_ms(LEASE_MS, DRIFT_MS, [5, FOR_EVER]), 5)


@given(sent_ms=TIMES, transit_ms=TIMES)
def test_the_primary_always_stops_before_the_standby_leads(sent_ms: int, transit_ms: int) -> None:
    """Even if their clocks drift apart by `drift` twice in a lease."""
    grants = Grants()
    grants.acknowledged("s1", "here", "s1#1", sent_ms + transit_ms, binding_ms(LEASE_MS, DRIFT_MS))
    stops_ms = sent_ms + LEASE_MS - DRIFT_MS
    assert grants.over_at_ms() - stops_ms >= 2 * DRIFT_MS


SERVERS, ADDRESSES = st.sampled_from(["s1", "s3"]), st.sampled_from(["here", "there"])
LENGTHS_MS = st.sampled_from([0, 220, 1020, 5020])
Granted = tuple[str | None, int, int]
"""To which process, when, for how long."""


class GrantsAgainstHistory(RuleBasedStateMachine):
    """Whatever is learned in whatever order: a grant ends by time, or by a proof that followed it."""

    def __init__(self) -> None:
        super().__init__()
        self.grants = Grants()
        self.now_ms = 0
        self.live: dict[tuple[str, str], list[Granted]] = {}  # By server and address; the newest last.

    @rule(ms=st.integers(0, 400))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms

    @rule(server=SERVERS, address=ADDRESSES, start=st.sampled_from(["A", "B"]), length_ms=LENGTHS_MS)
    def acknowledge(self, server: str, address: str, start: str, length_ms: int) -> None:
        """A process has one setting as long as it lives; the last one counts of each."""
        self.grants.acknowledged(server, address, start, self.now_ms, length_ms)
        before = self.live.get((server, address), [])
        older = [one for one in before if one[0] != start or one is not before[-1]]
        self.live[server, address] = [*older, (start, self.now_ms, length_ms)]

    @rule(server=SERVERS, address=ADDRESSES, ago_ms=st.integers(-50, 2000))
    def refused(self, server: str, address: str, ago_ms: int) -> None:
        """It counts only against what was granted before the probe began, to whoever lived there (V12)."""
        begun_ms = self.now_ms - ago_ms
        self.grants.refused(server, address, begun_ms)
        if (server, address) in self.live and self.live[server, address][-1][1] <= begun_ms:
            del self.live[server, address]

    @rule(
        server=SERVERS,
        address=ADDRESSES,
        start=st.sampled_from(["A", "B", "C"]),
        ago_ms=st.integers(-50, 2000),
    )
    def answered(self, server: str, address: str, start: str, ago_ms: int) -> None:
        """Another process at the address proves that the one granted to is gone, and all before it there."""
        begun_ms = self.now_ms - ago_ms
        self.grants.answered(server, address, start, begun_ms)
        if (server, address) in self.live:
            granted_to, at_ms, _ = self.live[server, address][-1]
            if at_ms <= begun_ms and granted_to is not None and granted_to != start:
                del self.live[server, address]

    @rule(server=SERVERS)
    def handed_over(self, server: str) -> None:
        self.grants.handed_over(server)
        for address in ("here", "there"):
            self.live.pop((server, address), None)

    @rule(last=SERVERS, length_ms=LENGTHS_MS, lived=ADDRESSES)
    def started(self, last: str, length_ms: int, lived: str) -> None:
        """A new process knows only who led the newest adopted epoch; it waits for all.

        Where they lived it knows when it has read the view; before, it believes no address.
        """
        self.grants = Grants()
        self.grants.started(["s1", "s3"], self.now_ms, length_ms, last_primary=last, last_start_id="A")
        for server in ("s1", "s3"):
            self.grants.refused(server, lived, self.now_ms + 1)
            assert self.grants.over_at_ms() == self.now_ms + length_ms
        self.grants.lived(lambda _: lived)
        self.live = {
            (server, lived): [("A" if server == last else None, self.now_ms, length_ms)]
            for server in ("s1", "s3")
        }

    def _ends(self) -> list[int]:
        return [at_ms + length_ms for granted in self.live.values() for _, at_ms, length_ms in granted]

    @invariant()
    def nobody_leads_before_every_lease_is_over(self) -> None:
        over_at_ms, last = self.grants.over_at_ms(), max(self._ends(), default=FOR_EVER)
        assert over_at_ms == last or (over_at_ms <= self.now_ms and last <= self.now_ms)

    @invariant()
    def a_process_after_this_one_waits_for_all_that_is_open(self) -> None:
        """It begins later, and then waits for the longest: so whatever began before is over by then."""
        assert self.now_ms + self.grants.longest_ms(self.now_ms) >= max(self._ends(), default=0)


TestGrants = GrantsAgainstHistory.TestCase


def test_an_answer_that_came_before_the_view_was_known_counts_once_it_is() -> None:
    """A standby and its primary started at a time: the new process of the primary answered first."""
    grants = Grants()
    grants.started(["s1"], 0, 1000, last_primary="s1", last_start_id="A")
    grants.answered("s1", "here", "B", 5)
    assert grants.over_at_ms() == 1000
    grants.lived(lambda _: "there")
    assert grants.over_at_ms() == 1000, "whoever led did not live where the answer came from"
    grants.started(["s1"], 0, 1000, last_primary="s1", last_start_id="A")
    grants.answered("s1", "there", "B", 5)
    grants.lived(lambda _: "there")
    assert grants.over_at_ms() <= 5
