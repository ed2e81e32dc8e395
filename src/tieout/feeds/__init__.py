"""Change streams: what a database has committed, transaction by transaction."""

from tieout.feeds.broker import BrokerFeed
from tieout.feeds.canal import Canal
from tieout.feeds.changes import Change, Committed, Feed, Heartbeat, Position, Told, net
from tieout.feeds.debezium import Debezium
from tieout.feeds.mysql import MySqlFeed
from tieout.feeds.polling import PollingFeed
from tieout.feeds.postgres import PostgresFeed

__all__ = [
    "BrokerFeed",
    "Canal",
    "Change",
    "Committed",
    "Debezium",
    "Feed",
    "Heartbeat",
    "MySqlFeed",
    "PollingFeed",
    "Position",
    "PostgresFeed",
    "Told",
    "net",
]
