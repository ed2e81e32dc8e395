"""A local copy of suppliers' data, followed by plan, by browsing and by ordering. Needs the extra `mirror`."""

from tieout.mirror.axis import Axis, days, one, slots
from tieout.mirror.define import Fetched, Group, Shape, SlowDown, shape
from tieout.mirror.fields import Field, dictionary, flag, int16, money
from tieout.mirror.mirror import Mirror
from tieout.mirror.offers import Offer, Truth
from tieout.mirror.pushed import Change, Pushed, Received
from tieout.mirror.schedule import Tier, Tiers, tier, tiers

__all__ = [
    "Axis",
    "Change",
    "Fetched",
    "Field",
    "Group",
    "Mirror",
    "Offer",
    "Pushed",
    "Received",
    "Shape",
    "SlowDown",
    "Tier",
    "Tiers",
    "Truth",
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
