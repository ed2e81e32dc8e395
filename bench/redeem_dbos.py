"""The redemption on DBOS, as its users write it: `python -m bench.redeem_dbos FORM URL POOL IN_FLIGHT REDEMPTIONS`.

FORM is `async` or `sync`: a workflow with a transaction step of a datasource and a step for the call, on an event loop
or in threads. URL is `HOST:PORT/DATABASE`. Prints one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import sqlalchemy
from dbos import DBOS, AsyncSQLAlchemyDatasource, DBOSConfig, SetWorkflowID, SQLAlchemyDatasource

from bench.pacing import drive, drive_threads

USERS = 1_000
DEDUCT = sqlalchemy.text("UPDATE account SET points = points - :points WHERE name = :name AND points >= :points")
CHANGE = sqlalchemy.text("INSERT INTO points_change (id, name, points) VALUES (:id, :name, :points)")
ISOLATION = "READ COMMITTED"


def config(url: str, pool: int, threads: int) -> DBOSConfig:
    """Its tables in the same server, no console, no admin server."""
    return {
        "name": "redeem",
        "system_database_url": f"postgresql://u@{url}",
        "sys_db_pool_size": pool,
        "max_executor_threads": threads,
        "run_admin_server": False,
        "log_level": "ERROR",
    }  # type: ignore[typeddict-unknown-key] # `run_admin_server` came and went


def request(number: int) -> tuple[str, str]:
    """A request key and a user."""
    return os.urandom(16).hex(), f"user{number % USERS}"


def in_threads(url: str, pool: int, in_flight: int, redemptions: int) -> dict[str, float]:
    source = SQLAlchemyDatasource.create(f"postgresql+psycopg://u@{url}", engine_kwargs={"pool_size": pool})

    @source.transaction(isolation_level=ISOLATION)
    def deduct(key: str, user: str, points: int) -> None:
        session = source.sql_session()
        if session.execute(DEDUCT, {"points": points, "name": user}).rowcount != 1:
            raise ValueError("not enough points")
        session.execute(CHANGE, {"id": key, "name": user, "points": points})

    @DBOS.step()
    def issue(key: str) -> dict[str, str]:
        return {"code": key[:12]}

    @DBOS.workflow()
    def redeem(key: str, user: str, sku: str, quantity: int) -> dict[str, str]:
        deduct(key, user, quantity)
        return issue(key)

    def one(number: int) -> None:
        key, user = request(number)
        with SetWorkflowID(key):
            redeem(key, user, "mug", 2)

    DBOS.launch()
    one(0)
    return drive_threads(one, redemptions, in_flight)


async def on_a_loop(url: str, pool: int, in_flight: int, redemptions: int) -> dict[str, float]:
    source = await AsyncSQLAlchemyDatasource.create(f"postgresql+psycopg://u@{url}", engine_kwargs={"pool_size": pool})

    @source.transaction(isolation_level=ISOLATION)
    async def deduct(key: str, user: str, points: int) -> None:
        session = source.sql_session()
        done: Any = await session.execute(DEDUCT, {"points": points, "name": user})
        if done.rowcount != 1:
            raise ValueError("not enough points")
        await session.execute(CHANGE, {"id": key, "name": user, "points": points})

    @DBOS.step()
    async def issue(key: str) -> dict[str, str]:
        return {"code": key[:12]}

    @DBOS.workflow()
    async def redeem(key: str, user: str, sku: str, quantity: int) -> dict[str, str]:
        await deduct(key, user, quantity)
        return await issue(key)

    async def one(number: int) -> None:
        key, user = request(number)
        with SetWorkflowID(key):
            await redeem(key, user, "mug", 2)

    DBOS.launch()
    await one(0)
    return await drive(one, redemptions, in_flight)


def main() -> None:
    _, form, url, *numbers = sys.argv
    pool, in_flight, redemptions = map(int, numbers)
    DBOS(config=config(url, pool, max(64, in_flight)))
    if form == "sync":
        result = in_threads(url, pool, in_flight, redemptions)
    else:
        result = asyncio.run(on_a_loop(url, pool, in_flight, redemptions))
    print(json.dumps(result), flush=True)
    os._exit(0)  # its threads would be waited for


if __name__ == "__main__":
    main()
