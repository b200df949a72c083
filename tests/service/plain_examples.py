"""The classes of examples/ as they are in plain Python, and what clients do with them.

    bankrmi serve key_value:KeyValue chaos --minutes 10 \
        --workload tests.service.plain_examples:use_keys --model tests.service.plain_examples:PlainKeyValue
"""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from Pyro5.errors import NamingError

import warehouse
from job_queue import Counts, DeadJob, Job, NotYours
from key_value import Conflict, Lease, LeaseEnded
from replicated_names import Named
from shop import Line, Order, Product, SoldOut, Unknown

Calls = Generator[Any, Any, None]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Plain:
    """What is set before each call."""

    now: datetime
    random: random.Random

    def new_id(self) -> str:
        raise NotImplementedError

    def _in(self, seconds: float) -> int:
        return (self.now - _EPOCH) // timedelta(microseconds=1) + round(seconds * 1e6)


# -- the key-value store -------------------------------------------------------------------------------


class PlainKeyValue(Plain):
    def __init__(self) -> None:
        self.entries: dict[str, tuple[int, str | None]] = {}
        self.leases: dict[str, tuple[float, int]] = {}
        self.revision = 0

    def _end(self) -> None:
        self.leases = {one: known for one, known in self.leases.items() if known[1] > self._in(0)}
        self.entries = {
            name: entry for name, entry in self.entries.items() if entry[1] in {None, *self.leases}
        }

    def _check(self, name: str, revision: int) -> None:
        actual = self.entries.get(name, (0, None))[0]
        if actual != revision:
            raise Conflict(name, actual)

    def put(self, name: str, value: str, lease: str | None = None) -> int:
        self._end()
        if lease is not None and lease not in self.leases:
            raise LeaseEnded(lease)
        self.revision += 1
        self.entries[name] = self.revision, lease
        return self.revision

    def compare_and_set(self, name: str, value: str, revision: int, lease: str | None = None) -> int:
        self._end()
        self._check(name, revision)
        return self.put(name, value, lease)

    def delete(self, name: str, revision: int | None = None) -> bool:
        self._end()
        if revision is not None:
            self._check(name, revision)
        return self.entries.pop(name, None) is not None

    def get(self, name: str) -> None:
        raise AssertionError(
            "goes by the time at which it is asked, which only its server knows; so does scan"
        )

    scan = get

    def grant(self, seconds: float) -> Lease:
        self._end()
        return self._begin(self.new_id(), seconds)

    def _begin(self, lease: str, seconds: float) -> Lease:
        self.leases[lease] = seconds, self._in(seconds)
        return Lease(lease, (_EPOCH + timedelta(microseconds=self._in(seconds))).isoformat())

    def keep_alive(self, lease: str) -> Lease:
        self._end()
        if lease not in self.leases:
            raise LeaseEnded(lease)
        return self._begin(lease, self.leases[lease][0])

    def revoke(self, lease: str) -> int:
        self._end()
        before = len(self.entries)
        self.leases.pop(lease, None)
        self._end()
        return before - len(self.entries)


def use_keys(chance: random.Random, store: Any) -> Calls:
    """A lease of short life, keys that depend on it, and others."""
    name = chance.choice("abcdef")
    lease = yield store.grant(chance.choice([0.05, 0.5, 5.0]))
    for _ in range(chance.randint(1, 6)):
        name = chance.choice("abcdef")
        held = chance.choice([lease.id, lease.id, None, "nothing"])
        try:
            match chance.randint(0, 5):
                case 0:
                    yield store.put(name, "x", held)
                case 1 | 2:
                    try:
                        yield store.compare_and_set(name, "y", 0, held)
                    except Conflict as conflict:
                        yield store.compare_and_set(name, "z", conflict.revision, held)
                case 3:
                    yield store.delete(name)
                case 4:
                    yield store.keep_alive(lease.id)
                case 5:
                    yield store.revoke(lease.id)
        except (LeaseEnded, Conflict):
            continue


# -- the job queue ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlainJob:
    id: str
    queue: str
    payload: str
    state: str
    due_us: int
    number: int
    attempt: int
    attempts: int
    ticket: str = ""
    why: str = ""


class PlainJobQueue(Plain):
    def __init__(self) -> None:
        self.jobs: dict[str, PlainJob] = {}
        self.enqueued: dict[str, int] = {}
        self.finished: dict[str, int] = {}
        self.dropped: dict[str, int] = {}

    def enqueue(self, queue: str, payload: str, *, delay: float = 0, attempts: int = 5) -> str:
        number = self.enqueued[queue] = self.enqueued.get(queue, 0) + 1
        job = self.new_id()
        self.jobs[job] = PlainJob(job, queue, payload, "waiting", self._in(delay), number, 0, attempts)
        return job

    def take(self, queue: str, seconds: float = 30, limit: int = 1) -> list[Job]:
        of_queue = [job for job in self.jobs.values() if job.queue == queue and job.due_us <= self._in(0)]
        for job in of_queue:
            if job.state == "taken":
                self._give_back(job, "its worker said nothing in time", 0)
        waiting = [self.jobs[job.id] for job in of_queue if self.jobs[job.id].state == "waiting"]
        taken = []
        for job in sorted(waiting, key=lambda job: (job.due_us, job.number))[:limit]:
            taken.append(Job(job.id, job.payload, job.attempt + 1, self.new_id()))
            due_us = self._in(seconds)
            self.jobs[job.id] = replace(
                job, state="taken", attempt=job.attempt + 1, ticket=taken[-1].ticket, due_us=due_us
            )
        return taken

    def _mine(self, job: str, ticket: str) -> PlainJob:
        found = self.jobs.get(job)
        if found is None or found.state != "taken" or found.ticket != ticket or found.due_us <= self._in(0):
            raise NotYours(f"{job} is not yours, or not any more")
        return found

    def _give_back(self, job: PlainJob, why: str, seconds: float) -> str:
        state = "waiting" if job.attempt < job.attempts else "dead"
        self.jobs[job.id] = replace(job, state=state, due_us=self._in(seconds), ticket="", why=why)
        return state

    def done(self, job: str, ticket: str) -> None:
        queue = self._mine(job, ticket).queue
        del self.jobs[job]
        self.finished[queue] = self.finished.get(queue, 0) + 1

    def failed(self, job: str, ticket: str, why: str, retry_in: float = 0) -> str:
        return self._give_back(self._mine(job, ticket), why, retry_in)

    def extend(self, job: str, ticket: str, seconds: float) -> None:
        self.jobs[job] = replace(self._mine(job, ticket), due_us=self._in(seconds))

    def counts(self, queue: str) -> Counts:
        states = [job.state for job in self.jobs.values() if job.queue == queue]
        waiting, taken, dead = (states.count(state) for state in ("waiting", "taken", "dead"))
        done, dropped = self.finished.get(queue, 0), self.dropped.get(queue, 0)
        return Counts(self.enqueued.get(queue, 0), waiting, taken, done, dead, dropped)

    def dead(self, queue: str, after: str = "", limit: int = 10) -> list[DeadJob]:
        dead = [job for job in self.jobs.values() if job.queue == queue and job.state == "dead"]
        found = sorted((job for job in dead if job.id > after), key=lambda job: job.id)
        return [DeadJob(job.id, job.payload, job.attempt, job.why) for job in found[:limit]]

    def _dead(self, job: str) -> PlainJob:
        if job not in self.jobs or self.jobs[job].state != "dead":
            raise NotYours(f"{job} is not dead")
        return self.jobs[job]

    def revive(self, job: str, attempts: int = 5) -> None:
        found = self._dead(job)
        self.jobs[job] = replace(
            found, state="waiting", attempt=0, attempts=attempts, due_us=self._in(0), why=""
        )

    def drop(self, job: str) -> None:
        queue = self._dead(job).queue
        del self.jobs[job]
        self.dropped[queue] = self.dropped.get(queue, 0) + 1


def use_jobs(chance: random.Random, queue: Any) -> Calls:
    """Put some in, take some out, and do with them what workers do, the sloppy ones as well."""
    name = chance.choice(["mail", "print"])
    for _ in range(chance.randint(0, 3)):
        yield queue.enqueue(name, "x", delay=chance.choice([0, 0, 0.2]), attempts=chance.randint(1, 3))
    taken = yield queue.take(name, chance.choice([0.02, 1.0, 5.0]), limit=chance.randint(1, 4))
    for job in taken:
        try:
            match chance.randint(0, 5):
                case 0 | 1:
                    yield queue.done(job.id, job.ticket)
                case 2:
                    yield queue.failed(job.id, job.ticket, "no", chance.choice([0, 0.1]))
                case 3:
                    yield queue.extend(job.id, job.ticket, 0.5)
                    yield queue.done(job.id, job.ticket)
                case 4:
                    yield queue.done(job.id, "another")
        except NotYours:
            continue
    yield queue.counts(name)
    for dead in (yield queue.dead(name)):
        try:
            yield chance.choice([queue.revive, queue.drop])(dead.id)
        except NotYours:
            continue


# -- names -------------------------------------------------------------------------------------------------


class PlainNames(Plain):
    def __init__(self) -> None:
        self.names: dict[str, tuple[str, list[str]]] = {}

    def register(self, name: str, uri: str, safe: bool, tags: list[str]) -> None:
        if safe and name in self.names:
            raise NamingError(f"name already registered: {name}")
        self.names[name] = uri, sorted(set(tags))

    def set_tags(self, name: str, tags: list[str]) -> None:
        self.names[name] = self.lookup(name).uri, sorted(set(tags))

    def remove(self, names: list[str]) -> int:
        return len([self.names.pop(name) for name in names if name in self.names])

    def lookup(self, name: str) -> Named:
        if name not in self.names:
            raise NamingError(f"unknown name: {name}")
        return Named(name, *self.names[name])

    def page(
        self, prefix: str = "", tags: list[str] | None = None, every: bool = True, after: str = ""
    ) -> list[Named]:
        wanted = set(tags or [])
        return [
            Named(name, uri, has)
            for name, (uri, has) in sorted(self.names.items())
            if name > after
            and name.startswith(prefix)
            and (wanted <= set(has) if every or not wanted else wanted & set(has))
        ]

    def count(self) -> int:
        return len(self.names)


def use_names(chance: random.Random, names: Any) -> Calls:
    """Whatever a name server is asked, about a few names."""
    name = chance.choice("ab") + chance.choice("xyz")
    tags = chance.sample(["red", "green", "blue"], chance.randint(0, 3))
    try:
        match chance.randint(0, 6):
            case 0 | 1:
                yield names.register(name, f"PYRO:{name}@h:1", chance.random() < 0.5, tags)
            case 2:
                yield names.set_tags(name, tags)
            case 3:
                yield names.remove([name, "nobody"])
            case 4:
                yield names.lookup(name)
            case 5:
                yield names.page(
                    chance.choice(["", "a"]), tags, chance.random() < 0.5, chance.choice(["", "ay"])
                )
            case 6:
                yield names.count()
    except NamingError:
        return


# -- the shop ------------------------------------------------------------------------------------------------


class PlainShop(Plain):
    def __init__(self) -> None:
        self.shelf: dict[str, Product] = {}
        self.orders: dict[str, Order] = {}

    def stock(self, product: str, cents: int, count: int) -> Product:
        left = self.shelf[product].left if product in self.shelf else 0
        self.shelf[product] = Product(product, cents, left + count)
        return self.shelf[product]

    def order(self, customer: str, lines: list[Line]) -> Order:
        number, shelf = self.new_id(), dict(self.shelf)
        bought: dict[str, int] = {}
        cents = 0
        for line in lines:
            if line.product not in shelf:
                raise Unknown(f"{line.product} is not sold here")
            product = shelf[line.product]
            if product.left < line.count:
                raise SoldOut(product.name, product.left)
            shelf[product.name] = replace(product, left=product.left - line.count)
            bought[product.name] = bought.get(product.name, 0) + line.count
            cents += line.count * product.cents
        self.shelf = shelf
        told = [Line(product, count) for product, count in sorted(bought.items())]
        placed = self.now.isoformat(timespec="seconds")
        self.orders[number] = Order(number, customer, placed, cents, told)
        return self.orders[number]

    def products(self) -> list[Product]:
        return [product for _, product in sorted(self.shelf.items())]

    def placed(self, number: str) -> Order:
        if number not in self.orders:
            raise Unknown("there is no such order")
        return self.orders[number]

    def sold(self, product: str) -> int:
        lines = [line for order in self.orders.values() for line in order.lines]
        return sum(line.count for line in lines if line.product == product)


def use_shop(chance: random.Random, shop: Any) -> Calls:
    """Fill the shelf now and then, and order what is there, or not."""
    things = ["mug", "pen", "hat"]
    if chance.random() < 0.4:
        yield shop.stock(chance.choice(things[:2]), chance.randint(1, 500), chance.randint(1, 5))
    lines = [Line(chance.choice(things), chance.randint(1, 3)) for _ in range(chance.randint(1, 3))]
    try:
        order = yield shop.order("Ann", lines)
        yield shop.placed(order.id)
    except (SoldOut, Unknown):
        yield shop.products()
    yield shop.sold("mug")


# -- the warehouse: three services in one pair --------------------------------------------------


class PlainShelf:
    def __init__(self) -> None:
        self.items: dict[str, tuple[int, int]] = {}

    def put(self, name: str, cents: int, count: int) -> int:
        self.items[name] = cents, self.left(name) + count
        return self.left(name)

    def take(self, name: str, count: int) -> int:
        if self.left(name) < count:
            raise warehouse.SoldOut(name)
        cents, left = self.items[name]
        self.items[name] = cents, left - count
        return count * cents

    def left(self, name: str) -> int:
        return self.items[name][1] if name in self.items else 0


class PlainPoints:
    def __init__(self) -> None:
        self.of: dict[str, int] = {}

    def earn(self, customer: str, points: int) -> int:
        if self.balance(customer) + points < 0:
            raise warehouse.TooFewPoints(customer)
        self.of[customer] = self.balance(customer) + points
        return self.of[customer]

    def balance(self, customer: str) -> int:
        return self.of.get(customer, 0)


class PlainPurchases(Plain):
    def __init__(self, shelf: PlainShelf, points: PlainPoints) -> None:
        self._shelf, self._points = shelf, points
        self._rows: list[tuple[str, str, int]] = []

    def buy(self, customer: str, name: str, count: int, pay_points: bool) -> Any:
        number = self.new_id()
        cents = self._shelf.take(name, count)
        earned = cents // 100
        points = self._points.earn(customer, -10 * earned if pay_points else earned)
        self._rows.append((customer, name, count))
        return warehouse.Purchase(number, 0 if pay_points else cents, points)

    def buy_what_there_is(self, customer: str, name: str, count: int) -> int:
        count = min(count, self._shelf.left(name))
        if not count:
            raise warehouse.SoldOut(name)
        self._shelf.take(name, count)
        self._rows.append((customer, name, count))
        return count

    def bought(self, customer: str) -> list[tuple[str, int]]:
        of: dict[str, int] = {}
        for who, name, count in self._rows:
            if who == customer:
                of[name] = of.get(name, 0) + count
        return sorted(of.items())

    def overview(self, name: str) -> tuple[int, int]:
        return sum(count for _, one, count in self._rows if one == name), self._shelf.left(name)


class PlainWarehouse:
    def __init__(self) -> None:
        self.shelf, self.points = PlainShelf(), PlainPoints()
        self.purchases = PlainPurchases(self.shelf, self.points)


WAREHOUSE = {"shelf": warehouse.Shelf, "points": warehouse.Points, "purchases": warehouse.Purchases}


def use_warehouse(chance: random.Random, services: Any) -> Calls:
    """Fill the shelf, and buy by all ways that there are."""
    name, customer = chance.choice(["mug", "pen"]), chance.choice(["Ann", "Bob"])
    purchases = services[warehouse.Purchases]
    if chance.random() < 0.5:
        yield services.shelf.put(name, chance.randint(100, 900), chance.randint(1, 5))
    try:
        match chance.randrange(4):
            case 0:
                yield purchases.buy_what_there_is(customer, name, chance.randint(1, 4))
            case 1:
                yield services.points.earn(customer, chance.randint(-20, 40))
            case _:
                yield purchases.buy(customer, name, chance.randint(1, 3), chance.random() < 0.4)
    except (warehouse.SoldOut, warehouse.TooFewPoints):
        yield services.purchases.overview(name)
    yield purchases.bought(customer)
    yield services.points.balance(customer)
