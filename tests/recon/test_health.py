"""Nothing is green by omission: what is silent, behind, missed, not loaded or not compared is said to be so."""

from __future__ import annotations

import msgspec
import pytest

from tieout.recon.fact_store import FeedState, RuleState
from tieout.recon.health import LAGGING, STOPPED, feed_status, rule_status

NOW = 10**15
GOOD = FeedState("a", "{}", 1, NOW - 1_000, 0, NOW - 1_000, None, NOW)
RULE = RuleState("r", 1, "v", "live", ["a", "b"], 0, {"tied": 8, "late-tied": 1, "waiting": 1, "withdrawn": 0})


def health(*, rule=RULE, breaks=0, **changed):
    other = msgspec.structs.replace(GOOD, **{"name": "b", **changed})
    return rule_status(rule, [feed_status(GOOD), feed_status(other)], {"missing": breaks})


def test_what_was_compared_lately_and_agrees_is_green() -> None:
    """Both feeds up to date, all loaded, something tied and nothing open: agreed, with the share that is judged."""
    found = health()
    assert (found.health, found.waiting, found.coverage) == ("agreed", 1, 0.9)


@pytest.mark.parametrize(
    ("changed", "feed"),
    [
        ({"gap": "the slot is gone"}, "gap"),
        ({"heard_at": NOW - STOPPED - 1}, "stopped"),
        ({"watermark": NOW - LAGGING - 1}, "lagging"),
        ({"watermark": 0}, "new"),
    ],
)
def test_a_feed_that_is_not_up_to_date_makes_its_rules_blind(changed, feed) -> None:
    """A gap, a reader that stopped, a source that is far ahead or has said nothing yet: no rule of it is green."""
    assert feed_status(msgspec.structs.replace(GOOD, **changed)).health == feed
    assert health(**changed).health == "blind"


def test_a_feed_that_is_not_there_makes_its_rules_blind() -> None:
    """A rule whose feed was never read is blind, though everything that was compared agrees."""
    assert rule_status(RULE, [feed_status(GOOD)], {}).health == "blind"


@pytest.mark.parametrize(
    ("changed", "breaks", "wanted"),
    [
        ({"totals": {}}, 0, "empty"),
        ({"totals": {"waiting": 5}}, 0, "empty"),
        ({"phase": "baseline"}, 0, "loading"),
        ({}, 1, "broken"),
        ({"totals": {"tied": 1, "unfollowed": 1}}, 0, "blind"),
    ],
)
def test_a_rule_is_green_only_by_what_it_compared(changed, breaks, wanted) -> None:
    """Nothing compared is empty, what is being loaded is not known yet, and a key nobody can follow is not seen."""
    assert health(rule=msgspec.structs.replace(RULE, **changed), breaks=breaks).health == wanted
