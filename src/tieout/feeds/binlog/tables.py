"""Tables as a binlog describes them before their rows, and the rows by that description. Pure.

Source: MySQL and MariaDB documentation, "Table_map_event" and "Rows_event". Names, signs and character sets come from
the log itself (binlog_row_metadata=FULL) and from nothing else: the catalogue may be ahead of the log.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tieout.errors import FeedGap
from tieout.feeds.binlog import values
from tieout.feeds.binlog.values import Decode
from tieout.feeds.changes import Row

SIGNS, CHARSET, CHARSETS, NAMES, SETS, ENUMS = 1, 2, 3, 4, 5, 6
"""Fields of what a table map may tell of columns."""

NUMERIC = {*values.INTEGERS, values.FLOAT, values.DOUBLE, values.YEAR, values.NEWDECIMAL}
BLOB_COMPRESSED, VARCHAR_COMPRESSED, JSON = 140, 141, 245
LONG_TEXTS = {*values.BLOBS, BLOB_COMPRESSED, JSON}
SHORT_TEXTS = {values.VARCHAR, values.VAR_STRING, VARCHAR_COMPRESSED}
OPAQUE = {BLOB_COMPRESSED, VARCHAR_COMPRESSED, JSON}
"""Kinds that can be passed over, but not told: compressed columns, and MySQL's JSON."""

ONE_BYTE = {*LONG_TEXTS, *values.REALS, values.TIME2, values.DATETIME2, values.TIMESTAMP2}
TWO_BYTES = {*SHORT_TEXTS, values.BIT, values.NEWDECIMAL, values.STRING, values.ENUM, values.SET}
"""Kinds by the bytes of their detail."""

BINARY = 63
"""The collation of bytes."""

CODECS = {
    "utf8mb4": "utf-8",
    "utf8mb3": "utf-8",
    "utf8": "utf-8",
    "ascii": "ascii",
    "latin1": "cp1252",
    "latin2": "iso8859-2",
    "latin5": "iso8859-9",
    "latin7": "iso8859-13",
    "greek": "iso8859-7",
    "hebrew": "iso8859-8",
    "cp1250": "cp1250",
    "cp1251": "cp1251",
    "cp1256": "cp1256",
    "cp1257": "cp1257",
    "cp850": "cp850",
    "cp866": "cp866",
    "koi8r": "koi8-r",
    "koi8u": "koi8-u",
    "tis620": "tis-620",
    "gb2312": "gb2312",
    "gbk": "gbk",
    "gb18030": "gb18030",
    "big5": "big5",
    "sjis": "shift_jis",
    "cp932": "cp932",
    "ujis": "euc_jp",
    "euckr": "euc_kr",
    "ucs2": "utf-16-be",
    "utf16": "utf-16-be",
    "utf16le": "utf-16-le",
    "utf32": "utf-32-be",
}
"""Python's names of the servers' character sets."""


class Kind(NamedTuple):
    """What a column holds: its kind, and two bytes of detail, which are a length, a precision, digits."""

    code: int
    first: int
    second: int

    @property
    def length(self) -> int:
        """The most bytes of a CHAR or BINARY, whose upper bits are kept elsewhere."""
        return self.second | ((self.first & 0x30) ^ 0x30) << 4


OTHERS: dict[int, Callable[[Kind], Decode]] = {
    values.FLOAT: lambda kind: values.real(kind.code),
    values.DOUBLE: lambda kind: values.real(kind.code),
    values.NEWDECIMAL: lambda kind: values.number(kind.first, kind.second),
    values.DATE: lambda _: values.day,
    values.NEWDATE: lambda _: values.day,
    values.YEAR: lambda _: values.year,
    values.TIMESTAMP2: lambda kind: values.moment(kind.first),
    values.DATETIME2: lambda kind: values.local(kind.first),
    values.TIME2: lambda kind: values.span(kind.first),
    values.BIT: lambda kind: values.bits(kind.second + (kind.first > 0)),
}
"""How values of a kind are read that need nothing but the kind's detail."""


class Column(NamedTuple):
    """A column that is told. `shape` is what would change its values without a word if it changed."""

    name: str
    decode: Decode
    shape: str


class Table(NamedTuple):
    """A table of the feed: what is told of each of its columns, in their order; nothing of those left out."""

    name: str
    columns: tuple[Column | None, ...]
    skips: tuple[Decode, ...]

    @property
    def shapes(self) -> dict[str, str]:
        """Its told columns, as `Shapes` keeps them."""
        return {column.name: column.shape for column in self.columns if column is not None}


class Map:
    """Reads what describes a table: its name, the kinds of its columns, and what is said of those beyond."""

    def __init__(self, body: bytes) -> None:
        self._body, place = body, 8
        self.database, place = _short_text(body, place)
        self.name, place = _short_text(body, place + 1)
        self._count, self._place = packed(body, place + 1)

    def table(self, told: str, wanted: Sequence[str] | None, charsets: Mapping[int, str]) -> Table:
        """The table with its columns, called `told`; `charsets` has the character set of each collation."""
        kinds, more = self._kinds()
        names = [str(name, "utf-8") for name in _texts(more.get(NAMES, b""))]
        if len(names) != self._count:
            raise FeedGap(
                f"{told}: the log does not name its columns any more: SET GLOBAL binlog_row_metadata = 'FULL'"
            )
        collations = iter(_collations(more, sum(_has_text(kind) for kind in kinds)))
        signs = _signs(more.get(SIGNS, b""))
        choices = {code: iter(list(_lists(more.get(code, b"")))) for code in (SETS, ENUMS)}
        columns: list[Column | None] = []
        skips: list[Decode] = []
        for name, kind in zip(names, kinds, strict=True):
            unsigned = kind.code in NUMERIC and next(signs, False)
            collation = next(collations) if _has_text(kind) else 0
            listed: list[bytes] = []
            if kind.code in {values.SET, values.ENUM}:
                listed = next(choices[SETS if kind.code == values.SET else ENUMS], [])
            is_told = wanted is None or name in wanted
            if is_told and kind.code in OPAQUE:
                raise FeedGap(f"{told}.{name} is compressed, or JSON of MySQL, which is not told")
            charset = "binary" if collation == BINARY or not is_told else charsets.get(collation, "")
            decode = _decoder(f"{told}.{name}", kind, charset, [str(one, "utf-8") for one in listed], unsigned=unsigned)
            shape = _shape(kind, collation == BINARY, unsigned, listed)
            columns.append(Column(name, decode, shape) if is_told else None)
            skips.append(decode)
        return Table(told, tuple(columns), tuple(skips))

    def _kinds(self) -> tuple[list[Kind], dict[int, bytes]]:
        """The kinds of its columns, and what else is said of them, by field."""
        body, place = self._body, self._place + self._count
        codes = body[self._place : place]
        size, place = packed(body, place)
        details, place = body[place : place + size], place + size + (self._count + 7) // 8
        more: dict[int, bytes] = {}
        while place < len(body):
            field = body[place]
            size, place = packed(body, place + 1)
            more[field], place = body[place : place + size], place + size
        kinds, at = [], 0
        for code in codes:
            width = 2 if code in TWO_BYTES else 1 if code in ONE_BYTE else 0
            first, second = (*details[at : at + width], 0, 0)[:2]
            at += width
            real = code
            if code == values.STRING and first & 0x30 == 0x30:
                real = first if first in {values.ENUM, values.SET} else code
            kinds.append(Kind(real, first, second))
        return kinds, more


def image(table: Table, data: bytes, place: int) -> tuple[Row, int]:
    """One row, and where it ends; all its columns are there."""
    width = (len(table.columns) + 7) // 8
    nulls = int.from_bytes(data[place : place + width], "little")
    place += width
    row: dict[str, str | None] = {}
    if not nulls:
        for column, skip in zip(table.columns, table.skips, strict=True):
            if column is None:
                place = skip(data, place)[1]
            else:
                row[column.name], place = column.decode(data, place)
        return row, place
    for column, skip in zip(table.columns, table.skips, strict=True):
        if nulls & 1:
            if column is not None:
                row[column.name] = None
        elif column is None:
            place = skip(data, place)[1]
        else:
            row[column.name], place = column.decode(data, place)
        nulls >>= 1
    return row, place


def unzipped(data: bytes) -> bytes:
    """What a compressed event holds; the upper half of its first byte says how, its last three bits the size's size."""
    if data[0] & 0xF0 != 0x80:
        raise FeedGap("a compressed event came, of a method that is not known")
    size = data[0] & 7
    try:
        found = zlib.decompress(data[1 + size :])
    except zlib.error as error:
        raise FeedGap(f"a compressed event came that cannot be read: {error}") from error
    if len(found) != int.from_bytes(data[1 : 1 + size]):
        raise FeedGap("a compressed event came that is not as long as it says")
    return found


def packed(data: bytes, place: int) -> tuple[int, int]:
    """A whole number in one byte, or behind a byte that says how many, and where it ends."""
    first = data[place]
    if first < 251:
        return first, place + 1
    width = {252: 2, 253: 3, 254: 8}[first]
    return int.from_bytes(data[place + 1 : place + 1 + width], "little"), place + 1 + width


def _short_text(data: bytes, place: int) -> tuple[str, int]:
    """A text behind one byte of length, and where it ends."""
    end = place + 1 + data[place]
    return str(data[place + 1 : end], "utf-8"), end


def _texts(data: bytes) -> Iterator[bytes]:
    place = 0
    while place < len(data):
        size, place = packed(data, place)
        yield data[place : place + size]
        place += size


def _lists(data: bytes) -> Iterator[list[bytes]]:
    """Lists of texts, each behind the number of its texts."""
    place = 0
    while place < len(data):
        count, place = packed(data, place)
        found = []
        for _ in range(count):
            size, place = packed(data, place)
            found.append(data[place : place + size])
            place += size
        yield found


def _signs(data: bytes) -> Iterator[bool]:
    """Whether each numeric column is without a sign."""
    return (bool(byte >> bit & 1) for byte in data for bit in range(7, -1, -1))


def _has_text(kind: Kind) -> bool:
    return kind.code in SHORT_TEXTS or kind.code == values.STRING or (kind.code in LONG_TEXTS and kind.code != JSON)


def _collations(more: Mapping[int, bytes], count: int) -> list[int]:
    """The collation of each column of text: one by one, or one for all but those that are named by their number."""
    numbers, place, data = [], 0, more.get(CHARSETS, more.get(CHARSET, b""))
    while place < len(data):
        number, place = packed(data, place)
        numbers.append(number)
    if CHARSETS in more:
        return numbers
    found = [numbers[0] if numbers else 0] * count
    for column, collation in zip(numbers[1::2], numbers[2::2], strict=True):
        found[column] = collation
    return found


def _shape(kind: Kind, binary: bool, unsigned: bool, listed: Sequence[bytes]) -> str:  # noqa: FBT001 - facts of one column
    """What must stay for values to stay what they are; texts may become longer."""
    detail = "" if _has_text(kind) else f".{kind.first}.{kind.second}"
    marks = f"{'u' if unsigned else ''}{'b' if binary else ''}"
    return f"{kind.code}{detail}{marks}{zlib.crc32(repr(listed).encode()) if listed else ''}"


def _decoder(where: str, kind: Kind, charset: str, listed: Sequence[str], *, unsigned: bool) -> Decode:
    """How a column's values are read; raise `FeedGap` for a kind that cannot be read at all."""
    code, second = kind.code, kind.second
    if code in values.INTEGERS:
        return values.integer(values.INTEGERS[code], unsigned=unsigned)
    if code in SHORT_TEXTS or code in LONG_TEXTS or code == values.STRING:
        return _text_decoder(where, kind, charset)
    if code in OTHERS:
        return OTHERS[code](kind)
    if code == values.ENUM:
        return values.chosen(second, listed)
    if code == values.SET:
        return values.several(second, listed)
    raise FeedGap(f"{where} is of a kind that cannot be read, {code}: a time in an old format, or newer than this feed")


def _text_decoder(where: str, kind: Kind, charset: str) -> Decode:
    codec = "" if charset == "binary" else CODECS.get(charset)
    if codec is None:
        raise FeedGap(f"{where}: its character set {charset!r} is not known")
    if kind.code in LONG_TEXTS:
        return values.text(kind.first, codec)
    if kind.code in SHORT_TEXTS:
        return values.text(2 if kind.first + (kind.second << 8) > 255 else 1, codec)
    if not codec and kind.code == values.STRING:
        return values.fixed(kind.length)
    return values.text(2 if kind.length > 255 else 1, codec)
