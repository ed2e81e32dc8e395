"""Budgets: so many queries in a time, whoever sends them, and a share kept for what cannot wait.

Each class of queries has a budget of its own, which gives its tokens one by one at equal distances (GCRA with a burst
of one: ITU-T I.371). Points at a distance of T fall into a half-open window of length W at most ceil(W / T) times. So
when the classes have n1, n2, … tokens of a window W, at distances W / n, no window of that length ever holds more than
their sum, whatever the nodes and however they share the tokens.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from tieout.config import microseconds
from tieout.contracts import Clock, Database, Transaction
from tieout.coordination.store import CoordinationStore
from tieout.coordination.till import Till, Wanted, take
from tieout.errors import ConfigError
from tieout.identity import key_bytes

OURS = 2 / 3
"""Share of the jitter by which a query may be late before it goes out."""

_RATE = re.compile(r"(\d+)/(\d*)(s|min|m|h|d)", re.ASCII)
_WINDOWS = {"s": "s", "min": "m", "m": "m", "h": "h", "d": "d"}


class Rate(msgspec.Struct, frozen=True):
    """At most `count` in every window of `window` microseconds."""

    count: int
    window: int


def rate(text: str) -> Rate:
    """A rate from text such as "60/min", "5/s", "100/10s"; raise `ConfigError`."""
    match = _RATE.fullmatch(text.replace(" ", ""))
    if match is None or int(match[1]) == 0 or match[2] == "0":
        raise ConfigError(f"{text!r} is not a rate: write for instance 60/min or 5/s")
    return Rate(int(match[1]), microseconds(f"{match[2] or 1}{_WINDOWS[match[3]]}"))


def shares(whole: Rate, reserve: Mapping[str, float], rest: str) -> dict[str, Rate]:
    """Whole tokens of each window for each class that has some reserved, at least one; `rest` has what is left.

    Raise `ConfigError` when nothing is left.
    """
    if any(not 0 < share < 1 for share in reserve.values()):
        raise ConfigError("a reserve is a share between 0 and 1")
    counts = {name: max(1, round(share * whole.count)) for name, share in reserve.items()}
    left = whole.count - sum(counts.values())
    if left < 1:
        raise ConfigError(f"of {whole.count} queries nothing is left behind the reserves {dict(reserve)}")
    return {name: Rate(count, whole.window) for name, count in (*counts.items(), (rest, left))}


class Token(NamedTuple):
    """The right to one query, from `at` to `lost` on this machine's clock."""

    at: float
    lost: float


class Budget:
    """Tokens of one supplier, shared by all nodes through the database; its time is the server's.

    `jitter` (seconds) is by how much a query may arrive later than its token was meant for. Points that are each moved
    by 0 to J fall into a window of length W only if they came from one of W + J: so the tokens of W are shared out over
    W + J. `OURS` of it is for this machine and the database, and a token that would be used later is lost; the rest is
    for the network. A token that was taken and not used is spent.
    """

    def __init__(
        self, database: Database, clock: Clock, name: str, classes: Mapping[str, Rate], *, jitter: float = 0.0
    ) -> None:
        self.store = CoordinationStore(database.dialect)
        self.classes = dict(classes)
        self._database = database
        self._clock = clock
        self._names = {kind: key_bytes(f"{name}/{kind}", "budget") for kind in classes}
        self._jitter = jitter
        self._closed_until = -math.inf

    async def open(self) -> None:
        """Make the budget known to the database."""

        async def work(tx: Transaction) -> None:
            for name in self._names.values():
                await self.store.add_budget(tx, name)

        await self._database.transact(work)

    async def take(self, kind: str, patience: float) -> bool:
        """Wait for the next token of a class; False when it is more than `patience` seconds off, or all were lost."""
        end = self._clock.monotonic() + patience
        while tokens := await self.reserve(kind, max(0.0, end - self._clock.monotonic())):
            if await self.use(tokens[0]):
                return True
            if self._clock.monotonic() > end:
                break
        return False

    async def reserve(self, kind: str, patience: float, count: int = 1, *, till: Till | None = None) -> list[Token]:
        """Take the next tokens of a class, in one statement; none when the first is over `patience` seconds off.

        At a till this shares its transaction with what is taken of other budgets.
        """
        interval = self.interval(kind)
        wanted = Wanted(self._names[kind], count * interval, round(patience * 1_000_000))
        if till is not None:
            begun, wait, ended = await till.take(wanted)
        else:
            begun, wait, ended = await self._database.transact(lambda tx: take(tx, self.store, self._clock, wanted))
        if wait is None:
            return []
        late = OURS * self._jitter if self._jitter else math.inf
        waits = [(wait + at * interval) / 1_000_000 for at in range(count)]
        return [Token(ended + one, begun + one + late) for one in waits]

    async def use(self, token: Token) -> bool:
        """Wait until a token is ours; False when it is lost: it is too late for it, or nobody may ask for a while."""
        wait = token.at - self._clock.monotonic()
        if wait > 0:
            await self._clock.sleep(wait)
        return token.at >= self._closed_until and self._clock.monotonic() <= token.lost

    def interval(self, kind: str) -> int:
        """Microseconds between two tokens of a class."""
        rate = self.classes[kind]
        return -(-(rate.window + round(self._jitter * 1_000_000)) // rate.count)

    async def pause(self, seconds: float) -> None:
        """Give no token of any class for a while: the other side has asked for it."""
        self._closed_until = self._clock.monotonic() + seconds

        async def work(tx: Transaction) -> None:
            for name in self._names.values():
                await self.store.close_budget(tx, name, round(seconds * 1_000_000))

        await self._database.transact(work)
