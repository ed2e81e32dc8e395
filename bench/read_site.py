"""The mirror of `bench.read` behind `tieout serve bench.read_site:app`; with `BENCH_REDIS=PORT` Redis in its place.

Redis keeps a hash for each room, with a field for each day. The server, its routes, its checks and its documents are
the same: only where a stay is read from is not.
"""

from __future__ import annotations

import os
from datetime import date, timedelta
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis

from bench.mirrors import mirror
from tieout.mirror import Mirror, Offer

CONNECTIONS = 32


class FromRedis:
    """Reads stays from hashes."""

    def __init__(self, port: int) -> None:
        self._redis = Redis(connection_pool=BlockingConnectionPool(port=port, max_connections=CONNECTIONS))

    async def read(self, supplier: str, item: str, first: Any, nights: int, **_: Any) -> Offer:
        days = [(first + timedelta(days=at)).isoformat() for at in range(nights)]
        cells = [cell.split(b",") for cell in await self._redis.hmget(item, days)]
        prices, stocks, opens = zip(*cells, strict=True)
        values = {
            "price": sum(map(int, prices)),
            "stock": min(map(int, stocks)),
            "open": all(one == b"1" for one in opens),
        }
        return Offer(values, 1.0, 1.0, False, "group")


def fields(first: date, prices: list[int], stocks: list[int], opens: list[bool]) -> dict[str, str]:
    """A room's hash."""
    return {
        (first + timedelta(days=at)).isoformat(): f"{price},{stock},{int(is_open)}"
        for at, (price, stock, is_open) in enumerate(zip(prices, stocks, opens, strict=True))
    }


def site() -> tuple[Any, Mirror]:
    app, made = mirror(os.environ["BENCH_DB"], int(os.environ["BENCH_HOTELS"]))
    if "BENCH_REDIS" in os.environ:
        made.read = FromRedis(int(os.environ["BENCH_REDIS"])).read  # type: ignore[method-assign,assignment]  # Redis in its place
    return app, made


if "BENCH_DB" in os.environ:
    app, rooms = site()
