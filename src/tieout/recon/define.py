"""What users write: sides, what must agree, rules. Everything is checked here that needs no source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from tieout.config import microseconds, zone_of
from tieout.contracts import Database
from tieout.errors import ConfigError, DefinitionError
from tieout.identity import digest, key_bytes
from tieout.recon.paged import Paged
from tieout.recon.periods import UNITS, Period, moment
from tieout.recon.rules import SideName
from tieout.recon.values import Kind, finite

KEY_COLUMNS = 8
"""Most columns that make a key."""


class Reached(msgspec.Struct, frozen=True):
    """The event has happened when `column` holds one of `states`; with None, when it holds anything at all."""

    column: str
    states: tuple[str | int, ...] | None


def reached(column: str, states: Iterable[str] | Iterable[int]) -> Reached:
    """The states of `column` that imply the event: those that come after it as well."""
    wanted: list[str | int] = sorted(set(states), key=str)
    if isinstance(states, str) or not wanted or {type(one) for one in wanted} not in ({str}, {int}):
        raise DefinitionError(f"reached({column!r}, …) takes a set of states, one at least: all text, or whole numbers")
    return Reached(column, tuple(wanted))


def present(column: str) -> Reached:
    """The event has happened when `column` is not NULL."""
    return Reached(column, None)


class Moment(msgspec.Struct, frozen=True):
    """A column that holds a business time; with a `unit`, as a count since 1970 UTC."""

    column: str
    unit: str | None = None


def epoch(column: str, unit: str) -> Moment:
    """A business time that is counted since 1970 UTC, in "s", "ms" or "us"."""
    if unit not in UNITS:
        raise DefinitionError(f"epoch({column!r}, {unit!r}): the unit is one of {', '.join(UNITS)}")
    return Moment(column, unit)


class File(msgspec.Struct, frozen=True):
    """Files of one format; `{date}` in the path stands for the first day of the period, in the rule's zone."""

    path: str
    format: Literal["csv", "parquet"]
    delimiter: str = ","


def csv(path: str, *, delimiter: str = ",") -> File:
    """CSV files in UTF-8 with a header. All columns are text; `types=` of their side says what else they hold."""
    if len(delimiter) != 1 or delimiter in "\"'\n\r":
        raise DefinitionError(f"csv: {delimiter!r} is no delimiter: it is one character, and no quote")
    return File(path, "csv", delimiter)


def parquet(path: str) -> File:
    """Parquet files, which say themselves what their columns hold."""
    return File(path, "parquet")


Source: TypeAlias = "str | Database | File | Paged"
"""Where a side's rows are: a database's URL, a database of tieout's, files, or an HTTP API."""


class Side(msgspec.Struct, frozen=True):
    """One of the two that are compared; made by `side`."""

    source: Any
    table: str
    key: tuple[str, ...]
    when: Reached | None
    at: Moment | None
    many: bool
    zone: str
    types: dict[str, Kind]


def side(
    source: Source,
    *,
    key: str | Sequence[str],
    table: str | None = None,
    when: Reached | None = None,
    at: str | Moment | None = None,
    many: bool = False,
    zone: str = "UTC",
    types: Mapping[str, Kind] | None = None,
) -> Side:
    """A table, files or an API. `key` names the columns that say what is compared, in the same order on both sides.

    when  which rows imply that the event has happened; without it, all
    at    the business time, which never changes and decides the period; without it the side is for live comparing only
    many  True: several rows of a key are parts that belong together, such as the shipments of an order
    zone  where times without a zone are local
    types what columns of text hold, if that is no text: "integer", "number", "float" or "moment" (ISO 8601)
    """
    columns = (key,) if isinstance(key, str) else tuple(key)
    if not 1 <= len(columns) <= KEY_COLUMNS or len(set(columns)) < len(columns):
        raise DefinitionError(f"a key has 1 to {KEY_COLUMNS} different columns; not {columns!r}")
    if isinstance(source, File | Paged) == bool(table):
        raise DefinitionError("a side in a database names its table=; one in files or over HTTP has none")
    if isinstance(source, str) and "://" not in source:
        raise DefinitionError("a source is a database's URL, a database, csv(…), parquet(…) or http(…)")
    time = Moment(at) if isinstance(at, str) else at
    kinds = _kinds(types)
    if kinds.keys() & set(columns) and not isinstance(source, File | Paged):
        raise DefinitionError("types= is for columns that are compared: a key is looked up as the database has it")
    return Side(source, table or "", columns, when, time, many, zone_of(zone).key, kinds)


class Agreement(msgspec.Struct, frozen=True):
    """Two columns that must agree; made by `same`, `within` and `sums`."""

    upstream: str
    downstream: str
    tolerance: str | None = None
    mapping: dict[str, str] | None = None
    summed: bool = False


def same(upstream: str, downstream: str | None = None, *, mapping: Mapping[str, str] | None = None) -> Agreement:
    """Both columns say the same; with `mapping`, once upstream's value is called as downstream calls it."""
    if mapping is not None and not mapping:
        raise DefinitionError(f"same({upstream!r}): the mapping is empty")
    return Agreement(upstream, downstream or upstream, mapping=None if mapping is None else dict(mapping))


def within(upstream: str, downstream: str, tolerance: float | Decimal | str) -> Agreement:
    """Two numbers are at most `tolerance` apart, or two times at most a duration such as "5s"."""
    return Agreement(upstream, downstream, tolerance=_tolerance(upstream, tolerance))


def sums(upstream: str, downstream: str | None = None, tolerance: float | Decimal | str = 0) -> Agreement:
    """The sums of both columns over the rows of a key are at most `tolerance` apart."""
    return Agreement(upstream, downstream or upstream, tolerance=_tolerance(upstream, tolerance), summed=True)


class Ignored(msgspec.Struct, frozen=True):
    """A time in which breaks are counted and not told, and why."""

    period: Period
    reason: str


def ignore(since: str, until: str, reason: str) -> Ignored:
    """Do not tell of breaks whose business time is from `since` to before `until` (UTC unless they name a zone)."""
    if not reason.strip():
        raise DefinitionError("ignore(…) says why: the reason is shown in every report")
    utc = ZoneInfo("UTC")
    period = Period(moment(since, utc), moment(until, utc))
    if period.since >= period.until:
        raise DefinitionError(f"ignore: {until} does not come after {since}")
    return Ignored(period, reason)


class Rule(msgspec.Struct, frozen=True):
    """Two sides and what must agree; times in microseconds. `version` stands for all but the sources and `memory`."""

    name: str
    upstream: Side
    downstream: Side
    agree: tuple[Agreement, ...]
    grace: int
    edge: int
    owner: str
    zone: str
    sample: float
    ignores: tuple[Ignored, ...]
    version: str
    memory: int = 0

    @property
    def sides(self) -> tuple[tuple[SideName, Side], tuple[SideName, Side]]:
        """Both sides with their names."""
        return ("upstream", self.upstream), ("downstream", self.downstream)

    @property
    def needs_time(self) -> list[SideName]:
        """The sides that cannot be compared offline, since they have no `at`."""
        return [name for name, side in self.sides if side.at is None]


def rule(
    name: str,
    *,
    upstream: Side,
    downstream: Side,
    agree: Sequence[Agreement],
    grace: float | str = "30s",
    edge: float | str | None = None,
    owner: str = "",
    zone: str = "UTC",
    sample: float = 1.0,
    ignore: Sequence[Ignored] = (),
    memory: float | str = "7d",
) -> Rule:
    """A rule that is sound as far as can be told without its sources; raise `DefinitionError`.

    `edge` is how far around a period both sides are read; a partner further away is found by asking for it.
    """
    key_bytes(name, "rule's name")
    if len(upstream.key) != len(downstream.key):
        raise DefinitionError(f"{name}: both keys have to have the same number of columns")
    if not 0 < sample <= 1:
        raise DefinitionError(f"{name}: sample is a share above 0, up to 1")
    if len({(one.upstream, one.downstream) for one in agree}) < len(agree):
        raise DefinitionError(f"{name}: two agreements are about the same columns")
    several = upstream.many or downstream.many
    for one in agree:
        if one.summed and not several:
            raise DefinitionError(f"{name}: sums({one.upstream!r}) needs a side with many=True")
    patience = microseconds(grace)
    padding = max(patience, microseconds("10m")) if edge is None else microseconds(edge)
    made = Rule(
        name,
        upstream,
        downstream,
        tuple(agree),
        patience,
        padding,
        owner,
        zone_of(zone).key,
        sample,
        tuple(ignore),
        "",
        microseconds(memory),
    )
    return msgspec.structs.replace(made, version=_version(made))


def _version(rule: Rule) -> str:
    """Stands for what the rule says: where a database lives may change, and what is compared stays the same."""
    said = msgspec.to_builtins(
        {
            "sides": [_said(side) for _, side in rule.sides],
            "agree": rule.agree,
            "times": [rule.grace, rule.edge],
            "zone": rule.zone,
            "sample": rule.sample,
            "ignores": rule.ignores,
        }
    )
    return digest(said)


def _said(side: Side) -> list[Any]:
    files: Any = side.source if isinstance(side.source, File) else None
    if isinstance(side.source, Paged):
        files = [side.source.rows, side.source.page, side.source.first, side.source.cursor]
    return [side.table, side.key, side.when, side.at, side.many, side.zone, side.types, files]


def _tolerance(column: str, given: float | Decimal | str) -> str:
    """A number as canonical text, or a duration in microseconds behind "us"."""
    if isinstance(given, str) and finite(given) is None:
        try:
            return f"us{microseconds(given)}"
        except ConfigError as error:
            raise DefinitionError(f"{column}: the tolerance {given!r} is neither a number nor a duration") from error
    number = finite(str(given))
    if isinstance(given, bool) or number is None or number < 0:
        raise DefinitionError(f"{column}: the tolerance {given!r} is no number that is at least 0")
    return str(number)


def _kinds(types: Mapping[str, Kind] | None) -> dict[str, Kind]:
    known = ("integer", "number", "float", "moment")
    wrong = sorted(f"{name}={kind}" for name, kind in (types or {}).items() if kind not in known)
    if wrong:
        raise DefinitionError(f"types are {', '.join(known)}; not {', '.join(wrong)}")
    return dict(types or {})
