"""What of two snapshots plainly agrees, as statements that DuckDB and Spark understand alike.

They never call something tied that the judge would not. They spare it what is plain: texts that are equal, and numbers
of few enough digits to be subtracted and added up exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tieout.recon.periods import Period
from tieout.recon.rules import Field, Judged, SideName

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

TIED, LATE_TIED, CARRIED, CANDIDATE, OUTSIDE = range(5)
"""What a pair is: by statement, or (a candidate) by the judge; outside the period is nothing to this run."""

SIDE_OF: dict[str, SideName] = {"u": "upstream", "d": "downstream"}
"""What the sides are called in a join."""


class Counts(NamedTuple):
    """Keys by what became of them; `carried` belong to another period by their partner's time."""

    tied: int
    late_tied: int
    carried: int
    candidates: int

    def plus(self, other: Counts) -> Counts:
        """Both together, where no key is counted by both."""
        return Counts(*(one + more for one, more in zip(self, other, strict=True)))


Terms = tuple[Judged, Period, int, float, frozenset[int]]
"""How snapshots are compared: what the judge has to know, the period, the parts of the key, the share of the keys that
is compared, and the fields that are numbers as a database writes them, on one side at least."""


class Sifted(NamedTuple):
    """What is left of both snapshots, and the keys that were taken out, by what became of them."""

    files: dict[SideName, Path]
    taken: Counts


class Held(NamedTuple):
    """What the snapshots of both sides hold, by the names of their columns."""

    keys: list[str]
    texts: list[str]
    """The parts of the key that are texts, on one side at least."""
    values: list[str]
    odd: dict[SideName, set[int]]
    """Fields beside which stands what is no number."""
    typed: set[int]
    """Fields that are numbers on both sides, and nothing else."""

    @property
    def columns(self) -> list[str]:
        """What is read of each side."""
        return [*self.keys, "at_us", *self.values]


def held(files: Mapping[SideName, Path], fields: int, parts: int) -> Held:
    """What snapshots of so many fields, with so many parts of a key, hold."""
    keys = [f"k{number}" for number in range(parts)]
    there = {side: pq.read_schema(file).names for side, file in files.items()}
    return Held(
        keys,
        [key for key in keys if not all(_is_whole(file, key) for file in files.values())],
        [f"v{number}" for number in range(fields)],
        {side: {n for n in range(fields) if f"x{n}" in names} for side, names in there.items()},
        {n for n in range(fields) if all(_is_number(file, n) for file in files.values())},
    )


class Plain:
    """The statements of one comparison; `quoted` writes a text as the engine takes it.

    Fields that are `written` are numbers as a database writes them, on one side at least.
    """

    def __init__(
        self,
        judged: Judged,
        period: Period,
        there: Held,
        written: Collection[int] = (),
        quoted: Callable[[str], str] = lambda text: "'" + text.replace("'", "''") + "'",
    ) -> None:
        self._judged, self._period, self._there, self._written = judged, period, there, written
        self._quoted = quoted

    def rows(self, side: SideName, table: str, sample: float) -> str:
        """A side's rows in the sample, with what both sides have to have alike written alike."""
        texts = {key: text_of(key) for key in self._there.texts}
        odd = {f"v{n}": f"coalesce(x{n}, {number_text(n)})" for n in sorted(self._there.odd[side] - self._there.typed)}
        return sampled(table, self._there.columns, self._there.keys, texts | odd, sample)

    def single(self, side: SideName) -> str:
        """The rows of a side that has each key once, with nothing that a join would have to carry along."""
        fields = enumerate(self._judged.fields)
        values = [f"{self._summand(n)} AS v{n}" if field.summed else f"v{n}" for n, field in fields]
        listed = ", ".join([*self._there.keys, "at_us", *values])
        return f"SELECT {listed} FROM {side} WHERE {self._counts()}"  # noqa: S608 - names are our own

    def keyed(self, side: SideName) -> str:
        """One row for each key: how many rows it has, its time, and for each field its value, or the sum.

        `mixed`: its parts do not share a value that they should, so that it is the judge's.
        """
        names = ", ".join(self._there.keys)
        many, fields = side in self._judged.many, list(enumerate(self._judged.fields))
        values = [f"{self._summed(n) if field.summed else f'min(v{n})'} AS v{n}" for n, field in fields]
        mixed = " OR ".join(_mixed(f"v{n}") for n, field in fields if many and not field.summed) or "false"
        inside = f"bool_or({self.inside('at_us')}) AS inside"
        listed = ", ".join([names, "count(*) AS n", "max(at_us) AS at_us", inside, f"{mixed} AS mixed", *values])
        return f"SELECT {listed} FROM {side} WHERE {self._counts()} GROUP BY {names}"  # noqa: S608 - names are our own

    def pairs(self, bare: Collection[SideName] = ()) -> str:
        """Each key with its class, and which side has it: `ours`, `theirs`. A side is `bare` that has each key once."""
        keys = self._there.keys
        joined = ", ".join(f"coalesce(u.{key}, d.{key}) AS {key}" for key in keys)
        on = " AND ".join(f"u.{key} = d.{key}" for key in keys)
        return (
            f"SELECT {joined}, {self._class(bare)} AS class, u.{keys[0]} AS ours, d.{keys[0]} AS theirs"  # noqa: S608 - names are our own
            f" FROM upstream_keyed AS u FULL OUTER JOIN downstream_keyed AS d ON {on}"
        )

    def inside(self, column: str) -> str:
        """Whether a time lies in the period."""
        return f"({column} >= {self._period.since} AND {column} < {self._period.until})"

    def _counts(self) -> str:
        return " AND ".join(f"{column} IS NOT NULL" for column in ("at_us", *self._there.keys))

    def _summand(self, place: int) -> str:
        return f"CASE WHEN {self._is_small(place)} THEN TRY_CAST(v{place} AS DECIMAL(38, 9)) END"

    def _summed(self, place: int) -> str:
        safe = f"bool_and(coalesce({self._is_small(place)}, false)) AND count(*) <= {PARTS}"
        return f"CASE WHEN {safe} THEN sum(TRY_CAST(v{place} AS DECIMAL(38, 9))) END"

    def _is_small(self, place: int) -> str:
        """Whether a field is a number of few enough digits to be added up: one that is kept as a number always is."""
        return f"v{place} IS NOT NULL" if place in self._there.typed else f"regexp_full_match(v{place}, '{SMALL}')"

    def _class(self, bare: Collection[SideName]) -> str:
        """What a pair is: most are tied, so that is asked first. Only the anchor's period counts a pair, no other."""
        anchor, other = ("u", "d") if self._judged.anchor == "upstream" else ("d", "u")
        key = self._there.keys[0]
        inside = {
            letter: self.inside(f"{letter}.at_us") if side in bare else f"{letter}.inside"
            for letter, side in SIDE_OF.items()
        }
        singles = {letter: [] if side in bare else self._single_of(letter) for letter, side in SIDE_OF.items()}
        plain = [f"{other}.{key} IS NOT NULL", *singles["u"], *singles["d"]]
        plain += [f"({self._agree(field, place)})" for place, field in enumerate(self._judged.fields)]
        grace = self._judged.grace
        late = "false" if grace is None else f"abs(u.at_us - d.at_us) > {grace}"
        doubled = [f"{letter}.n > 1" for letter in SIDE_OF if f"{letter}.n = 1" in plain]
        alone = " OR ".join([f"{anchor}.{key} IS NULL", *doubled])
        return f"""CASE
            WHEN {inside[anchor]} AND {" AND ".join(plain)} THEN CASE WHEN {late} THEN {LATE_TIED} ELSE {TIED} END
            WHEN {alone} THEN
                CASE WHEN {inside[anchor]} OR {inside[other]} THEN {CANDIDATE} ELSE {OUTSIDE} END
            WHEN NOT {inside[anchor]} THEN CASE WHEN {inside[other]} THEN {CARRIED} ELSE {OUTSIDE} END
            ELSE {CANDIDATE} END"""

    def _single_of(self, letter: str) -> list[str]:
        """What has to hold for a side's half of a pair to be one row, or parts that share what they should."""
        single = [] if SIDE_OF[letter] in self._judged.many else [f"{letter}.n = 1"]
        return [*single, f"NOT {letter}.mixed"]

    def _agree(self, field: Field, place: int) -> str:
        """A condition that holds only for values of which the judge says that they agree."""
        ours, theirs = f"u.v{place}", f"d.v{place}"
        tolerance = _small(field.tolerance)
        if field.summed:
            return "false" if tolerance is None else f"abs({ours} - {theirs}) <= {tolerance}"
        if field.mapping is not None:
            cases = (f"WHEN {self._quoted(one)} THEN {self._quoted(other)}" for one, other in field.mapping.items())
            ours = f"CASE {ours} {' '.join(cases)} END"
        if field.domain == "text":
            return f"{ours} = {theirs} OR (u.v{place} IS NULL AND {theirs} IS NULL)"
        if place in self._there.typed:
            apart = f"abs({ours}::DECIMAL(30, 9) - {theirs}::DECIMAL(30, 9)) <= {tolerance}"
            return f"{ours} IS NOT DISTINCT FROM {theirs}" + (f" OR {apart}" if field.tolerance and tolerance else "")
        # What equals a text that a database has written as a number is such a text too.
        plain = f"({theirs} NOT IN {ODD} AND strlen({theirs}) <= {LONGEST})" if place in self._written else ""
        plain = plain or f"regexp_full_match({theirs}, '{PLAIN}')"
        equal = f"({ours} = {theirs} AND {plain}) OR ({ours} IS NULL AND {theirs} IS NULL)"
        if not field.tolerance or tolerance is None:
            return equal
        both = f"regexp_full_match({ours}, '{SMALL}') AND regexp_full_match({theirs}, '{SMALL}')"
        apart = f"abs(TRY_CAST({ours} AS DECIMAL(30, 9)) - TRY_CAST({theirs} AS DECIMAL(30, 9)))"
        return f"{equal} OR ({both} AND {apart} <= {tolerance})"


def sampled(table: str, columns: Sequence[str], keys: Sequence[str], retold: Mapping[str, str], sample: float) -> str:
    """The rows of a snapshot that are in the sample: the first 32 bits of a digest of the key say so.

    A key that is NULL is always looked at.
    """
    everything = f"SELECT {listed(columns, retold)} FROM {table}"  # noqa: S608 - a path of our own, quoted
    if sample >= 1:
        return everything
    told = " || ".join(f"length({text_of(key)}) || ':' || {text_of(key)}" for key in keys)
    return f"{everything} WHERE coalesce(substr(md5({told}), 1, 8), '') < '{int(sample * 2**32):08x}'"


def listed(columns: Sequence[str], retold: Mapping[str, str]) -> str:
    """These columns, some of them told otherwise than they stand there."""
    return ", ".join(f"{retold[column]} AS {column}" if column in retold else column for column in columns)


def text_of(column: str) -> str:
    """The text of a key's part, or of a number."""
    return f"CAST({column} AS STRING)"


def folded(text: str) -> str:
    """What texts have alike that differ in case and spaces only."""
    return f"lower(trim({text}))"


def number_text(place: int) -> str:
    """The canonical text of a field that is kept as a number."""
    text = text_of(f"v{place}")
    without_zeros = f"trim(TRAILING '.' FROM trim(TRAILING '0' FROM {text}))"
    return f"CASE WHEN contains({text}, '.') THEN {without_zeros} ELSE {text} END"


def nulls(file: Path, column: str) -> tuple[int, int | None]:
    """How many rows a snapshot has, and how many NULLs in a column; None if the file does not say."""
    found = pq.read_metadata(file)
    names = found.schema.to_arrow_schema().names
    if column not in names:
        return found.num_rows, None
    groups = (found.row_group(number).column(names.index(column)) for number in range(found.num_row_groups))
    told = [None if one.statistics is None else one.statistics.null_count for one in groups]
    return found.num_rows, None if None in told else sum(filter(None, told))


def _is_whole(file: Path, key: str) -> bool:
    """Whether a snapshot has a column of the key as numbers."""
    return bool(pq.read_schema(file).field(key).type == pa.int64())


def _is_number(file: Path, place: int) -> bool:
    """Whether a snapshot has numbers for a field, and nothing else."""
    rows, without = nulls(file, f"x{place}")
    return without == rows


def _mixed(column: str) -> str:
    """Whether the rows of a key do not all have the same value."""
    return f"(count(DISTINCT {column}) > 1 OR (count({column}) > 0 AND count({column}) < count(*)))"


def _small(tolerance: Decimal | None) -> str | None:
    """The tolerance as a statement has it; None when it has too many digits for that."""
    text = f"{tolerance or 0:f}"
    whole, _, fraction = text.partition(".")
    return f"{text}::DECIMAL(30, 9)" if len(whole) <= 20 and len(fraction.rstrip("0")) <= 9 else None
