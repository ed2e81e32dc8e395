"""Snapshots: a side's rows as canonical texts in a Parquet file, which is whole or not there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from tieout.recon.periods import Period
from tieout.recon.reading import Reading, Texts
from tieout.recon.sources import Opened
from tieout.recon.threads import to_its_end
from tieout.recon.values import micros

Progress: TypeAlias = Callable[[str, int], Awaitable[None]]
"""Told what is being done, and how many rows or keys that has come to."""

FORMAT = 2
"""The layout of these files: one of another layout is not taken up."""


async def take(side: Opened, period: Period, file: Path, progress: Progress) -> int:
    """Write a side's rows to `file`, from one snapshot; return how many. A file that is there is kept: it is whole.

    What is interrupted leaves no file, and is read again whole. A user's files may have been put in order
    since: they are always read again.
    """
    if side.probes and file.exists():  # noqa: ASYNC240 - two looks at a folder of this machine
        return int(pq.read_metadata(file).num_rows)
    reading, count = side.reading, 0
    part = file.with_suffix(".part")
    schema = schema_of(reading)
    with pq.ParquetWriter(part, schema, compression="zstd", compression_level=1) as writer:
        async for columns in reading.snapshot(side.rows, period):
            await to_its_end(writer.write_table, _table(reading, columns, schema))
            count += len(columns[0])
            await progress(f"reading {reading.name}", count)
    part.replace(file)
    return count


def schema_of(reading: Reading) -> pa.Schema:
    """`k0`… the key, as numbers where that is all it can be, `at_us` the time in microseconds, `v0`… the fields."""
    keys = [(f"k{number}", pa.int64() if whole else pa.string()) for number, whole in enumerate(reading.whole_keys)]
    fields = [*keys, ("at_us", pa.int64())]
    return pa.schema(fields + [(f"v{number}", pa.string()) for number in range(len(reading.fields))])


def _table(reading: Reading, columns: list[Texts], schema: pa.Schema) -> pa.Table:
    place = len(reading.key)
    arrays = [_times(texts) if n == place else _array(texts) for n, texts in enumerate(columns)]
    return pa.table([array.cast(field.type) for array, field in zip(arrays, schema, strict=True)], schema=schema)


def _array(texts: Texts) -> pa.Array:
    return texts if isinstance(texts, pa.Array) else pa.array(texts, pa.string())


def _times(texts: Texts) -> pa.Array:
    array = _array(texts)
    try:
        return array.cast(pa.int64())
    except pa.ArrowInvalid:  # some are infinite, or no time at all
        return pa.array([micros(one) for one in array.to_pylist()], pa.int64())
