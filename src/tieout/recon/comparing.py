"""Two snapshots compared in DuckDB: what surely agrees is counted there, everything else is left to the judge.

The statements never call something tied that the judge would not. They spare it what is plain: texts that are equal,
and numbers of few enough digits to be subtracted and added up exactly.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from tieout.recon.facts import SIDES
from tieout.recon.periods import Period
from tieout.recon.reading import Found, Key, unpacked
from tieout.recon.rules import Field, Judged, Record, SideName

PLAIN = "-?[0-9]{1,1000}([.][0-9]{1,900})?"
"""Texts of numbers that equal themselves."""

ODD = "('NaN', 'Infinity', '-Infinity')"
"""What a database writes for numbers that equal nothing."""

LONGEST = 1_000
"""Characters of a number that the judge surely reads."""

SMALL = "-?[0-9]{1,20}([.][0-9]{1,9})?"
"""Numbers that a DECIMAL(38,9) holds exactly, and a million of them together."""

PARTS = 1_000_000
"""Most parts of a key that are added up by statement."""

MEMORY = "1600MB"
"""What DuckDB may use before it goes on in temporary files: ten million pairs do not need them, and the whole process
stays below 2 GB."""

TIED, LATE_TIED, CARRIED, CANDIDATE, OUTSIDE = range(5)
"""What a pair is: by statement, or (a candidate) by the judge; outside the period is nothing to this run."""

SIDE_OF: dict[str, SideName] = {"u": "upstream", "d": "downstream"}
"""What the sides are called in a join."""

SHOWN = 100
"""Rows without a business time that a report shows; all are counted."""


class Counts(NamedTuple):
    """Keys by what became of them; `carried` belong to another period by their partner's time."""

    tied: int
    late_tied: int
    carried: int
    candidates: int


class Comparison:
    """Snapshots of both sides in one DuckDB database, whose temporary files lie in `folder`."""

    def __init__(
        self,
        files: dict[SideName, Path],
        judged: Judged,
        period: Period,
        keys: int,
        sample: float,
        written: frozenset[int] = frozenset(),
    ) -> None:
        """Fields that are `written` are numbers as a database writes them, on one side at least."""
        folder = files["upstream"].parent
        self._duck = duckdb.connect(
            config={
                "temp_directory": str(folder / "spill"),
                "memory_limit": MEMORY,
                "preserve_insertion_order": False,
            }
        )
        self._judged, self._period, self._written = judged, period, written
        self._keys = [f"k{number}" for number in range(keys)]
        self._texts = [key for key in self._keys if not all(_is_whole(file, key) for file in files.values())]
        self._typed = {n for n in range(len(judged.fields)) if all(_is_number(file, n) for file in files.values())}
        self._there = {side: None if sample < 1 else _whole_rows(file, self._keys) for side, file in files.items()}
        self._alike: set[SideName] = set()
        self._bare: set[SideName] = {side for side in SIDES if side not in judged.many}
        for side, file in files.items():
            kept = pq.read_schema(file).names
            odd = {n for n in range(len(judged.fields)) if f"x{n}" in kept}
            texts = [*(_retold(key) for key in self._texts), *(_number_retold(n) for n in odd - self._typed)]
            told = [*map(_retold, self._keys), *(_retold_number(n) for n in odd & self._typed)]
            self._duck.execute(f"CREATE VIEW {side} AS {sampled(file, self._keys, texts, sample, odd)}")
            self._duck.execute(f"CREATE VIEW {side}_told AS SELECT {replaced(told)} FROM {side}")  # noqa: S608 - names are our own
            if side in judged.many:
                self._duck.execute(f"CREATE TABLE {side}_keyed AS {self._keyed(side)}")
            else:
                self._duck.execute(f"CREATE VIEW {side}_keyed AS {self._single(side)}")

    def close(self) -> None:
        """Give memory and temporary files back."""
        self._duck.close()

    def classify(self) -> Counts:
        """Count what is plain, and note the keys of what is not."""
        if not self._classified():
            for side in SIDES:
                if side in self._bare:
                    self._duck.execute(f"DROP VIEW {side}_keyed; CREATE TABLE {side}_keyed AS {self._keyed(side)}")
            self._bare.clear()
            self._classified()
        found = dict(self._duck.execute("SELECT class, sum(pairs) FROM classified GROUP BY class").fetchall())
        tied, late_tied, carried = (int(found.get(number, 0)) for number in (TIED, LATE_TIED, CARRIED))
        (left,) = self._duck.execute(f"SELECT count(*) FROM classified WHERE class = {CANDIDATE}").fetchone() or (0,)  # noqa: S608 - names are our own
        return Counts(tied, late_tied, carried, left)

    def _classified(self) -> bool:
        """Join the sides, as if no key were twice on a side that has each once; whether that was so.

        A key that is twice on one side and is met on the other makes more pairs than the other side has rows. One that
        is not met is a candidate, and the judge sees all of its rows.
        """
        keys = ", ".join(f"CASE WHEN class = {CANDIDATE} THEN {key} END AS {key}" for key in self._keys)
        joined = ", ".join(f"coalesce(u.{key}, d.{key}) AS {key}" for key in self._keys)
        on = " AND ".join(f"u.{key} = d.{key}" for key in self._keys)
        pairs = (
            f"SELECT {joined}, {self._class()} AS class, u.{self._keys[0]} AS ours, d.{self._keys[0]} AS theirs"  # noqa: S608 - names are our own
            f" FROM upstream_keyed AS u FULL OUTER JOIN downstream_keyed AS d ON {on}"
        )
        self._duck.execute(
            f"CREATE OR REPLACE TABLE classified AS SELECT class, {keys}, count(*) AS pairs, count(ours) AS ours,"  # noqa: S608 - names are our own
            f" count(theirs) AS theirs FROM ({pairs}) GROUP BY ALL"
        )
        met = self._duck.execute("SELECT sum(ours), sum(theirs) FROM classified").fetchone() or (0, 0)
        return [int(count or 0) for count in met] == [self._rows_there(side) for side in SIDES]

    def _rows_there(self, side: SideName) -> int:
        """How many rows of a side are joined; the file itself says so of one that has each key once."""
        known = self._there[side] if side in self._bare else None
        if known is not None:
            return known
        (count,) = self._duck.execute(f"SELECT count(*) FROM {side}_keyed").fetchone() or (0,)  # noqa: S608 - names are our own
        return int(count)

    def candidates(self, batch: int) -> Iterator[list[Key]]:
        """The keys that are left to the judge, in order, batch by batch."""
        names = ", ".join(self._keys)
        told = ", ".join(_text_of(key) for key in self._keys)
        cursor = self._duck.cursor()
        cursor.execute(f"SELECT {told} FROM classified WHERE class = {CANDIDATE} ORDER BY {names}")  # noqa: S608 - names are our own
        while rows := cursor.fetchmany(batch):
            yield rows

    def find(self, side: SideName, keys: Sequence[Key]) -> dict[Key, list[Record]]:
        """A side's rows of these keys, as its snapshot has them."""
        if not keys:
            return {}
        marks = ", ".join(f"({', '.join('?' * len(self._keys))})" for _ in keys)
        names = ", ".join(self._keys)
        found: dict[Key, list[Record]] = {}
        sql = f"SELECT * FROM {side}_told WHERE ({names}) IN (VALUES {marks})"  # noqa: S608 - names are our own
        for one in self._rows(sql, [part for key in keys for part in key]):
            found.setdefault(tuple(str(part) for part in one.key), []).append(Record(one.at, one.values))
        return found

    def unkeyed(self, side: SideName) -> list[Found]:
        """Rows of the period whose key is NULL, in part at least: no partner can have it."""
        null = " OR ".join(f"{key} IS NULL" for key in self._keys)
        return self._rows(f"SELECT * FROM {side}_told WHERE ({null}) AND {self._inside('at_us')}", [])  # noqa: S608 - names are our own

    def undated(self, side: SideName) -> tuple[int, list[Found]]:
        """Rows without a business time, which no period holds: how many, and the first of them."""
        where = f"FROM {side}_told WHERE at_us IS NULL"
        (count,) = self._duck.execute(f"SELECT count(*) {where}").fetchone() or (0,)
        return count, self._rows(f"SELECT * {where} LIMIT {SHOWN}", []) if count else []

    def similar(self, side: SideName, keys: Sequence[Key]) -> dict[Key, Key]:
        """For each of these keys, one of the side's that differs from it in case and spaces only."""
        if not keys or not self._texts:
            return {}
        if side not in self._alike:
            self._find_alike(side)
        marks = ", ".join(f"({', '.join('?' * len(self._keys))})" for _ in keys)
        names = ", ".join(self._keys)
        rows = self._duck.execute(
            f"SELECT * FROM {side}_alike WHERE ({names}) IN (VALUES {marks})",  # noqa: S608 - names are our own
            [part for key in keys for part in key],
        ).fetchall()
        width = len(self._keys)
        return {row[:width]: row[width:] for row in rows}

    def _find_alike(self, side: SideName) -> None:
        """Note for all candidates at a time which of the side's keys are the same but for case and spaces."""
        written = " OR ".join(f"s.{key} <> w.{key}" for key in self._texts)
        same = " AND ".join(
            f"lower(trim(s.{key})) = lower(trim(w.{key}))" if key in self._texts else f"s.{key} = w.{key}"
            for key in self._keys
        )
        ours = (f"CAST(w.{key} AS VARCHAR) AS {key}" for key in self._keys)
        listed = ", ".join([*ours, *(f"CAST(s.{key} AS VARCHAR) AS as_{key}" for key in self._keys)])
        self._duck.execute(
            f"CREATE TABLE {side}_alike AS SELECT {listed} FROM {side}_keyed AS s"  # noqa: S608 - names are our own
            f" JOIN (SELECT * FROM classified WHERE class = {CANDIDATE}) AS w ON {same} AND ({written})"
        )
        self._alike.add(side)

    def _rows(self, sql: str, params: list[Any]) -> list[Found]:
        keys = len(self._keys)
        rows = self._duck.execute(sql, params).fetchall()
        return unpacked(
            [(*row[:keys], None if row[keys] is None else str(row[keys]), *row[keys + 1 :]) for row in rows], keys
        )

    def _single(self, side: SideName) -> str:
        """The rows of a side that has each key once, with nothing that a join would have to carry along."""
        fields = enumerate(self._judged.fields)
        values = [f"{self._summand(n)} AS v{n}" if field.summed else f"v{n}" for n, field in fields]
        listed = ", ".join([*self._keys, "at_us", *values])
        return f"SELECT {listed} FROM {side} WHERE {self._counts()}"  # noqa: S608 - names are our own

    def _counts(self) -> str:
        return " AND ".join(f"{column} IS NOT NULL" for column in ("at_us", *self._keys))

    def _keyed(self, side: SideName) -> str:
        """One row for each key: how many rows it has, its time, and for each field its value, or the sum.

        `mixed`: its parts do not share a value that they should, so that it is the judge's.
        """
        names = ", ".join(self._keys)
        many, fields = side in self._judged.many, list(enumerate(self._judged.fields))
        values = [f"{self._summed(n) if field.summed else f'min(v{n})'} AS v{n}" for n, field in fields]
        mixed = " OR ".join(_mixed(f"v{n}") for n, field in fields if many and not field.summed) or "false"
        inside = f"bool_or({self._inside('at_us')}) AS inside"
        listed = ", ".join([names, "count(*) AS n", "max(at_us) AS at_us", inside, f"{mixed} AS mixed", *values])
        return f"SELECT {listed} FROM {side} WHERE {self._counts()} GROUP BY {names}"  # noqa: S608 - names are our own

    def _summand(self, place: int) -> str:
        return f"CASE WHEN {self._is_small(place)} THEN TRY_CAST(v{place} AS DECIMAL(38, 9)) END"

    def _summed(self, place: int) -> str:
        safe = f"bool_and(coalesce({self._is_small(place)}, false)) AND count(*) <= {PARTS}"
        return f"CASE WHEN {safe} THEN sum(TRY_CAST(v{place} AS DECIMAL(38, 9))) END"

    def _is_small(self, place: int) -> str:
        """Whether a field is a number of few enough digits to be added up: one that is kept as a number always is."""
        return f"v{place} IS NOT NULL" if place in self._typed else f"regexp_full_match(v{place}, '{SMALL}')"

    def _inside(self, column: str) -> str:
        return f"({column} >= {self._period.since} AND {column} < {self._period.until})"

    def _class(self) -> str:
        """What a pair is: most are tied, so that is asked first. Only the anchor's period counts a pair, no other."""
        anchor, other = ("u", "d") if self._judged.anchor == "upstream" else ("d", "u")
        key, fields = self._keys[0], enumerate(self._judged.fields)
        inside = {letter: self._is_inside(letter) for letter in "ud"}
        plain = [f"{other}.{key} IS NOT NULL", *self._singles("u"), *self._singles("d")]
        plain += [
            f"({_agree(field, n, written=n in self._written, is_number=n in self._typed)})" for n, field in fields
        ]
        grace = self._judged.grace
        late = "false" if grace is None else f"abs(u.at_us - d.at_us) > {grace}"
        doubled = [f"{letter}.n > 1" for letter in "ud" if f"{letter}.n = 1" in plain]
        alone = " OR ".join([f"{anchor}.{key} IS NULL", *doubled])
        return f"""CASE
            WHEN {inside[anchor]} AND {" AND ".join(plain)} THEN CASE WHEN {late} THEN {LATE_TIED} ELSE {TIED} END
            WHEN {alone} THEN
                CASE WHEN {inside[anchor]} OR {inside[other]} THEN {CANDIDATE} ELSE {OUTSIDE} END
            WHEN NOT {inside[anchor]} THEN CASE WHEN {inside[other]} THEN {CARRIED} ELSE {OUTSIDE} END
            ELSE {CANDIDATE} END"""

    def _is_inside(self, letter: str) -> str:
        return self._inside(f"{letter}.at_us") if SIDE_OF[letter] in self._bare else f"{letter}.inside"

    def _singles(self, letter: str) -> list[str]:
        """What has to hold for a side's half of a pair to be one row, or parts that share what they should."""
        if SIDE_OF[letter] in self._bare:
            return []
        single = [] if SIDE_OF[letter] in self._judged.many else [f"{letter}.n = 1"]
        return [*single, f"NOT {letter}.mixed"]


def sampled(
    file: Path, keys: Sequence[str], texts: Sequence[str], sample: float, odd: Collection[int] = frozenset()
) -> str:
    """The rows of a snapshot that are in the sample: the first 32 bits of a digest of the key say so.

    A key that is NULL is always looked at. `texts` are columns told otherwise; what stands beside `odd` fields is left.
    """
    quoted = str(file).replace("'", "''")
    left = f" EXCLUDE ({', '.join(f'x{n}' for n in sorted(odd))})" if odd else ""
    everything = f"SELECT {replaced(texts, left)} FROM read_parquet('{quoted}')"  # noqa: S608 - a path of our own, quoted
    if sample >= 1:
        return everything
    told = " || ".join(f"length({_text_of(key)}) || ':' || {_text_of(key)}" for key in keys)
    return f"{everything} WHERE coalesce(substr(md5({told}), 1, 8), '') < '{int(sample * 2**32):08x}'"


def replaced(columns: Sequence[str], left: str = "") -> str:
    """All columns of a snapshot but those that are left, these otherwise than they stand there."""
    return f"*{left} REPLACE ({', '.join(columns)})" if columns else f"*{left}"


def _retold(key: str) -> str:
    return f"{_text_of(key)} AS {key}"


def _retold_number(place: int) -> str:
    """The canonical text of a number that is kept as one."""
    text = _text_of(f"v{place}")
    return f"CASE WHEN contains({text}, '.') THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END AS v{place}"


def _number_retold(place: int) -> str:
    """The same, or what stands beside it that is no number."""
    return f"coalesce(x{place}, {_retold_number(place).removesuffix(f' AS v{place}')}) AS v{place}"


def _is_whole(file: Path, key: str) -> bool:
    """Whether a snapshot has a column of the key as numbers."""
    return bool(pq.read_schema(file).field(key).type == pa.int64())


def _is_number(file: Path, place: int) -> bool:
    """Whether a snapshot has numbers for a field, and nothing else."""
    rows, nulls = _nulls(file, f"x{place}")
    return nulls == rows


def _whole_rows(file: Path, keys: Sequence[str]) -> int | None:
    """How many rows a snapshot has, if all have a key and a time."""
    told = [_nulls(file, column) for column in (*keys, "at_us")]
    return told[0][0] if all(nulls == 0 for _, nulls in told) else None


def _nulls(file: Path, column: str) -> tuple[int, int | None]:
    """How many rows a snapshot has, and how many NULLs in a column; None if the file does not say."""
    found = pq.read_metadata(file)
    names = found.schema.to_arrow_schema().names
    if column not in names:
        return found.num_rows, None
    groups = (found.row_group(number).column(names.index(column)) for number in range(found.num_row_groups))
    nulls = [None if one.statistics is None else one.statistics.null_count for one in groups]
    return found.num_rows, None if None in nulls else sum(filter(None, nulls))


def _text_of(key: str) -> str:
    return f"CAST({key} AS VARCHAR)"


def _mixed(column: str) -> str:
    """Whether the rows of a key do not all have the same value."""
    return f"(count(DISTINCT {column}) > 1 OR (count({column}) > 0 AND count({column}) < count(*)))"


def _agree(field: Field, number: int, *, written: bool, is_number: bool) -> str:
    """A condition that holds only for values of which the judge says that they agree."""
    ours, theirs = f"u.v{number}", f"d.v{number}"
    if field.summed:
        tolerance = _small(field.tolerance)
        return "false" if tolerance is None else f"abs({ours} - {theirs}) <= {tolerance}"
    if field.mapping is not None:
        cases = " ".join(f"WHEN {_text(one)} THEN {_text(other)}" for one, other in field.mapping.items())
        ours = f"CASE {ours} {cases} END"
    if field.domain == "text":
        return f"{ours} = {theirs} OR (u.v{number} IS NULL AND {theirs} IS NULL)"
    if is_number:
        tolerance = _small(field.tolerance)
        apart = f"abs({ours}::DECIMAL(30, 9) - {theirs}::DECIMAL(30, 9)) <= {tolerance}"
        return f"{ours} IS NOT DISTINCT FROM {theirs}" + (f" OR {apart}" if field.tolerance and tolerance else "")
    # What equals a text that a database has written as a number is such a text too.
    plain = f"({theirs} NOT IN {ODD} AND strlen({theirs}) <= {LONGEST})" if written else ""
    plain = plain or f"regexp_full_match({theirs}, '{PLAIN}')"
    equal = f"({ours} = {theirs} AND {plain}) OR ({ours} IS NULL AND {theirs} IS NULL)"
    tolerance = _small(field.tolerance)
    if not field.tolerance or tolerance is None:
        return equal
    both = f"regexp_full_match({ours}, '{SMALL}') AND regexp_full_match({theirs}, '{SMALL}')"
    apart = f"abs(TRY_CAST({ours} AS DECIMAL(30, 9)) - TRY_CAST({theirs} AS DECIMAL(30, 9)))"
    return f"{equal} OR ({both} AND {apart} <= {tolerance})"


def _small(tolerance: Decimal | None) -> str | None:
    """The tolerance as a statement has it; None when it has too many digits for that."""
    text = f"{tolerance or 0:f}"
    whole, _, fraction = text.partition(".")
    return f"{text}::DECIMAL(30, 9)" if len(whole) <= 20 and len(fraction.rstrip("0")) <= 9 else None


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
