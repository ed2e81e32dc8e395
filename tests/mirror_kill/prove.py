"""Kill the node that follows a supplier at every point, on every database, and look what another one makes of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.kill.troupe import DIALECTS
from tests.mirror_kill.campaign import Tally
from tests.mirror_kill.stories import STORIES
from tests.mirror_kill.troupe import tried
from tests.prove.kills import Campaign

ALL = tuple(story.name for story in STORIES)

BESIDE = 3
"""Plays beside each other for each core: they wait for the ends of leases most of the time."""

# Four shares of each story: small enough that the last one to end does not keep the others waiting.
CAMPAIGN = Campaign("mirror_kill", __doc__, tried, Tally, DIALECTS, ALL, parts=4, small=12, beside=BESIDE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; the exit status."""
    return CAMPAIGN.prove(arguments)


if __name__ == "__main__":
    sys.exit(main())
