"""A mirror's layout for tests, and cells built from plain values."""

from __future__ import annotations

import numpy as np

from tieout.mirror.axis import days
from tieout.mirror.calendar import Layout
from tieout.mirror.fields import dictionary, flag, int16, money
from tieout.mirror.rules import Sighting

FIELDS = {"price": money(), "stock": int16(), "open": flag(), "rules": dictionary()}
HOTEL = Layout(days(60), FIELDS)
SMALL = Layout(days(7), {"price": money(), "open": flag()})


def sighting(layout, at, cells, *, whole=False):
    """What one observation of the interval `at` says of one item: {position: values, or None for absent}."""
    seen = np.zeros((1, layout.ring), bool)
    present = seen.copy()
    values = {name: np.zeros((1, layout.ring), field.stored) for name, field in layout.fields.items()}
    for position, given in cells.items():
        slot = position % layout.ring
        seen[0, slot] = True
        present[0, slot] = given is not None
        for name in values if given is not None else ():
            values[name][0, slot] = given[name]
    start, end = at
    return Sighting(seen, present, values, np.array([start]), np.array([end]), whole)
