"""Kill the node that follows both sources at every point, on every database, and look what the next ones make of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.prove.kills import Campaign
from tests.recon_kill.campaign import Tally
from tests.recon_kill.stories import STORIES
from tests.recon_kill.troupe import DIALECTS, tried

ALL = tuple(story.name for story in STORIES)

# Each of the two shares of a database starts a server of its own.
CAMPAIGN = Campaign(
    *("recon_kill", __doc__, tried, Tally, DIALECTS, ALL), parts=2, small=8, beside=2, draws=", and the second kills"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; the exit status."""
    return CAMPAIGN.prove(arguments)


if __name__ == "__main__":
    sys.exit(main())
