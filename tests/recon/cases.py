"""Small cases of two sides, many at a time, written as snapshots."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from tieout.recon import Field, Period

PERIOD = Period(100, 200)
FIELDS = (
    Field("state", "status", mapping={"done": "S", "gone": "F"}),
    Field("note", "note"),
    Field("cost", "value", "number"),
    Field("paid", "paid", "number", Decimal("0.01")),
    Field("at", "seen", "moment", Decimal(5)),
)
NUMBERS = st.sampled_from(
    ["0", "-0", "1", "1.005", "1.01", "1.02", "1.010000000000", "NaN", "Infinity", "x", "1e2", "100", "9" * 40, None]
)
VALUES = (
    st.sampled_from(["done", "gone", "odd", "S", "F", None]),
    st.sampled_from(["x", "X", "", None]),
    NUMBERS,
    NUMBERS,
    st.sampled_from(["5", "7", "10", "11", "infinity", None]),
)
AGREED = [("done", "S"), ("x", "x"), ("1.010", "1.01"), ("1.01", "1.02"), ("5", "10")]
"""Values of each field with which a pair is tied."""
TIMES = st.sampled_from([150, 150, 150, 99, 100, 199, 200, 205, None])


@st.composite
def case_rows(draw) -> tuple[list, list]:
    """Rows of one key or two: those that agree, with one field changed on one side or on both."""
    ours, theirs = ([pair[n] for pair in AGREED] for n in (0, 1))
    changed = draw(st.integers(0, len(AGREED)))
    if changed < len(AGREED):
        ours[changed] = draw(VALUES[changed])
        theirs[changed] = draw(st.one_of(st.just(ours[changed]), VALUES[changed]))
    sides = []
    for values in (ours, theirs):
        rows = [("a", draw(TIMES), tuple(values)) for _ in range(draw(st.sampled_from([1, 1, 1, 0, 2])))]
        if len(rows) == 2 and draw(st.booleans()):
            place = draw(st.integers(0, len(AGREED) - 1))
            rows[1] = (
                draw(st.sampled_from(["a", "A", "a ", "", None])),
                rows[1][1],
                tuple(draw(VALUES[n]) if n == place else value for n, value in enumerate(values)),
            )
        sides.append(rows)
    return sides[0], sides[1]


def written(folder: Path, side: str, rows, *, whole: bool = False) -> Path:
    """A snapshot of these rows; the keys are `whole` numbers, or texts."""
    width = len(rows[0][2]) if rows else 0
    columns = {"k0": [row[0] for row in rows], "at_us": pa.array([row[1] for row in rows], pa.int64())}
    columns |= {f"v{n}": pa.array([row[2][n] for row in rows], pa.string()) for n in range(width)}
    columns["k0"] = pa.array(columns["k0"], pa.string())
    if whole:
        columns["k0"] = columns["k0"].cast(pa.int64())
    file = folder / f"{side}.parquet"
    pq.write_table(pa.table(columns), file)
    return file


@st.composite
def many_cases(draw) -> tuple[list, list]:
    """Rows of both sides: many small cases at once, each with keys of its own."""
    upstream, downstream = [], []
    for number in range(80):
        for rows, case in zip((upstream, downstream), draw(case_rows()), strict=True):
            rows += [(None if key is None else f"{number}{key}", at, values) for key, at, values in case]
    return upstream, downstream
