"""Transactions that are run again while the database says that another try may succeed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from random import Random
from typing import TypeVar

from tieout.contracts import Clock, Database, Param, Row, Statement, Transaction
from tieout.errors import CommitUnknown, DatabaseError, RetryTransaction

T = TypeVar("T")

FIRST_PAUSE = 0.02
"""Seconds before the second try; doubled for each further one, with jitter."""

LONGEST_PAUSE = 0.25
"""Longest pause between tries, in seconds: a quarter of what a failover may cost beyond its detection."""

TRIES = 40
"""How often a transaction is run while the database says that another try may succeed: about eight seconds."""

ROLLED_BACK_TRIES = 10
"""How often it is run where nothing else is tried again than what was rolled back for others' sake: over a second."""


def may_pass(error: Exception) -> bool:
    """Whether the database says that the same transaction, run again, can succeed."""
    return isinstance(error, DatabaseError) and error.retryable


def was_rolled_back(error: Exception) -> bool:
    """Whether nothing was done, for the sake of others: of two that wait for each other the server ends one."""
    return isinstance(error, RetryTransaction)


def pause_before(again: int, chance: Random) -> float:
    """Seconds to wait before trying again, for the so-manyth time."""
    return min(FIRST_PAUSE * 2.0**again, LONGEST_PAUSE) * (0.5 + chance.random() / 2)


async def retried(
    run: Callable[[], Awaitable[T]],
    clock: Clock,
    chance: Random,
    *,
    tries: int = TRIES,
    is_worth_it: Callable[[Exception], bool] = may_pass,
) -> T:
    """What `run` returns, run up to `tries` times, as long as what it raises `is_worth_it`.

    When all fail and one of them may have committed, `CommitUnknown` is raised, whatever the last one said.
    """
    tried = 0
    doubt: CommitUnknown | None = None
    while True:
        try:
            return await run()
        except DatabaseError as error:
            tried += 1
            if not is_worth_it(error):
                raise
            if isinstance(error, CommitUnknown):
                doubt = error
            if tried >= tries:
                raise error if doubt is None else doubt  # noqa: B904 - it is one of those that came
            await clock.sleep(pause_before(tried, chance))


class RetryingDatabase:
    """A database that runs a transaction again which the server has rolled back for the sake of others.

    So whatever is given to it may run more than once, of which one run is committed.
    """

    def __init__(self, inner: Database, clock: Clock, chance: Random) -> None:
        self._inner, self._clock, self._chance = inner, clock, chance

    @property
    def dialect(self) -> str:
        return self._inner.dialect

    async def open(self) -> None:
        """As the database itself."""
        await self._inner.open()

    async def close(self) -> None:
        """As the database itself."""
        await self._inner.close()

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` in one transaction, again if need be."""
        return await self._retried(lambda: self._inner.transact(work))

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` in one read-only transaction, again if need be."""
        return await self._retried(lambda: self._inner.read(work))

    def stream(
        self, sql: str | Statement, /, *, batch: int = 1_000, **params: Param
    ) -> AsyncGenerator[Sequence[Row], None]:
        """As the database itself: what was given away cannot be taken back, so this is run once."""
        return self._inner.stream(sql, batch=batch, **params)

    async def _retried(self, run: Callable[[], Awaitable[T]]) -> T:
        return await retried(run, self._clock, self._chance, tries=ROLLED_BACK_TRIES, is_worth_it=was_rolled_back)
