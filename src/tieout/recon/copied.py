"""Rows as PostgreSQL copies them, as columns of texts: parsed by Arrow, unescaped where anything is escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

PARSE = csv.ParseOptions(
    delimiter="\t", quote_char=False, double_quote=False, escape_char=False, ignore_empty_lines=False
)

ESCAPED = re.compile(r"\\(.)", re.DOTALL)
PLAIN = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
"""What stands for a character that COPY does not write as it is; any other stands for itself."""


def parsed(piece: bytes, types: Sequence[pa.DataType]) -> list[pa.Array]:
    """The columns of some whole rows in COPY's text format; all as texts if one has something that its type has not."""
    try:
        table = _read(piece, types)
    except pa.ArrowInvalid:
        table = _read(piece, [pa.string()] * len(types))
    return [_unescaped(column.combine_chunks()) for column in table.columns]


def _read(piece: bytes, types: Sequence[pa.DataType]) -> pa.Table:
    names = [str(number) for number in range(len(types))]
    return csv.read_csv(
        pa.BufferReader(piece),
        csv.ReadOptions(use_threads=False, block_size=len(piece) + 1, column_names=names),
        PARSE,
        csv.ConvertOptions(
            column_types=dict(zip(names, types, strict=True)),
            null_values=[r"\N"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _unescaped(column: pa.Array) -> pa.Array:
    if column.type != pa.string():
        return column
    escaped = pc.fill_null(pc.match_substring(column, "\\"), fill_value=False)
    if not pc.any(escaped).as_py():
        return column
    texts = [ESCAPED.sub(_plain, text) for text in column.filter(escaped).to_pylist()]
    return pc.replace_with_mask(column, escaped, pa.array(texts, pa.string()))


def _plain(found: re.Match[str]) -> str:
    return PLAIN.get(found[1], found[1])
