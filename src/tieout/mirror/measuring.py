"""How true a copy is: what random audits found, how old its cells are, and an alarm when it is worse than agreed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from tieout.config import duration
from tieout.contracts import Transaction
from tieout.database.query import load
from tieout.errors import DefinitionError
from tieout.mirror.calendar import NEVER
from tieout.mirror.copying import Copy
from tieout.mirror.sightings import MANY, UNCHANGED
from tieout.mirror.suppliers import Following

WINDOW = 86_400_000_000
"""Microseconds that are looked back on: a day has every hour's demand and changes in it once."""

MEASURE_EVERY = 60.0
"""Seconds between two measurements on the node that leads a copy."""

ENOUGH_AUDITS = 30
"""Audits below which their share of true cells says too little for an alarm."""


class Slo(msgspec.Struct, frozen=True):
    """What is agreed of each copy: what is worse for longer than a minute is told by an alarm `mirror-slo`.

    accuracy    least share of cells that random audits find as they were kept
    age         longest time since 95 of 100 open cells were observed, such as "2h"
    """

    accuracy: float | None = None
    age: float | str | None = None

    def __post_init__(self) -> None:
        if self.accuracy is not None and not 0 < self.accuracy < 1:
            raise DefinitionError(f"accuracy={self.accuracy!r}: a share between 0 and 1")
        if self.age is not None:
            duration(self.age)


class Asked(NamedTuple):
    """Observations of one cause: how many, the cells that were known then, and those of them that had changed."""

    queries: int
    known: int
    changed: int


class Measured(msgspec.Struct, frozen=True):
    """How true a copy is.

    `accuracy` is the share of cells that audits found unchanged in the last day, None without any; `ages` are the
    seconds since half, 95 and 99 of 100 cells were observed, `unknown` the share of cells that never were; `causes`
    the observations of the last day.
    """

    accuracy: float | None
    ages: tuple[float, float, float] | None
    unknown: float
    suspects: int
    causes: Mapping[str, Asked]


class Measures:
    """Counts over named SQL."""

    def __init__(self, dialect: str) -> None:
        self.sql = load("tieout.mirror", dialect)

    async def causes(self, tx: Transaction, copy: int) -> dict[str, Asked]:
        """Observations of the last day, by their cause."""
        each = UNCHANGED.itemsize
        rows = await tx.fetch(self.sql.sighted_by_cause, copy=copy, window=WINDOW, many=MANY, size=each)
        return {cause: Asked(int(sizes) // each, int(known), int(changed)) for cause, sizes, known, changed in rows}

    async def suspects(self, tx: Transaction, copy: int) -> int:
        """How many cells are suspect."""
        row = await tx.fetch_one(self.sql.count_doubtful, copy=copy)
        return 0 if row is None else int(row[0])


class Measuring:
    """Measures one copy, and tells what is worse than agreed."""

    def __init__(self, following: Following, slo: Slo) -> None:
        self.following = following
        self.slo = slo
        self.latest: Measured | None = None
        self._measures = Measures(following.world.database.dialect)
        self._measured_at = following.world.clock.monotonic()

    async def look(self, copy: Copy) -> None:
        """Measure now and then, as the copy's leader."""
        now = self.following.world.clock.monotonic()
        if now - self._measured_at < MEASURE_EVERY:
            return
        self._measured_at = now
        measured = self.latest = await self.measure(copy)
        for complaint in complaints(measured, self.slo):
            await self.following.alarm("mirror-slo", complaint)

    async def measure(self, copy: Copy) -> Measured:
        """How true the copy is now."""

        async def read(tx: Transaction) -> tuple[dict[str, Asked], int]:
            number = self.following.number
            return await self._measures.causes(tx, number), await self._measures.suspects(tx, number)

        causes, suspects = await self.following.world.database.read(read)
        ages, unknown = self._ages(copy)
        return Measured(accuracy_of(causes), ages, unknown, suspects, causes)

    def _ages(self, copy: Copy) -> tuple[tuple[float, float, float] | None, float]:
        layout, now = self.following.layout, self.following.moments.earliest()
        at = copy.first(now)[:, None] + np.arange(layout.axis.count)
        start = np.take_along_axis(copy.checks.start, at & (layout.ring - 1), axis=1)
        # Behind the ring stand days that are over, until the group is asked for again: of these nothing is known.
        start = np.where(at < copy.checks.base[:, None] + layout.ring, start, NEVER)
        known = start[start != NEVER]
        if not known.size:
            return None, 1.0 if start.size else 0.0
        half, most, nearly_all = np.quantile((now - known) / 1_000_000, (0.5, 0.95, 0.99))
        return (float(half), float(most), float(nearly_all)), 1 - known.size / start.size


def accuracy_of(causes: Mapping[str, Asked]) -> float | None:
    """The share of cells that audits found as they were kept: audits are drawn by chance, so this has no bias."""
    audits = causes.get("audit")
    return None if audits is None or not audits.known else 1 - audits.changed / audits.known


def complaints(measured: Measured, slo: Slo) -> list[str]:
    """What is worse than agreed, for people."""
    found = []
    audits = measured.causes.get("audit", Asked(0, 0, 0))
    accuracy = measured.accuracy if audits.queries >= ENOUGH_AUDITS else None
    if slo.accuracy is not None and accuracy is not None and accuracy < slo.accuracy:
        found.append(f"{accuracy:.1%} of the cells that were audited in a day were true, of {slo.accuracy:.1%}")
    if slo.age is not None and measured.ages is not None and measured.ages[1] > duration(slo.age):
        found.append(f"95 of 100 cells are up to {measured.ages[1]:.0f} s old, of {duration(slo.age):.0f} s")
    return found
