"""Demand: which cells somebody will want, predicted from what was looked at and ordered, and how long before the stay.

Counts fade by forward decay (Cormode, Shkapenyuk, Srivastava and Xu, ICDE 2009): an event at time t counts as
2 ** ((t - landmark) / half-life). What is stored need not be touched to fade, and is added up from many nodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from tieout.config import microseconds
from tieout.contracts import Transaction
from tieout.database.query import load
from tieout.errors import DefinitionError

Kind: TypeAlias = Literal["browse", "order"]
"""What somebody did with an item."""

LANDMARK = 1_767_225_600_000_000
"""2026-01-01 in UTC, in microseconds: where every event's weight is one."""

SHORTEST_HALF_LIFE = 3_600_000_000
"""Microseconds: of a shorter half-life the weights would not fit a float for three weeks."""

LONGEST_EXPONENT = 1_000.0
"""Of two: what a float still holds, with room for sums."""

BOOKED: Sequence[tuple[int, float]] = (
    (0, 0.0),
    (1, 0.0531),
    (2, 0.0821),
    (4, 0.1147),
    (8, 0.1654),
    (11, 0.1914),
    (15, 0.2242),
    (22, 0.2724),
    (31, 0.3242),
    (46, 0.4040),
    (61, 0.4663),
    (91, 0.5717),
    (121, 0.6591),
    (181, 0.7932),
    (271, 0.9053),
    (366, 0.9736),
    (738, 1.0),
)
"""Share of 119,390 hotel bookings made less than so many days ahead (Antonio, de Almeida and Nunes 2019, CC BY 4.0)."""


class Demand(msgspec.Struct, frozen=True):
    """How popular items are, and how far ahead they are wanted; a subclass may predict otherwise.

    half_life   after how long something that was looked at or ordered counts half as much
    order       as how many looks an order counts
    lead_times  (cells ahead, share of orders that are for nearer cells), rising; yours, when you know them
    """

    half_life: float | str = "7d"
    order: float = 20.0
    lead_times: Sequence[tuple[int, float]] = BOOKED

    def __post_init__(self) -> None:
        at, shares = zip(*self.lead_times, strict=True) if self.lead_times else ((), ())
        if len(at) < 2 or list(at) != sorted(set(at)) or list(shares) != sorted(shares) or self.order <= 0:
            raise DefinitionError("lead_times rise, by cells ahead and by share, and an order counts more than nothing")
        if microseconds(self.half_life) < SHORTEST_HALF_LIFE:
            raise DefinitionError("a half-life of demand is an hour at least")

    def share(self, ahead: int, cells: int) -> float:
        """The share of orders that are for one of `cells` cells, the first of them so many ahead."""
        at, shares = zip(*self.lead_times, strict=True)
        until, before = np.interp([ahead + cells, ahead], at, shares)
        return float(until - before)

    def exponent(self, now: int) -> float:
        """Of two: how much an event weighs at the server's time `now`."""
        return min((now - LANDMARK) / microseconds(self.half_life), LONGEST_EXPONENT)


class Counting:
    """Counts of one copy that this node has not stored yet."""

    def __init__(self, demand: Demand) -> None:
        self.demand = demand
        self._counts: Counter[tuple[int, Kind]] = Counter()

    def note(self, item: int, kind: Kind) -> None:
        """Count one look or order."""
        self._counts[item, kind] += 1

    def __len__(self) -> int:
        return len(self._counts)

    def take(self, now: int) -> list[tuple[int, Kind, float]]:
        """What was counted since the last time, as weights."""
        counts, self._counts = self._counts, Counter()
        event = 2.0 ** self.demand.exponent(now)
        return [(item, kind, count * event) for (item, kind), count in counts.items()]


class DemandStore:
    """Popularity over named SQL."""

    def __init__(self, dialect: str) -> None:
        self.sql = load("tieout.mirror", dialect)

    async def add(self, tx: Transaction, copy: int, weights: Iterable[tuple[int, Kind, float]]) -> None:
        """Add weights to what is stored."""
        await tx.execute_many(
            self.sql.add_demand,
            [{"copy": copy, "item": item, "kind": kind, "weight": weight} for item, kind, weight in sorted(weights)],
        )

    async def of_groups(self, tx: Transaction, copy: int, demand: Demand) -> Mapping[int, float]:
        """How popular each group is: its items' weights together, those that have any."""
        found: dict[int, float] = {}
        for group, kind, weight in await tx.fetch(self.sql.demand_of_groups, copy=copy):
            found[group] = found.get(group, 0.0) + weight * (demand.order if kind == "order" else 1.0)
        return found


def hottest(demand: Demand, popularity: NDArray[np.float64], cells: int, most: int, share: float) -> NDArray[np.bool_]:
    """The units of which most is expected: for each group, and each window of `most` of the first `cells` cells.

    `share` is how many: of one or more so many units, below one that share of all. What nobody wants is never hot.
    """
    masses = [demand.share(ahead, min(most, cells - ahead)) for ahead in range(0, cells, most)]
    expected = popularity[:, None] * np.array(masses)[None, :]
    count = min(expected.size, int(share) if share >= 1 else round(share * expected.size))
    hot: NDArray[np.bool_] = np.zeros(expected.shape, dtype=np.bool_)
    if count:
        hot.flat[np.argpartition(-expected, count - 1, axis=None)[:count]] = True
    hot &= expected > 0
    return hot
