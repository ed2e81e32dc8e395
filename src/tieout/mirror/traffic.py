"""What the plans of all suppliers share on one node: how many of their queries are under way, and a till for tokens."""

from __future__ import annotations

import asyncio

from tieout.contracts import Clock, Database
from tieout.coordination.till import Till


class Traffic:
    """At most so many `queries` of all plans that one node follows: whoever waits for one of the `places` has a turn.

    What arrives at once has to be dealt with in less time than a token lasts, which is half a second.
    """

    def __init__(self, database: Database, clock: Clock, queries: int) -> None:
        self.places = asyncio.Semaphore(queries)
        self.till = Till(database, clock)
