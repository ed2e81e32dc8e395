"""What people want: which rooms, how long ahead, for how many nights. Real bookings where they are given.

The built-in curve is the share of bookings by days ahead, within 60 days, of 119,390 bookings of two Portuguese hotels:
N. Antonio, A. de Almeida, L. Nunes, "Hotel booking demand datasets", Data in Brief 22 (2019) 41-49, CC BY 4.0.
"""

from __future__ import annotations

import csv
import io
import itertools
import zipfile
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from tieout import ConfigError

BUILT_IN = (
    *(115, 63, 37, 33, 31, 28, 26, 24, 21, 18, 18, 19, 20, 15, 17, 15, 17, 16, 15, 15, 14, 12, 13, 12, 12, 12, 12, 12),
    *(
        15,
        13,
        12,
        12,
        12,
        12,
        15,
        12,
        12,
        12,
        10,
        12,
        13,
        11,
        8,
        9,
        11,
        10,
        9,
        10,
        9,
        9,
        10,
        7,
        8,
        10,
        9,
        10,
        12,
        8,
        7,
        9,
    ),
)
"""In thousandths, from the day itself on."""

NIGHTS = (21, 28, 27, 17, 8, 4)
"""Weights of stays of 1, 2, … nights, from the same bookings."""

SKEW = 1.0
"""Exponent of Zipf's law by which hotels are wanted: the first twice as often as the second."""

CLASSES = {"popular": 0.5, "usual": 0.9, "rare": 1.0}
"""Classes of rooms by demand: those that make up half of it, the next 40 %, and the rest."""


class Wish(NamedTuple):
    """A stay that somebody wants: where in the list of rooms, in how many days, for how many nights."""

    room: int
    ahead: int
    nights: int


def lead_times(bookings: Path | None, horizon: int) -> list[float]:
    """Shares of bookings by days ahead, from a CSV file with a column `lead_time`, plain or zipped, or built in."""
    counts: Counter[int] = Counter(dict(enumerate(BUILT_IN)))
    if bookings is not None:
        counts = Counter(_leads(bookings))
    shares = [float(counts[ahead]) for ahead in range(horizon)]
    total = sum(shares)
    if not total:
        raise ConfigError(f"{bookings} has no bookings within {horizon} days")
    return [share / total for share in shares]


def _leads(bookings: Path) -> list[int]:
    try:
        if not zipfile.is_zipfile(bookings):
            with bookings.open(newline="") as file:
                return [int(row["lead_time"]) for row in csv.DictReader(file)]
        with zipfile.ZipFile(bookings) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".csv") and not name.startswith("__"))
            return [int(row["lead_time"]) for row in csv.DictReader(io.TextIOWrapper(archive.open(name)))]
    except (OSError, KeyError, ValueError, StopIteration) as error:
        raise ConfigError(f"--bookings: {bookings} is no CSV with a column lead_time: {error!r}") from error


class Demand:
    """Draws wishes: hotels by Zipf's law in an order of its own, days ahead by the curve."""

    def __init__(self, hotels: Sequence[int], leads: Sequence[float], seed: int) -> None:
        """`hotels` has the number of rooms of each hotel, in the order of the list of rooms."""
        chance = Random(f"demand {seed}")
        ranks = list(range(1, len(hotels) + 1))
        chance.shuffle(ranks)
        self.weights = [1 / rank**SKEW / rooms for rank, rooms in zip(ranks, hotels, strict=True) for _ in range(rooms)]
        total = sum(self.weights)
        self.weights = [weight / total for weight in self.weights]
        self.leads = list(leads)
        self._rooms = list(itertools.accumulate(self.weights))
        self.classes = self._classes()

    def wish(self, chance: Random) -> Wish:
        """What the next one wants."""
        room = min(bisect_left(self._rooms, chance.random()), len(self._rooms) - 1)
        ahead = chance.choices(range(len(self.leads)), self.leads)[0]
        nights = 1 + chance.choices(range(len(NIGHTS)), NIGHTS)[0]
        return Wish(room, ahead, min(nights, len(self.leads) - ahead))

    def _classes(self) -> list[str]:
        """The class of each room."""
        ordered = sorted(range(len(self.weights)), key=self.weights.__getitem__, reverse=True)
        classes, names = [""] * len(ordered), list(CLASSES)
        so_far, at = 0.0, 0
        for room in ordered:
            while so_far >= CLASSES[names[at]] - 1e-9 and at < len(names) - 1:
                at += 1
            classes[room] = names[at]
            so_far += self.weights[room]
        return classes
