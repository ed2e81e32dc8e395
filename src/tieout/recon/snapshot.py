"""Snapshots: a side's rows as canonical texts in a Parquet file, which is whole or not there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from contextlib import aclosing
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tieout.recon.periods import Period
from tieout.recon.reading import Reading, Texts
from tieout.recon.sources import Opened
from tieout.recon.threads import to_its_end
from tieout.recon.values import finite, micros

Progress: TypeAlias = Callable[[str, int], Awaitable[None]]
"""Told what is being done, and how many rows or keys that has come to."""

FORMAT = 3
"""The layout of these files: one of another layout is not taken up."""


GROUP = 200_000
"""Rows of a Parquet file that are written, and read, at a time."""


async def take(
    side: Opened, period: Period, file: Path, progress: Progress, kept: Collection[int] = frozenset()
) -> int:
    """Write a side's rows to `file`, from one snapshot; return how many. A file that is there is kept: it is whole.

    What is interrupted leaves no file, and is read again whole. A user's files may have been put in order since: they
    are always read again. Fields that are `kept` are numbers, and beside each stands what is none.
    """
    reading, count = side.reading, 0
    schema = schema_of(reading, kept)
    if side.probes and file.exists() and pq.read_schema(file).equals(schema):  # noqa: ASYNC240 - a folder of this machine
        return int(pq.read_metadata(file).num_rows)
    part = file.with_suffix(".part")
    # Only texts of fields may come again and again: looking for that costs more than all else.
    again = [one.name for one in schema if one.name.startswith("v") and one.type == pa.string()]
    with pq.ParquetWriter(
        part, schema, compression="lz4", use_dictionary=again, store_decimal_as_integer=True
    ) as writer:
        begun: list[pa.Table] = []
        async with aclosing(reading.snapshot(side.rows, period, kept)) as batches:
            async for columns in batches:
                begun.append(await to_its_end(_table, reading, columns, schema))
                count += len(columns[0])
                if sum(table.num_rows for table in begun) >= GROUP:
                    await to_its_end(_write, writer, begun)
                    begun = []
                await progress(f"reading {reading.name}", count)
        await to_its_end(_write, writer, begun)
    part.replace(file)
    return count


def schema_of(reading: Reading, kept: Collection[int] = frozenset()) -> pa.Schema:
    """`k0`… the key, as numbers where that is all it can be, `at_us` the time in microseconds, `v0`… the fields.

    Beside a field that is kept as a number stands `x0`…: what it has that is none, such as NaN.
    """
    keys = [(f"k{number}", pa.int64() if whole else pa.string()) for number, whole in enumerate(reading.whole_keys)]
    numbers, fields = reading.numbers, range(len(reading.fields))
    values = [(f"v{place}", numbers[place] if place in kept else pa.string()) for place in fields]
    return pa.schema([*keys, ("at_us", pa.int64()), *values, *((f"x{place}", pa.string()) for place in sorted(kept))])


def _write(writer: pq.ParquetWriter, tables: list[pa.Table]) -> None:
    if tables:
        writer.write_table(pa.concat_tables(tables), GROUP * 2)


def _table(reading: Reading, columns: list[Texts], schema: pa.Schema) -> pa.Table:
    place = len(reading.key)
    arrays, odd = [], {}
    for number, (texts, field) in enumerate(zip(columns, schema, strict=False)):
        if number == place:
            arrays.append(_times(texts))
        elif number > place and field.type != pa.string():
            value, odd[f"x{number - place - 1}"] = _numbers(_array(texts), field.type)
            arrays.append(value)
        else:
            arrays.append(_array(texts).cast(field.type))
    return pa.table([*arrays, *(odd[field.name] for field in schema if field.name.startswith("x"))], schema=schema)


def _array(texts: Texts) -> pa.Array:
    return texts if isinstance(texts, pa.Array) else pa.array(texts, pa.string())


def _numbers(texts: pa.Array, kind: pa.DataType) -> tuple[pa.Array, pa.Array]:
    """The numbers among texts, and the texts that are none."""
    try:
        return texts.cast(kind), pa.nulls(len(texts), pa.string())
    except pa.ArrowInvalid:
        known = [finite(one) for one in texts.to_pylist()]
    is_number = pa.array([one is not None for one in known])
    as_text = pc.if_else(is_number, texts, None)
    return as_text.cast(kind), pc.if_else(is_number, None, texts)


def _times(texts: Texts) -> pa.Array:
    array = _array(texts)
    try:
        return array.cast(pa.int64())
    except pa.ArrowInvalid:  # some are infinite, or no time at all
        return pa.array([micros(one) for one in array.to_pylist()], pa.int64())
