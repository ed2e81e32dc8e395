"""Change streams: what a database has committed, transaction by transaction."""

from tieout.feeds.changes import Change, Committed, Heartbeat, Position, net
from tieout.feeds.postgres import PostgresFeed

__all__ = ["Change", "Committed", "Heartbeat", "Position", "PostgresFeed", "net"]
