"""Is the copy true? Reads its packed rows with plain SQL, and lays them beside what suppliers say was true, and when.

It shares no code with tieout and imports nothing of it, so that a mistake there cannot hide itself here. A cell is
*right* when it is what its supplier says now, *late* when it was true at the moment at which the copy says that it was
observed and has changed since, and *wrong* when it was not true even then: only a failed or partial answer that was
believed, or an older one that was put over a newer, can make it so.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from tieout.demo.tables import rows

RING = 64
"""Slots of a packed row; the day with number p since 1970 stands in slot p modulo 64."""

ROW = np.dtype(
    [
        ("base", "<i4"),
        ("known", "u1", (8,)),
        ("open", "u1", (8,)),
        ("price", "<i4", (RING,)),
        ("rules", "<u2", (RING,)),
        ("stock", "<i2", (RING,)),
    ]
)
APART = np.dtype([("slot", "<u2"), ("start", "<i8"), ("took", "<u4")])
BASE = 4
"""Bytes before the runs of a group's check times."""

RUN = np.dtype([("slots", "<u2"), ("start", "<i8"), ("took", "<u4")])
"""So many slots, one behind the other, that were asked for since one moment, for so many milliseconds."""

COPIES = "SELECT id, supplier FROM tieout_mirror"
ITEMS = """SELECT i.name, i.cells, g.checks FROM tieout_mirror_item AS i
JOIN tieout_mirror_group AS g ON g.copy = i.copy AND g.n = i.grp WHERE i.copy = {copy} AND i.gone IS NULL"""
WORDS = "SELECT n, value FROM tieout_mirror_word WHERE copy = {copy}"
CHECKED = "SELECT checks FROM tieout_mirror_group WHERE copy = {copy} AND gone IS NULL"
GONE = "SELECT count(*) AS n FROM tieout_mirror_item WHERE gone IS NOT NULL"
SUSPECTS = "SELECT count(*) AS n FROM tieout_mirror_suspect"
ALARMS = "SELECT kind, count(*) AS n FROM tieout_alarm GROUP BY kind"

SLACK = 200_000
"""Microseconds by which the clocks of suppliers and database may differ, and a time of the copy be rounded."""

EPOCH = date(1970, 1, 1).toordinal()
WRONG_SHOWN = 20
NEVER = -(1 << 62)


class Wrong(NamedTuple):
    """A cell that was not true when it was observed."""

    room: str
    day: date
    what: str


@dataclass
class Share:
    """Cells of one class, how many of them are right, and both again weighted by how much they are wanted."""

    cells: int = 0
    right: int = 0
    wanted: float = 0.0
    wanted_right: float = 0.0

    def add(self, is_right: NDArray[np.bool_], weights: NDArray[np.float64]) -> None:
        """Count these cells."""
        self.cells += is_right.size
        self.right += int(is_right.sum())
        self.wanted += float(weights.sum())
        self.wanted_right += float(weights[is_right].sum())


@dataclass
class Audit:
    """What was found in the copies of all suppliers."""

    cells: int = 0
    right: int = 0
    late: int = 0
    unknown: int = 0
    wrong: list[Wrong] = field(default_factory=list)
    missing: int = 0
    shares: dict[str, Share] = field(default_factory=lambda: defaultdict(Share))


class Wanted(NamedTuple):
    """How much each room is wanted, its class by demand, and how much each day ahead is."""

    weights: Mapping[str, float]
    classes: Mapping[str, str]
    leads: NDArray[np.float64]


class Copied:
    """The copy of one supplier: arrays of shape (rooms, 64), in the order of the supplier's truth and of its days."""

    def __init__(self, stored: Sequence[Mapping[str, Any]], first: int) -> None:
        slots = (first + np.arange(RING)) % RING
        self.names = [bytes(row["name"]).decode() for row in stored]
        packed = [bytes(row["cells"]) for row in stored]
        cells = np.frombuffer(b"".join(row[: ROW.itemsize] for row in packed), dtype=ROW)
        start, took = _checks(stored)
        at = first + np.arange(RING)
        self.known = _bits(cells["known"])[:, slots] & (at >= cells["base"][:, None])
        self.open = _bits(cells["open"])[:, slots]
        self.price, self.stock, self.rules = (cells[name][:, slots] for name in ("price", "stock", "rules"))
        for place, row in enumerate(packed):
            own = np.frombuffer(row, dtype=APART, offset=ROW.itemsize)
            later = own[own["start"] > start[place, own["slot"]]]
            start[place, later["slot"]] = later["start"]
            took[place, later["slot"]] = later["took"].astype(np.int64) * 1_000
        self.start = start[:, slots]
        self.end = self.start + took[:, slots]


def _checks(stored: Sequence[Mapping[str, Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Since when each slot was asked for, and how long that took, in microseconds."""
    runs = np.frombuffer(b"".join(bytes(row["checks"])[BASE:] for row in stored), dtype=RUN)
    start, took = (
        np.repeat(runs[name].astype(np.int64), runs["slots"]).reshape(-1, RING) for name in ("start", "took")
    )
    return start, took * 1_000


class Auditor:
    """Compares the copies in a database with the suppliers' truth, one supplier after another."""

    def __init__(self, db: str, wanted: Wanted) -> None:
        self._db = db
        self._wanted = wanted
        self.audit = Audit()

    async def copies(self) -> dict[str, int]:
        """The number of each supplier's copy."""
        return {row["supplier"]: row["id"] for row in await rows(self._db, COPIES)}

    async def stored(self, copy: int) -> tuple[list[dict[str, Any]], dict[int, str]]:
        """What the copy has now; the truth has to be asked for after that."""
        words = {row["n"]: row["value"] for row in await rows(self._db, WORDS.format(copy=copy))}
        return await rows(self._db, ITEMS.format(copy=copy)), words

    async def loaded(self, copy: int, zone: str, horizon: int) -> tuple[int, int]:
        """Cells of groups that were observed, durably, and how many there are to observe."""
        stored = await rows(self._db, CHECKED.format(copy=copy))
        if not stored:
            return 0, 0
        start, _ = _checks(stored)
        slots = (_today(zone) + np.arange(horizon)) % RING
        return int((start[:, slots] > 0).sum()), len(stored) * horizon

    async def count(self, sql: str) -> int:
        """The one number that a statement finds."""
        return int((await rows(self._db, sql))[0]["n"])

    async def alarms(self) -> dict[str, int]:
        """Alarms of each kind."""
        return {row["kind"]: row["n"] for row in await rows(self._db, ALARMS)}

    def judge(self, stored: Sequence[Mapping[str, Any]], words: Mapping[int, str], truth: Any, zone: str) -> None:
        """Count the cells of one supplier."""
        first = date.fromisoformat(truth["first"]).toordinal() - EPOCH
        place = {room: at for at, room in enumerate(truth["rooms"])}
        self.audit.missing += len(place) - len(stored)
        if not stored:
            return
        copied = Copied(stored, first)
        order = [place[name] for name in copied.names]
        price, stock = (np.array(truth[name])[order] for name in ("price", "stock"))
        closed = np.array(truth["closed"], dtype=np.bool_)[order]
        copied.open &= copied.known
        ruled = _rules(copied, words, [truth["rule"][at] for at in order]) | ~copied.open
        same = (copied.price == price) & (copied.stock == stock) & ruled
        is_right = copied.known & np.where(closed, ~copied.open, copied.open & same)
        ahead = first + np.arange(RING) - _today(zone)
        self._count(copied, is_right, ahead)
        doubtful = copied.known & ~is_right & _in_horizon(ahead, self._wanted)
        history = _history(truth["changes"])
        for room, day in np.argwhere(doubtful).tolist():
            if ruled[room, day] and _was_true(copied, room, day, history[order[room]]):
                self.audit.late += 1
            else:
                self.audit.wrong.append(_wrong(copied, room, day, first))

    def _count(self, copied: Copied, is_right: NDArray[np.bool_], ahead: NDArray[np.int64]) -> None:
        days = _in_horizon(ahead, self._wanted)
        leads = self._wanted.leads[ahead[days]]
        weights = np.array([self._wanted.weights[name] for name in copied.names])[:, None] * leads
        classes = np.array([self._wanted.classes[name] for name in copied.names])
        right = is_right[:, days]
        self.audit.cells += right.size
        self.audit.right += int(right.sum())
        self.audit.unknown += int((~copied.known[:, days]).sum())
        for name in np.unique(classes).tolist():
            mine = classes == name
            self.audit.shares[name].add(right[mine], weights[mine])


def _in_horizon(ahead: NDArray[np.int64], wanted: Wanted) -> NDArray[np.bool_]:
    return (ahead >= 0) & (ahead < len(wanted.leads))


def _today(zone: str) -> int:
    return datetime.now(ZoneInfo(zone)).date().toordinal() - EPOCH


def _bits(packed: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.unpackbits(packed, axis=1, bitorder="little").astype(np.bool_)


def _rules(copied: Copied, words: Mapping[int, str], rules: Sequence[Any]) -> NDArray[np.bool_]:
    """Whether the rules of each cell are those of its room."""
    texts = {json.dumps(json.loads(text), sort_keys=True): number for number, text in words.items()}
    wanted = np.array([texts.get(json.dumps(rule, sort_keys=True), -1) for rule in rules])
    return np.asarray(copied.rules == wanted[:, None])


def _history(changes: Sequence[Sequence[Any]]) -> dict[int, list[Sequence[Any]]]:
    history: dict[int, list[Sequence[Any]]] = defaultdict(list)
    for change in changes:
        history[change[1]].append(change)
    return history


def _was_true(copied: Copied, room: int, day: int, changes: Sequence[Sequence[Any]]) -> bool:
    """Whether a cell had its value at some moment of the time in which it was observed."""
    begin, end = int(copied.start[room, day]) - SLACK, int(copied.end[room, day]) + SLACK
    since = NEVER
    for until, price, stock, closed in _values(changes, day):
        same = bool(copied.price[room, day] == price and copied.stock[room, day] == stock)
        if (
            (not copied.open[room, day] if closed else copied.open[room, day] and same)
            and until >= begin
            and since <= end
        ):
            return True
        since = until
    return False


def _values(changes: Sequence[Sequence[Any]], day: int) -> Iterator[tuple[int, int, int, bool]]:
    """What a cell was, in order, and until when."""
    for until, _, first, price, stock, closed in changes:
        if first <= day < first + len(price):
            yield until, price[day - first], stock[day - first], closed[day - first]


def _wrong(copied: Copied, room: int, day: int, first: int) -> Wrong:
    price, stock, is_open = copied.price[room, day], copied.stock[room, day], bool(copied.open[room, day])
    what = f"price {price}, stock {stock}, {'open' if is_open else 'closed'}: not true when it was observed"
    return Wrong(copied.names[room], date.fromordinal(first + day + EPOCH), what)
