"""One App in either colour, as clients and auditors on one event loop use it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal, Protocol, Self

from tests.ha.business import Company, PlainRedeem, Redeem
from tieout import App, blocking
from tieout.contracts import Row

Colour = Literal["loop", "threads"]
"""asyncpg or asyncmy on an event loop; psycopg or PyMySQL in threads."""

THREADS = 12
"""More than there are clients, so that none waits for another's."""


class Shop(Protocol):
    """What takes redemptions, and lets its tables be read and written."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *error: object) -> None: ...

    async def redeem(self, request: str) -> None:
        """Accept a request, or raise."""
        ...

    async def fetch(self, sql: str) -> Sequence[Row]: ...

    async def execute(self, sql: str) -> int: ...

    async def evidence(self, kind: str) -> list[Any]:
        """What all alarms of a kind rest on."""
        ...

    async def missing(self, keys: Sequence[str]) -> list[str]:
        """Of the keys that the company has, those that no process stands for."""
        ...


class OnLoop:
    """`tieout.App`."""

    def __init__(self, url: str, company: Company) -> None:
        self.app = App(url, deps=company)
        self.app.register(Redeem)

    async def __aenter__(self) -> Self:
        await self.app.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.app.close()

    async def redeem(self, request: str) -> None:
        await self.app.start(Redeem(request_id=request))

    async def fetch(self, sql: str) -> Sequence[Row]:
        return await self.app.database.read(lambda tx: tx.fetch(sql))

    async def execute(self, sql: str) -> int:
        return await self.app.database.transact(lambda tx: tx.execute(sql))

    async def evidence(self, kind: str) -> list[Any]:
        shown = [await self.app.alarms.show(alarm.id) for alarm in await self.app.alarms.list(kind=kind)]
        return [json.loads(piece.body) for alarm in shown for piece in alarm.evidence]

    async def missing(self, keys: Sequence[str]) -> list[str]:
        return await self.app.operate.missing(keys)


class InThreads:
    """`tieout.blocking.App`."""

    def __init__(self, url: str, company: Company) -> None:
        self.app = blocking.App(url, deps=company)
        self.app.register(PlainRedeem)
        self._threads = ThreadPoolExecutor(THREADS)

    async def __aenter__(self) -> Self:
        await self._run(self.app.__enter__)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._run(self.app.close)
        self._threads.shutdown()

    async def redeem(self, request: str) -> None:
        await self._run(self.app.start, PlainRedeem(request_id=request))

    async def fetch(self, sql: str) -> Sequence[Row]:
        return await self._run(self.app.database.read, lambda tx: tx.fetch(sql))

    async def execute(self, sql: str) -> int:
        return await self._run(self.app.database.transact, lambda tx: tx.execute(sql))

    async def evidence(self, kind: str) -> list[Any]:
        alarms = self.app.alarms
        shown = [await self._run(alarms.show, one.id) for one in await self._run(partial(alarms.list, kind=kind))]
        return [json.loads(piece.body) for alarm in shown for piece in alarm.evidence]

    async def missing(self, keys: Sequence[str]) -> list[str]:
        return await self._run(self.app.operate.missing, keys)

    async def _run(self, what: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, what, *args)


SHOPS: dict[Colour, Callable[[str, Company], Shop]] = {"loop": OnLoop, "threads": InThreads}
