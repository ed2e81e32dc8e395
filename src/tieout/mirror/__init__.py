"""A local copy of suppliers' data, followed by plan, by browsing and by ordering. Needs the extra `mirror`."""

from tieout.mirror.axis import Axis, days, one, slots
from tieout.mirror.define import Fetched, Group, Shape, SlowDown, shape
from tieout.mirror.demand import Demand
from tieout.mirror.fields import Field, dictionary, flag, int16, money
from tieout.mirror.measuring import Measured, Slo
from tieout.mirror.mirror import Mirror
from tieout.mirror.offers import ItemCell, ItemCells, Offer, Truth
from tieout.mirror.pushed import Change, Pushed, Received
from tieout.mirror.schedule import Tier, Tiers, tier, tiers
from tieout.mirror.sightings import Feed, ItemChange
from tieout.mirror.steering import By, Status
from tieout.mirror.view import Found, Result, View

__all__ = [
    "Axis",
    "By",
    "Change",
    "Demand",
    "Feed",
    "Fetched",
    "Field",
    "Found",
    "Group",
    "ItemCell",
    "ItemCells",
    "ItemChange",
    "Measured",
    "Mirror",
    "Offer",
    "Pushed",
    "Received",
    "Result",
    "Shape",
    "Slo",
    "SlowDown",
    "Status",
    "Tier",
    "Tiers",
    "Truth",
    "View",
    "days",
    "dictionary",
    "flag",
    "int16",
    "money",
    "one",
    "shape",
    "slots",
    "tier",
    "tiers",
]
