"""What users write: suppliers, the shapes of their queries, their catalogues and answers."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from tieout.config import duration, microseconds, zone_of
from tieout.coordination.budget import Rate, rate, shares
from tieout.errors import DefinitionError
from tieout.mirror.rules import VANISHED, VANISHED_SHARE

CLASSES = ("order", "browse", "sync")
"""Classes of queries, the most urgent first: each has its own share of a supplier's budget."""

RESERVE: Mapping[str, float] = {"order": 0.1, "browse": 0.1}
"""Shares of a supplier's budget kept for order checks and for browsing, unless its definition says otherwise."""

LONGEST_TIMEOUT = 10.0
"""Longest time-out of a query, in seconds: the node that asks has to lead until its end, and a lead lasts for 15."""

Start: TypeAlias = date | datetime | None
"""Where a window begins, as a supplier is told: a day, the moment of a slot, or nothing on an axis of one cell."""


class Group(msgspec.Struct, frozen=True):
    """What a query is about, such as a hotel, with the keys of its items.

    `zone` and `rollover` ("06:00" as a duration: "6h") say when its day ends, where that is not as at its supplier.
    """

    key: str
    items: Sequence[str]
    zone: str | None = None
    rollover: float | str | None = None


class Fetched(msgspec.Struct, frozen=True):
    """What a query returned: for each item its fields, each a list with one value for each cell of the window.

    A cell whose fields are None is absent. From a `complete` answer, what is absent is closed; from another one it was
    not observed, and nothing is known of it.
    """

    items: Mapping[str, Mapping[str, Sequence[Any]]]
    complete: bool = True


def is_by_item(items: Any) -> bool:
    """Whether something has fields by item, as far as that goes without a look at the fields."""
    return isinstance(items, Mapping) and all(isinstance(fields, Mapping) for fields in items.values())


class Shape(msgspec.Struct, frozen=True):
    """What one query can fetch: at most `max_cells` cells of one group; what it costs, in queries of the rate."""

    name: str
    max_cells: int
    cost: int = 1


def shape(name: str, *, max_days: int | None = None, max_cells: int | None = None, cost: int = 1) -> Shape:
    """A shape of query; `max_days` is another word for `max_cells` on an axis of days.

    A supplier that counts such a query as several of its rate says so by `cost`: so many times fewer are sent.
    """
    most = max_days if max_cells is None else max_cells
    if most is None or most < 1 or cost < 1:
        raise DefinitionError(f"shape {name!r}: give max_days= or max_cells=, one at least")
    return Shape(name, most, cost)


class Supplier(Protocol):
    """What a supplier's class has to have; `deps` is set to the App's when it is registered."""

    shapes: Sequence[Shape]

    def catalogue(self) -> AsyncIterator[Sequence[Group]]:
        """All groups with their items, by page. When it raises, nothing is changed."""
        ...

    async def fetch(self, group: str, first: Any, count: int, /) -> Fetched:
        """The cells of a group from `first` on. Raise `SlowDown` when the supplier asks for a pause."""
        ...

    async def check(self, item: str, first: Any, count: int, /) -> Mapping[str, Sequence[Any]] | None:
        """The truth about some cells of an item, for an order; None when it cannot be had."""
        ...


class SlowDown(Exception):
    """Raised by a supplier's methods: the supplier asks for a pause (HTTP 429); `after` is in seconds, if it said.

    A header's text (`Retry-After`) is taken too; one that is no number of seconds says nothing.
    """

    def __init__(self, after: float | str | None = None) -> None:
        super().__init__("the supplier asks for a pause")
        self.after = _seconds(after)


class Places(msgspec.Struct, frozen=True):
    """Whose the queries are that a supplier bears at a time.

    `order` and `browse` are numbers of slots that all nodes share; an order check may have those of browsing too. The
    plan has `plan` places of its own, which go with the supplier's lease; where the supplier bears too few for that,
    it takes one of the slots `shared`.
    """

    order: tuple[int, ...]
    browse: tuple[int, ...]
    plan: int
    shared: tuple[int, ...] = ()


def places(concurrency: int, reserve: Mapping[str, float]) -> Places:
    """The places of a supplier that bears so many queries at a time, by the shares of its budget that are reserved."""
    if concurrency == 1:
        return Places((0,), (0,), 0, (0,))
    if concurrency == 2:
        return Places((0, 1), (1,), 0, (1,))
    order, browse = (max(1, round(reserve.get(kind, 0.0) * concurrency)) for kind in CLASSES[:-1])
    browse = min(browse, concurrency - 2)
    order = min(order, concurrency - 1 - browse)
    return Places(tuple(range(order + browse)), tuple(range(order, order + browse)), concurrency - order - browse)


class Terms(msgspec.Struct, frozen=True):
    """On what terms a supplier is asked: in seconds, but `rollover`, `resting`, `window`, `skew` in microseconds."""

    name: str
    limit: Rate
    classes: dict[str, Rate]
    places: Places
    zone: ZoneInfo
    rollover: int
    timeout: float
    order_patience: float
    order_timeout: float
    resting: int
    window: int
    catalogue_every: float
    skew: int = 0
    rest_holds: bool = False
    audits: float = 0.0
    lost_share: float = VANISHED_SHARE
    lost_groups: int = VANISHED


def terms(
    name: str,
    limit: str,
    *,
    concurrency: int = 4,
    reserve: Mapping[str, float] | None = None,
    zone: str = "UTC",
    rollover: float | str = 0,
    timeout: float | str = 10,
    order_patience: float | str = 0.3,
    order_timeout: float | str = 3,
    min_interval: float | str = 0,
    browse_window: float | str = "60s",
    catalogue_every: float | str = "24h",
    skew: float | str = "5s",
    rest_holds: bool = False,
    audits: float = 0.01,
    lost_share: float = VANISHED_SHARE,
    lost_groups: int = VANISHED,
) -> Terms:
    """Checked terms; raise `DefinitionError` or `ConfigError`."""
    if not 1 <= concurrency <= 256:
        raise DefinitionError(f"{name}: concurrency is from 1 to 256")
    if duration(timeout) > LONGEST_TIMEOUT:
        raise DefinitionError(f"{name}: timeout is {LONGEST_TIMEOUT:g} s at most, not {timeout}")
    if not 0 <= audits <= 0.5:
        raise DefinitionError(f"{name}: audits is a share of the plan's queries, from 0 to 0.5")
    if not (0 < lost_share <= 1 and lost_groups >= 1):
        raise DefinitionError(f"{name}: lost_share is above 0, up to 1, and lost_groups one at least")
    whole = rate(limit)
    kept = dict(RESERVE if reserve is None else reserve)
    unknown = kept.keys() - set(CLASSES[:-1])
    if unknown:
        raise DefinitionError(f"{name}: a reserve is for {' or '.join(CLASSES[:-1])}, not {sorted(unknown)}")
    return Terms(
        name,
        whole,
        shares(whole, kept, CLASSES[-1]),
        places(concurrency, kept),
        zone_of(zone),
        microseconds(rollover),
        duration(timeout),
        duration(order_patience),
        duration(order_timeout),
        microseconds(min_interval),
        microseconds(browse_window),
        duration(catalogue_every),
        microseconds(skew),
        rest_holds,
        audits,
        lost_share,
        lost_groups,
    )


def _seconds(after: Any) -> float | None:
    """A number of seconds, or None where it is none, or not one that could be waited for."""
    try:
        seconds = float(after)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if seconds >= 0 else None


def largest(supplier: Supplier) -> Shape:
    """The shape that windows are asked for in: the one with most cells, of these the cheapest."""
    return max(supplier.shapes, key=lambda shape: (shape.max_cells, -shape.cost))


def charged(agreed: Terms, supplier: Supplier) -> Terms:
    """Terms by which each query for a window counts as many tokens as it costs; raise `DefinitionError`."""
    cost = largest(supplier).cost
    classes = {
        kind: one if kind == CLASSES[0] else Rate(one.count // cost, one.window) for kind, one in agreed.classes.items()
    }
    for kind, one in classes.items():
        if not one.count:
            tokens = agreed.classes[kind].count
            raise DefinitionError(f"{agreed.name}: a query costs {cost} tokens, and {kind} has only {tokens} at a time")
    return msgspec.structs.replace(agreed, classes=classes)


def checked_supplier(name: str, supplier: Any) -> Supplier:
    """A supplier with everything that is asked of it; raise `DefinitionError` that says what is missing."""
    shapes = getattr(supplier, "shapes", None)
    if not shapes or not all(isinstance(one, Shape) for one in shapes):
        raise DefinitionError(f"{name}: shapes is a list with at least one shape(...)")
    if not inspect.isasyncgenfunction(getattr(supplier, "catalogue", None)):
        raise DefinitionError(f"{name}: catalogue is an async generator, which yields pages of groups")
    for method in ("fetch", "check"):
        if not inspect.iscoroutinefunction(getattr(supplier, method, None)):
            raise DefinitionError(f"{name}: {method} has to be `async def`")
    checked: Supplier = supplier
    return checked
