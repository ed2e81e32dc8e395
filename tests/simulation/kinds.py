"""All kinds of processes that are simulated."""

from __future__ import annotations

from typing import Any

from tests.simulation.business import Bundle, Gift, Message, Redeem
from tests.simulation.business_waits import Party, Trip
from tieout.process.process import type_of

KINDS: dict[str, type[Any]] = {
    "redeem": Redeem,
    "gift": Gift,
    "message": Message,
    "bundle": Bundle,
    "trip": Trip,
    "party": Party,
}
PROCESS_TYPES = {name: type_of(cls) for name, cls in KINDS.items()}

SERVICES = {
    ("redeem", 1): "prizes",
    ("gift", 1): "prizes",
    ("gift", 2): "parcels",
    ("message", 1): "messages",
    ("bundle", 1): "parcels",
    ("bundle", 2): "prizes",
    ("trip", 1): "prizes",
    ("trip", 2): "parcels",
}
"""The downstream of each call of a process."""

DRAWN = ("redeem", "redeem", "gift", "message", "bundle", "trip", "trip", "party")
"""From which a client's kind is drawn."""
