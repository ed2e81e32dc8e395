"""Which feeds the rules of an App need, and how each is made from its source."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tieout.errors import ConfigError
from tieout.feeds import Feed, MySqlFeed, PostgresFeed
from tieout.recon.define import Rule, Side

PUBLICATION = "tieout"

Columns = dict[str, list[str]]
"""The columns that are read of each table."""


class FeedOptions(NamedTuple):
    """How a source is followed; what is empty is chosen by what the source is."""

    slot: str = ""
    publication: str = ""
    feed: Callable[[Mapping[str, Sequence[str]]], Feed] | None = None


class Needed(NamedTuple):
    """A feed that rules need: its source, and the tables it has to tell of."""

    source: Any
    options: FeedOptions
    columns: Columns

    def make(self) -> Feed:
        """The feed, not yet opened."""
        if self.options.feed is not None:
            return self.options.feed(self.columns)
        at = urlsplit(self.source)
        if at.scheme.startswith("mysql"):
            return MySqlFeed(self.source, tables=self.columns)
        slot = self.options.slot or slot_of(at.path)
        publication = self.options.publication or PUBLICATION
        return PostgresFeed(self.source, tables=self.columns, slot=slot, publication=publication)


def name_of(source: Any, options: FeedOptions) -> str:
    """What a feed is called: its server and database, without who reads it; raise `ConfigError` for what has none."""
    if options.feed is not None:
        return options.slot or str(source)
    if not isinstance(source, str):
        raise ConfigError("a side that is followed names its source by URL, or `app.recon.feed(…)` says how")
    at = urlsplit(source)
    if not at.scheme.startswith(("postgres", "mysql")):
        raise ConfigError(
            f"there is no feed for {at.scheme}:// sources: PostgreSQL, MariaDB and MySQL are followed, or what "
            "`app.recon.feed(…)` names"
        )
    return f"{at.netloc.rpartition('@')[2]}{at.path}" + (f"#{options.slot}" if options.slot else "")


def slot_of(path: str) -> str:
    """A replication slot's name for a database: slots belong to the whole server."""
    return f"tieout_{re.sub('[^a-z0-9_]', '_', path.strip('/').lower())}"[:63]


def columns_of(rule: Rule, side: Side) -> set[str]:
    """The columns of a side that its facts are made of."""
    ours = side is rule.upstream
    read = {*side.key, *(one.upstream if ours else one.downstream for one in rule.agree)}
    read |= {side.when.column} if side.when else set()
    return read | ({side.at.column} if side.at else set())


def needed(rules: Sequence[Rule], options: Mapping[Any, FeedOptions]) -> dict[str, Needed]:
    """The feeds of all rules, by name."""
    found: dict[str, Needed] = {}
    for rule in rules:
        for _, side in rule.sides:
            chosen = options.get(side.source, FeedOptions())
            one = found.setdefault(name_of(side.source, chosen), Needed(side.source, chosen, {}))
            columns = one.columns.setdefault(side.table, [])
            columns += sorted(columns_of(rule, side) - set(columns))
    return found
