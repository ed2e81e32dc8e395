"""A MySQL database behind a proxy, on an event loop or in threads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.servers.proxy import Proxy
from tieout.database import connect
from tieout.testing.database_site import make_tables
from tieout.testing.thread_site import ThreadedDatabase


@asynccontextmanager
async def behind(proxy: Proxy, name: str, colour: str) -> AsyncIterator[Any]:
    """The open database, with the suite's tables and one connection."""
    url = f"mysql://u@127.0.0.1:{proxy.port}/{name}?pool=1&deadline=2&connect_timeout=3"
    database = connect(url) if colour == "loop" else ThreadedDatabase(connect(url, blocking=True))
    await database.open()
    await database.transact(make_tables)
    yield database
    await database.close()
