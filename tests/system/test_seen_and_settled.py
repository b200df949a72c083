"""What a client has seen stays so, and what became of a request is said once and for all."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bankrmi.bank.operations import Deposit, Receipt, Withdraw
from bankrmi.client import BankClient
from bankrmi.errors import BankError, Behind, Cancelled, InDoubt, Refused, Stale, Unreached
from tests.system.cluster import Cluster
from tests.system.copies import check_agreement, check_copy


def test_a_copy_that_is_older_than_what_the_client_has_seen_refuses_until_it_has_caught_up(
    tmp_path: Path,
) -> None:
    """Look-ups, changes and `outcome` alike are `Behind` and change nothing, until the copy is as new."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        bank, primary = cluster.client(), cluster.primary()
        bank.deposit(2, 5)
        history = cluster.ask(primary, "balance", 2)["history"]
        newer = [history, 2]

        for method, *args in (
            ("balance", 2),
            ("withdraw", 2, 10, "early:1"),
            ("submit", [["withdraw", 2, 10]], "early:2"),
            ("outcome", "early:3"),
        ):
            with pytest.raises(Behind):
                cluster.ask(primary, method, *args, newer)
        assert bank.balance(2) == Receipt(2, 205, 1)

        bank.deposit(3, 50)
        assert cluster.ask(primary, "balance", 2, newer)["balance"] == 205
        assert cluster.ask(primary, "withdraw", 2, 10, "early:1", newer)["balance"] == 195


def test_a_client_that_has_seen_more_waits_for_the_copy_that_has_it(tmp_path: Path) -> None:
    """`Behind` is harmless: the client asks again with the same id until it is answered."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        bank, ahead = cluster.client(), cluster.client()
        bank.deposit(2, 5)
        history = cluster.ask(cluster.primary(), "balance", 2)["history"]
        ahead._memory.seen.learn(history, 3)

        with ThreadPoolExecutor(1) as callers:
            withdrawal = callers.submit(ahead.withdraw, 2, 10)
            bank.deposit(2, 1)
            assert not withdrawal.done()
            bank.deposit(2, 1)
            assert withdrawal.result().action_id == 4
        assert bank.balance(2) == Receipt(2, 197, 4)


def test_a_bank_on_older_disks_refuses_whoever_has_seen_more(tmp_path: Path) -> None:
    """Both disks set back to what they once were: who knows better is told no old balance as the newest."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        bank = cluster.client()
        bank.deposit(2, 5)
        cluster.kill(*cluster.servers)
        for name in cluster.servers:
            shutil.copytree(cluster.data(name), tmp_path / "older" / name)
        cluster.start(*cluster.servers)
        bank.withdraw(2, 100)
        reader, writer = cluster.client(timeout=1.0), cluster.client(timeout=1.0)
        for hasty in (reader, writer):
            assert hasty.balance(2) == Receipt(2, 105, 2)

        cluster.kill(*cluster.servers)
        for name in cluster.servers:
            shutil.rmtree(cluster.data(name))
            shutil.copytree(tmp_path / "older" / name, cluster.data(name))
        cluster.start(*cluster.servers)
        cluster.wait_until_in_sync()

        with pytest.raises(Unreached):
            reader.balance(2)
        with pytest.raises(InDoubt):
            writer.withdraw(2, 1)
        for told in (cluster.client(), reader, writer):  # Once they were told, nobody is locked out for ever.
            assert told.balance(2) == Receipt(2, 205, 1)


def test_another_history_is_not_compared_with(tmp_path: Path) -> None:
    """Action ids mean something within one history only: whoever comes from another one is answered."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        assert cluster.ask(cluster.primary(), "balance", 2, ["another", 1_000_000])["balance"] == 200


def test_the_outcome_of_a_request_that_never_arrived_is_final(tmp_path: Path) -> None:
    """It is cancelled, for good: a late duplicate, a batch too, finds that, before and after a takeover."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        bank, primary = cluster.client(), cluster.primary()
        batch = (Withdraw(2, 10), Deposit(3, 10))
        for request_id in ("never:1", "never:2"):
            with pytest.raises(Cancelled):
                bank.outcome(request_id)

        for again in ("before", "after the takeover"):
            with pytest.raises(Cancelled):
                bank.withdraw(2, 10, request_id="never:1")
            with pytest.raises(Cancelled):
                bank.submit(batch, request_id="never:2")
            with pytest.raises(Cancelled):
                bank.outcome("never:1")
            if again == "before":
                cluster.kill(primary)
        assert bank.balance(2) == Receipt(2, 200, 2)
        assert bank.balance(3) == Receipt(3, 450, 2)
        cluster.start(primary)
        cluster.wait_until_in_sync()
        _check_disks(cluster, tip=2)


def test_a_request_that_is_repeated_finds_what_became_of_it(tmp_path: Path) -> None:
    """The same id gets the same answer, by the request or by `outcome`, before and after a takeover."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        bank, primary = cluster.client(), cluster.primary()
        first = _told(bank)
        assert _told(bank) == first
        with pytest.raises(Stale):
            bank.withdraw(2, 1, request_id="told:3")
        cluster.kill(primary)
        assert _told(bank) == first
        with pytest.raises(Stale):
            bank.outcome("told:3")
        cluster.start(primary)
        cluster.wait_until_in_sync()
        _check_disks(cluster, tip=5)


def _told(bank: BankClient) -> list[object]:
    """Make three requests, and ask what became of them; the newest of the session comes last."""
    told: list[object] = [bank.withdraw(2, 10, request_id="told:1")]
    with pytest.raises(Refused) as declined:
        bank.withdraw(2, 1_000, request_id="told:2")
    told.append(declined.value.details)
    results = bank.submit([Deposit(2, 1), Withdraw(50, 1), Deposit(3, 1)], request_id="told:4")
    told += [_plain(result) for result in results]
    for request_id in ("told:1", "told:2", "told:4"):
        told += [_plain(result) for result in bank.outcome(request_id)]
    return told


def _plain(result: Receipt | Refused) -> object:
    return result if isinstance(result, Receipt) else (type(result), result.details)


def test_a_request_and_the_question_for_its_outcome_that_race_say_the_same(tmp_path: Path) -> None:
    """Whichever comes first decides; both callers, and whoever asks later, hear that."""
    with Cluster(tmp_path) as cluster:
        cluster.start_all()
        cluster.wait_until_in_sync()
        bank = cluster.client()
        done = 0
        with ThreadPoolExecutor(2) as callers:
            for number in range(60):
                request_id = f"race{number}:1"
                deposit = callers.submit(bank.deposit, 6, 1, request_id=request_id)
                outcome = callers.submit(bank.outcome, request_id)
                answer, settled, later = (
                    _result_of(deposit.exception() or deposit.result()),
                    _result_of(outcome.exception() or outcome.result()),
                    _result_of(_settled(bank, request_id)),
                )
                assert answer == settled == later
                done += isinstance(answer, Receipt)
        assert bank.balance(6).balance == done
        _check_disks(cluster, tip=60)


def _settled(bank: BankClient, request_id: str) -> object:
    try:
        return bank.outcome(request_id)
    except BankError as error:
        return error


def _result_of(said: object) -> object:
    """Return a receipt, or the kind of the error."""
    if isinstance(said, list):
        (said,) = said
    return said if isinstance(said, Receipt) else type(said)


def _check_disks(cluster: Cluster, *, tip: int) -> None:
    cluster.kill(*cluster.servers)
    copies = [cluster.copy(name) for name in cluster.servers]
    for copy in copies:
        check_copy(copy, cluster.ledger)
        assert copy.tip == tip
    check_agreement(*copies)
