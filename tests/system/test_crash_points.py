"""A process kills itself at the worst moments; the retry finds exactly one effect, batches included."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from bankrmi.bank.operations import Deposit, Operation, Receipt, Withdraw
from bankrmi.client import BankClient, switchover
from bankrmi.errors import BankError, InsufficientFunds
from bankrmi.server.failpoints import PLACES
from tests.system.cluster import NAMESERVER, Cluster
from tests.system.copies import check_agreement, check_copy

pytestmark = pytest.mark.but_first_long(1)

BEFORE, REQUEST, SINGLE = "before:1", "batch:1", "single:1"
BATCH: list[Operation] = [Withdraw(2, 10), Withdraw(3, 10_000), Deposit(3, 5)]

A_REQUEST_AT_THE_PRIMARY = (
    "before-apply",
    "checkpoint-sent",
    "before-commit:group",
    "after-commit:group",
    "before-answer",
)
A_REQUEST_AT_THE_STANDBY = ("before-commit:checkpoint", "after-commit:checkpoint")
ADOPTING = ("before-commit:lead", "after-commit:lead")
A_COPY = ("before-install", "after-install")


def around(kind: str) -> tuple[str, ...]:
    """Return the places around a change of view."""
    return tuple(f"{place}:{kind}" for place in ("before-proposal", "proposal-sent", "after-proposal"))


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def start_with(cluster: Cluster, victim: str, place: str) -> BankClient:
    """Start a bank led by s1, one server of which will die at `place` once it gets a SIGUSR1."""
    cluster.start(NAMESERVER)
    for name in cluster.servers:
        cluster.start(name, failpoint=f"on-signal:{place}:1" if name == victim else "", wait=False)
    cluster.wait_until_in_sync()
    assert cluster.primary() == "s1"
    bank = cluster.client()
    assert bank.withdraw(2, 50, request_id=BEFORE).balance == 150
    return bank


def arm(cluster: Cluster, victim: str) -> None:
    cluster.process(victim).send_signal(signal.SIGUSR1)


def wait_for_crash(cluster: Cluster, victim: str) -> None:
    assert cluster.wait_for_end(victim) == -signal.SIGKILL, "it did not get there, or ended otherwise"


def check(cluster: Cluster, bank: BankClient, requests: dict[str, int]) -> None:
    """Everyone comes back; both copies are the same, and have each request once."""
    cluster.start(*(name for name in cluster.servers if not cluster.is_running(name)))
    cluster.wait_until_in_sync()
    repeated = {request: bank.outcome(request) for request in requests}
    cluster.kill(*cluster.servers)
    copies = [cluster.copy(name) for name in cluster.servers]
    check_agreement(*copies)
    for copy in copies:
        check_copy(copy, cluster.ledger)
        for request, operations in requests.items():
            entries = copy.request(request)
            assert len(entries) == operations, f"{copy.server} has {entries} of {request}"
            assert [result.action_id for result in repeated[request]] == [
                entry.action_id for entry in entries
            ]
    assert copies[0].tip == sum(requests.values()), "somebody did what nobody asked for"


def submit(bank: BankClient) -> list[tuple[object, object]]:
    """Send the batch; return what became of each operation, and the balances."""
    return [(type(result), result.balance) for result in bank.submit(BATCH, request_id=REQUEST)]


EXPECTED = [(Receipt, 140), (InsufficientFunds, 450), (Receipt, 455)]


def submit_and_deposit(cluster: Cluster, bank: BankClient) -> None:
    """Send the batch and, at the same time, a single operation; both are answered, and again the same."""
    other = cluster.client()
    with ThreadPoolExecutor(1) as client:
        deposited = client.submit(other.deposit, 5, 20, request_id=SINGLE)
        assert submit(bank) == EXPECTED
        receipt = deposited.result()
    assert receipt.balance == 220
    assert submit(bank) == EXPECTED, "the same again"
    assert other.deposit(5, 20, request_id=SINGLE) == receipt


@pytest.mark.parametrize("place", A_REQUEST_AT_THE_PRIMARY)
def test_a_primary_that_dies_over_a_request_leaves_one_effect(cluster: Cluster, place: str) -> None:
    """Wherever in it the primary dies, the standby answers the retry, and nothing is lost or done twice."""
    with cluster:
        bank = start_with(cluster, "s1", place)
        arm(cluster, "s1")
        submit_and_deposit(cluster, bank)
        wait_for_crash(cluster, "s1")
        assert cluster.primary() == "s2"
        check(cluster, bank, {BEFORE: 1, REQUEST: len(BATCH), SINGLE: 1})


@pytest.mark.parametrize("place", A_REQUEST_AT_THE_STANDBY)
def test_a_standby_that_dies_over_a_request_leaves_one_effect(cluster: Cluster, place: str) -> None:
    """The primary goes on alone and answers; the standby comes back and holds it once."""
    with cluster:
        bank = start_with(cluster, "s2", place)
        arm(cluster, "s2")
        submit_and_deposit(cluster, bank)
        wait_for_crash(cluster, "s2")
        check(cluster, bank, {BEFORE: 1, REQUEST: len(BATCH), SINGLE: 1})


def change_view(
    cluster: Cluster, bank: BankClient, victim: str, change: Callable[[], object], *, then: Sequence[str]
) -> None:
    """Have the victim die in a change of view; start `then`, and find the request done once."""
    arm(cluster, victim)
    with suppress(BankError):  # An operator's command that the primary died over says so.
        change()
    wait_for_crash(cluster, victim)
    with ThreadPoolExecutor(1) as client:
        answered = client.submit(submit, bank)
        cluster.start(*(name for name in then if not cluster.is_running(name)), wait=False)
        assert answered.result() == EXPECTED
    check(cluster, bank, {BEFORE: 1, REQUEST: len(BATCH)})


@pytest.mark.parametrize("place", around("take-over") + ADOPTING)
def test_a_standby_that_dies_taking_over_loses_nothing(cluster: Cluster, place: str) -> None:
    """Both are dead then; they come back, whoever won."""
    with cluster:
        bank = start_with(cluster, "s2", place)
        change_view(cluster, bank, "s2", lambda: cluster.kill("s1"), then=("s1", "s2"))


@pytest.mark.parametrize("place", around("go-alone") + ADOPTING[:1])
def test_a_primary_that_dies_going_on_alone_loses_nothing(cluster: Cluster, place: str) -> None:
    """Whether it had left the standby behind or not is for the witness to say."""
    with cluster:
        bank = start_with(cluster, "s1", place)
        change_view(cluster, bank, "s1", lambda: cluster.kill("s2"), then=("s2", "s1"))


@pytest.mark.parametrize("place", around("let-in") + ADOPTING[1:])
def test_a_primary_that_dies_letting_a_server_in_loses_nothing(cluster: Cluster, place: str) -> None:
    """Whether the joiner is in sync, and may take over, is for the witness to say."""
    with cluster:
        bank = start_with(cluster, "s1", place)
        cluster.kill("s2")
        cluster.wait_until_in_sync("s1")
        change_view(cluster, bank, "s1", lambda: cluster.start("s2", wait=False), then=("s1",))


@pytest.mark.parametrize("place", around("switchover"))
def test_a_primary_that_dies_handing_over_is_succeeded(cluster: Cluster, place: str) -> None:
    """The target leads, handed over or taken over, and answers without waiting for the other."""
    with cluster:
        bank = start_with(cluster, "s1", place)
        change_view(cluster, bank, "s1", lambda: switchover(cluster.configuration, "s2"), then=())


@pytest.mark.parametrize("place", ADOPTING)
def test_a_target_that_dies_before_it_leads_is_succeeded(cluster: Cluster, place: str) -> None:
    """Who handed over is in sync still, and takes the lead back."""
    with cluster:
        bank = start_with(cluster, "s2", place)
        change_view(cluster, bank, "s2", lambda: switchover(cluster.configuration, "s2"), then=())


@pytest.mark.parametrize("place", around("start-again") + ADOPTING[:1])
def test_a_primary_that_dies_starting_again_loses_nothing(cluster: Cluster, place: str) -> None:
    """It leads nothing before it has won a fresh epoch, however often it has to begin."""
    with cluster:
        cluster.start_all()
        bank = cluster.client()
        bank.withdraw(2, 50, request_id=BEFORE)
        cluster.wait_until_in_sync()
        cluster.kill("s1", "s2")
        cluster.start("s1", failpoint=f"{place}:1", wait=False)
        wait_for_crash(cluster, "s1")
        cluster.start("s1", "s2")
        assert submit(bank) == EXPECTED
        check(cluster, bank, {BEFORE: 1, REQUEST: len(BATCH)})


@pytest.mark.parametrize("place", around("first") + ADOPTING)
def test_a_bank_that_dies_being_opened_is_opened_once(cluster: Cluster, place: str) -> None:
    """The first view is made once; ledger, history and epoch are there together or not at all."""
    with cluster:
        cluster.start(NAMESERVER)
        cluster.start("s1", failpoint=f"{place}:1", wait=False)
        cluster.start("s2", wait=False)
        wait_for_crash(cluster, "s1")
        cluster.start("s1")
        bank = cluster.client()
        bank.withdraw(2, 50, request_id=BEFORE)
        assert submit(bank) == EXPECTED
        check(cluster, bank, {BEFORE: 1, REQUEST: len(BATCH)})


@pytest.mark.parametrize("place", A_COPY)
def test_a_joiner_that_dies_over_its_copy_joins_again(cluster: Cluster, place: str) -> None:
    """A copy is in place as a whole or not at all."""
    with cluster:
        cluster.start(NAMESERVER)
        cluster.start("s2", failpoint=f"{place}:1", wait=False)
        cluster.start("s1")
        bank = cluster.client()
        bank.withdraw(2, 50, request_id=BEFORE)
        wait_for_crash(cluster, "s2")
        assert submit(bank) == EXPECTED
        check(cluster, bank, {BEFORE: 1, REQUEST: len(BATCH)})


def test_every_place_has_its_test() -> None:
    """A failpoint that nobody dies at proves nothing."""
    tested = {*A_REQUEST_AT_THE_PRIMARY, *A_REQUEST_AT_THE_STANDBY, *ADOPTING, *A_COPY}
    for kind in ("first", "start-again", "take-over", "go-alone", "let-in", "switchover"):
        tested |= set(around(kind))
    assert tested == PLACES
