"""Clients that redeem through a bad network for a while, on one driver, and what it came to."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import tieout
from tests.proxy.auditor import PATIENCE, Outcome, Read, Told, What, audit, wait_for_the_end
from tests.proxy.business import TABLES, WRITE, Company, Redeem, RedeemInThreads
from tests.proxy.network import FAULTS, Network
from tests.servers.mariadb import FAST as FAST_MARIADB
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import FAST as FAST_POSTGRES
from tests.servers.postgres import Postgres
from tieout.errors import DatabaseError, TieoutError

DRIVERS = {"asyncpg": "postgres", "psycopg": "postgres", "asyncmy": "mariadb", "PyMySQL": "mariadb"}
IN_THREADS = ("psycopg", "PyMySQL")

CLIENTS = 4
POOL = 6
OPTIONS = {"pool": POOL, "deadline": 1, "connect_timeout": 0.5}
PAUSE = 0.01
"""Seconds between two requests of a client: a machine with other work has to keep up."""

GRACE = 30.0
"""Most seconds that a run goes on after its time, on a busy machine, until everything has happened at least once."""

ABANDONS, WAITS = 0.3, 0.2
"""How often a client does not ask again for what failed or is unknown, and how often it waits for the result."""


@dataclass
class Run:
    """What happened on one driver."""

    log: list[Told] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def reached(self, network: Network, company: Company) -> Run:
        """This run, with its counts as they are by now."""
        told = Counter(f"told {word}" for told in self.log for word in (told.outcome, told.code) if word)
        self.counts |= network.struck | company.counts | told
        return self

    @property
    def never(self) -> list[str]:
        """What has to happen in a run that shows something, and did not."""
        wanted = (*FAULTS, "told done", "told failed", "told unknown", "answers that the company lost")
        return [name for name in wanted if not self.counts[name]]


class Servers:
    """A server of each kind that these drivers need, for as long as this is open."""

    def __init__(self, *drivers: str) -> None:
        make = {"postgres": lambda: Postgres(**FAST_POSTGRES), "mariadb": lambda: MariaDB(**FAST_MARIADB)}
        self._servers: dict[str, Postgres | MariaDB] = {
            kind: make[kind]() for kind in {DRIVERS[driver] for driver in drivers}
        }

    def __enter__(self):
        try:
            for server in self._servers.values():
                server.create()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers.values():
            server.remove()

    async def place(self, driver: str) -> tuple[int, Callable[[int], str], Read]:
        """A database with the tables of tieout and of the business.

        Its port, its impatient URL at another port, and how to read it past everything.
        """
        server = self._servers[DRIVERS[driver]]
        name = await asyncio.to_thread(server.database)
        ask = server.psql if isinstance(server, Postgres) else server.sql

        def read(sql: str) -> str:
            return ask(sql, name)

        await _make_tables(server.url(name), read)
        there = f":{server.port}/"
        return server.port, lambda port: server.url(name, **OPTIONS).replace(there, f":{port}/"), read


async def run(servers: Servers, driver: str, seconds: float, seed: int) -> Run:
    """Load one driver for so long, let everything come to its end, and audit it."""
    done, company = Run(), Company(seed)
    port, url, read = await servers.place(driver)
    async with Network(port, seed).running() as network:
        door = door_of(driver, url(network.port), company)
        await door.open()
        try:
            network.strike()
            ends = time.monotonic() + seconds

            def is_over() -> bool:
                now = time.monotonic()
                return now > ends + GRACE or (now > ends and not done.reached(network, company).never)

            clients = (Client(door, name, seed, done.log) for name in range(CLIENTS))
            await asyncio.gather(*(client.redeem(is_over) for client in clients))
            network.quiet()
            await _recover(door, done)
            left = await asyncio.to_thread(wait_for_the_end, read)
        finally:
            await door.close()
    if left:
        done.violations.append(f"{left} processes are not final {PATIENCE:g} s after the last fault")
    done.violations += await asyncio.to_thread(lambda: list(audit(done.log, company.issued, read)))
    done.reached(network, company)
    done.violations = [f"{driver}: {violation}" for violation in done.violations]
    return done


async def _make_tables(url: str, read: Read) -> None:
    app = tieout.App(url)
    await app.migrate()
    await app.database.close()
    accounts = [f"INSERT INTO account (name, points) VALUES ('{name}', 0)" for name in range(CLIENTS)]
    for sql in (*TABLES, *accounts):
        await asyncio.to_thread(read, sql)


class Loop:
    """An App on an event loop."""

    def __init__(self, url: str, company: Company) -> None:
        self._app = tieout.App(url, deps=company, limits=tieout.Limits(sweep_every=0.3))
        self._app.register(Redeem)

    async def open(self) -> None:
        await self._app.__aenter__()

    async def start(self, request: str, account: str, wait: float | None) -> None:
        await self._app.start(Redeem(request_id=request, account=account), wait=wait)

    async def write(self, request: str) -> None:
        await self._app.database.transact(lambda tx: tx.execute(WRITE, request=request))

    async def close(self) -> None:
        await self._app.close()


class Threads:
    """An App on threads."""

    def __init__(self, url: str, company: Company) -> None:
        limits = tieout.Limits(sweep_every=0.3, in_flight=8)
        self._app = tieout.blocking.App(url, deps=company, limits=limits)
        self._app.register(RedeemInThreads)

    async def open(self) -> None:
        await asyncio.to_thread(self._app.__enter__)

    async def start(self, request: str, account: str, wait: float | None) -> None:
        asked = RedeemInThreads(request_id=request, account=account)
        await asyncio.to_thread(self._app.start, asked, wait=wait)

    async def write(self, request: str) -> None:
        await asyncio.to_thread(self._app.database.transact, lambda tx: tx.execute(WRITE, request=request))

    async def close(self) -> None:
        await asyncio.to_thread(self._app.__exit__, None, None, None)


Door = Loop | Threads


def door_of(driver: str, url: str, company: Company) -> Door:
    """An App on this driver that does this business."""
    return (Threads if driver in IN_THREADS else Loop)(url, company)


class Client:
    """Asks as clients do, again with the same key until it is accepted or given up; and writes beside it, once each."""

    def __init__(self, door: Door, name: int, seed: int, log: list[Told]) -> None:
        self._door, self._name, self._log = door, str(name), log
        self._chance = Random(f"{seed} {name}")

    async def redeem(self, is_over: Callable[[], bool]) -> None:
        for number in itertools.count():
            request = f"{self._name}-{number}"
            while await self.ask(request) != "done":
                if self._chance.random() < ABANDONS:
                    break
                await asyncio.sleep(PAUSE)
            await self._told("write", request, self._door.write(request))
            if is_over():
                return
            await asyncio.sleep(PAUSE)

    async def ask(self, request: str) -> Outcome:
        """Ask for a process once."""
        wait = 1.0 if self._chance.random() < WAITS else None
        return await self._told("redeem", request, self._door.start(request, self._name, wait))

    async def _told(self, what: What, request: str, operation: Awaitable[None]) -> Outcome:
        """Do it, and write down what was told."""
        began = time.monotonic()
        code, outcome = "", "done"
        try:
            await operation
        except DatabaseError as error:
            code, outcome = error.code, error.outcome
        except TieoutError as error:
            code, outcome = error.code, "foreign"
        except Exception as error:  # noqa: BLE001 - the audit tells of it
            code, outcome = repr(error), "foreign"
        self._log.append(Told(what, request, outcome, code, time.monotonic() - began))
        return outcome


async def _recover(door: Door, done: Run) -> None:
    """Once nothing strikes any more, more requests at once than there are connections succeed, all of them."""
    ends = time.monotonic() + PATIENCE
    for number in itertools.count():
        clients = [Client(door, 0, number, done.log) for _ in range(2 * POOL)]
        asked = (client.ask(f"burst {number}-{at}") for at, client in enumerate(clients))
        outcomes: Iterable[Any] = await asyncio.gather(*asked)
        if set(outcomes) == {"done"}:
            done.counts["pools recovered"] += 1
            return
        if time.monotonic() > ends:
            done.violations.append(f"the pool has not recovered {PATIENCE:g} s after the last fault")
            return
        await asyncio.sleep(0.2)
