"""An App's own transactions in sessions of the user's: what a step is given, and its engine's statements beside it."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, NoReturn, Protocol, TypeVar

from tieout.contracts import Database, Param, Row, Statement, Transaction
from tieout.errors import AppClosed, AppForked, ConfigError, SchemaMismatch, UsageError
from tieout.sessions.joined import Joined

T = TypeVar("T")

_APPLIED = "SELECT number, digest, applied_at FROM tieout_migration ORDER BY number"


class OwnTransaction(Protocol):
    """A transaction that we have begun and will end."""

    @property
    def tx(self) -> Joined: ...

    async def settle(self) -> None:
        """Send what is left to be sent; raise what stands against a commit."""
        ...

    async def commit(self) -> None:
        """Commit, and give everything back; raise `CommitUnknown` when nobody knows whether that was done."""
        ...

    async def roll_back(self, *, interrupted: bool) -> None:
        """Undo all, and give everything back; what was interrupted is thrown away. Raises nothing of the library's."""
        ...


class Sessions(Protocol):
    """Where sessions come from; `given` is what steps are given, and `blocking` the colour of it."""

    @property
    def given(self) -> type: ...
    @property
    def blocking(self) -> bool: ...

    async def begin(self) -> OwnTransaction:
        """A transaction that has begun; raise a `DatabaseError`."""
        ...


class SessionDatabase:
    """A database whose transactions run in the user's sessions; reading and streaming stay with its own driver.

    How long a transaction may take, and at which isolation, is what the user's sessions say.
    """

    def __init__(self, native: Database, sessions: Sessions) -> None:
        self.native = native
        self.dialect = native.dialect
        self.sessions = sessions
        self.given = sessions.given
        self._pid = 0

    async def open(self) -> None:
        await self.native.open()
        self._pid = os.getpid()

    async def close(self) -> None:
        self._pid = 0
        await self.native.close()

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        self.check_here()
        own = await self.sessions.begin()
        try:
            result = await work(own.tx)
            await own.settle()
        except Exception as error:  # noqa: BLE001 - it is raised, translated
            await own.roll_back(interrupted=False)
            raise_translated(own.tx, error)
        except BaseException:
            await own.roll_back(interrupted=True)
            raise
        await own.commit()
        return result

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return await self.native.read(work)

    def stream(
        self, sql: str | Statement, /, *, batch: int = 1_000, **params: Param
    ) -> AsyncGenerator[Sequence[Row], None]:
        return self.native.stream(sql, batch=batch, **params)

    def check_here(self) -> None:
        """Raise `AppClosed` or `AppForked` where no transaction may begin."""
        if not self._pid:
            raise AppClosed("the database is not open")
        if self._pid != os.getpid():
            raise AppForked("the database was opened before a fork: open it in this process")

    async def check_same(self) -> None:
        """Raise `ConfigError` unless the sessions lead to the database of the URL, as its migrations tell."""

        async def applied(tx: Transaction) -> list[list[Any]]:
            if tx.dialect != self.dialect:
                raise ConfigError(f"session= leads to {tx.dialect}, and the URL to {self.dialect}")
            return [list(row) for row in await tx.fetch(_APPLIED)]

        here = await self.native.read(applied)
        try:
            there = await self.transact(applied)
        except SchemaMismatch:
            there = []
        if here != there:
            raise ConfigError("session= leads to another database than the URL")


async def run_in_session(tx: Transaction, step: Callable[[Any], Awaitable[Any]]) -> Any:
    """Run a transaction step on the user's session, and send all that it wrote."""
    if not isinstance(tx, Joined):
        raise UsageError("the steps of this App are given a session, and this transaction has none")
    try:
        result = await step(tx.user)
    except Exception as error:  # noqa: BLE001 - it is raised, translated
        raise_translated(tx, error)
    await tx.flush()
    return result


def raise_translated(tx: Joined, error: Exception) -> NoReturn:
    """Raise the error as one of tieout's, if it is one of the library's."""
    ours = tx.translated(error)
    if ours is error:
        raise error
    raise ours from error
