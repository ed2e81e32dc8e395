"""The redemption by hand in threads, without tieout and without an event loop: psycopg, PyMySQL or sqlite3.

`python -m bench.redeem_floor_threads DIALECT ADDRESS POOL THREADS REDEMPTIONS STATEMENTS`, where ADDRESS is
`HOST PORT USER DATABASE`, or the one FILE of SQLite. Servers are written to through a pool; SQLite, which has one
writer at a time, through one connection that the threads take in turn. Prints one JSON line.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import LifoQueue
from typing import Any

import psycopg
import pymysql
from psycopg.rows import tuple_row
from pymysql.constants.CLIENT import FOUND_ROWS

from bench.pacing import drive_threads
from bench.redeem_by_hand import Request, ended, request, started, statements

Connect = Callable[..., Any]


def postgres(host: str, port: str, user: str, database: str) -> tuple[Any, Any]:
    connection = psycopg.connect(host=host, port=port, user=user, dbname=database)
    return connection, psycopg.RawCursor(connection, row_factory=tuple_row)


def mysql(host: str, port: str, user: str, database: str) -> tuple[Any, Any]:
    connection = pymysql.connect(
        host=host,
        port=int(port),
        user=user,
        database=database,
        charset="utf8mb4",
        client_flag=FOUND_ROWS,
    )
    connection.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    return connection, connection.cursor()


def sqlite(file: str) -> tuple[Any, Any]:
    connection = sqlite3.connect(file, isolation_level="IMMEDIATE", check_same_thread=False, cached_statements=256)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection, connection.cursor()


CONNECT: dict[str, Connect] = {"postgres": postgres, "mysql": mysql, "sqlite": sqlite}


def run(dialect: str, opened: list[tuple[Any, Any]], threads: int, redemptions: int, given: str) -> dict[str, float]:
    deduct, change, insert, save = statements(given)
    pool: LifoQueue[tuple[Any, Any]] = LifoQueue()
    for one in opened:
        pool.put(one)

    @contextmanager
    def transaction() -> Iterator[Any]:
        connection, cursor = pool.get()
        yield cursor
        connection.commit()
        pool.put((connection, cursor))

    def start(one: Request) -> int:
        with transaction() as cursor:
            cursor.execute(deduct.text, deduct.args(points=2, name=one.user))
            if cursor.rowcount != 1:
                raise SystemExit("not enough points")
            cursor.execute(change.text, change.args(id=one.process.hex(), name=one.user, points=2))
            cursor.execute(insert.text, insert.args(**started(one)))
            return int(cursor.lastrowid if dialect == "mysql" else cursor.fetchone()[0])

    def finish(one: Request, at: int, code: str) -> None:
        with transaction() as cursor:
            cursor.execute(save.text, save.args(**ended(one, at, code)))
            if cursor.rowcount != 1:
                raise SystemExit("lost a race that nobody ran")

    def redeem(number: int) -> None:
        one = request(number)
        finish(one, start(one), one.process.hex()[:12])

    return drive_threads(redeem, redemptions, threads)


def main() -> None:
    _, dialect, *address, pool, threads, redemptions, given = sys.argv
    opened = [CONNECT[dialect](*address) for _ in range(int(pool))]
    print(json.dumps(run(dialect, opened, int(threads), int(redemptions), given)))


if __name__ == "__main__":
    main()
