"""Change streams: what a database has committed, transaction by transaction."""

from tieout.feeds.changes import Change, Committed, Feed, Heartbeat, Position, Told, net
from tieout.feeds.mysql import MySqlFeed
from tieout.feeds.polling import PollingFeed
from tieout.feeds.postgres import PostgresFeed

__all__ = [
    "Change",
    "Committed",
    "Feed",
    "Heartbeat",
    "MySqlFeed",
    "PollingFeed",
    "Position",
    "PostgresFeed",
    "Told",
    "net",
]
