"""Values in a binlog's row images, as texts: what the server would write of them. Pure.

Sources: MySQL internals, "Binary Protocol: Row Event" and `decimal.c`; MariaDB knowledge base, "Rows event". Each kind
is made into a function that takes the bytes and where the value begins, and returns its text and where it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from struct import Struct
from typing import TypeAlias

from tieout.errors import FeedGap

Decode: TypeAlias = Callable[[bytes, int], tuple[str, int]]

TINY, SHORT, LONG, FLOAT, DOUBLE, LONGLONG, INT24, DATE, YEAR, NEWDATE = 1, 2, 3, 4, 5, 8, 9, 10, 13, 14
VARCHAR, BIT, TIMESTAMP2, DATETIME2, TIME2, NEWDECIMAL = 15, 16, 17, 18, 19, 246
ENUM, SET, TINY_BLOB, MEDIUM_BLOB, LONG_BLOB, BLOB = 247, 248, 249, 250, 251, 252
VAR_STRING, STRING, GEOMETRY = 253, 254, 255

INTEGERS = {TINY: 1, SHORT: 2, INT24: 3, LONG: 4, LONGLONG: 8}
"""Bytes of each kind of whole number."""

BLOBS = {TINY_BLOB, MEDIUM_BLOB, LONG_BLOB, BLOB, GEOMETRY}
REALS = {FLOAT: Struct("<f"), DOUBLE: Struct("<d")}

DIGITS = 9
"""Decimal digits that four bytes hold."""

LEFT_OVER = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
"""Bytes of so many decimal digits that do not fill four bytes."""


def integer(width: int, *, unsigned: bool) -> Decode:
    """A whole number of so many bytes."""

    def decode(data: bytes, place: int) -> tuple[str, int]:
        end = place + width
        return str(int.from_bytes(data[place:end], "little", signed=not unsigned)), end

    return decode


def real(kind: int) -> Decode:
    """A number in floating point: the shortest text that stands for it alone."""
    form = REALS[kind]

    def decode(data: bytes, place: int) -> tuple[str, int]:
        value = form.unpack_from(data, place)[0]
        return (repr(value) if kind == DOUBLE else _shortest(value, data[place : place + 4])), place + form.size

    return decode


def _shortest(value: float, packed: bytes) -> str:
    """The shortest text of a number in single precision."""
    form = REALS[FLOAT]
    for digits in range(6, 9):
        text = f"{value:.{digits}g}"
        if form.pack(float(text)) == packed:
            return text
    return f"{value:.9g}"


def number(precision: int, scale: int) -> Decode:
    """A decimal number, with all its digits after the point."""
    whole, rest = divmod(precision - scale, DIGITS)
    parts, last = divmod(scale, DIGITS)
    left, right = LEFT_OVER[rest] + 4 * whole, LEFT_OVER[last]
    size = left + 4 * parts + right
    sign, inverse = 1 << (8 * size - 1), (1 << 8 * size) - 1

    def decode(data: bytes, place: int) -> tuple[str, int]:
        end = place + size
        value = int.from_bytes(data[place:end]) ^ sign
        minus = "-" if value & sign else ""
        raw = (value ^ inverse if minus else value).to_bytes(size)
        head = _groups(raw[:left], LEFT_OVER[rest]).lstrip("0") or "0"
        if not scale:
            return minus + head, end
        tail = _groups(raw[left : left + 4 * parts], 0)
        if right:
            tail += f"{int.from_bytes(raw[left + 4 * parts :]):0{last}}"
        return f"{minus}{head}.{tail}", end

    return decode


def _groups(raw: bytes, first: int) -> str:
    """Digits in groups of nine, in front of them one of `first` bytes."""
    text = str(int.from_bytes(raw[:first])) if first else ""
    return text + "".join(f"{int.from_bytes(raw[place : place + 4]):09}" for place in range(first, len(raw), 4))


def day(data: bytes, place: int) -> tuple[str, int]:
    """A date."""
    packed = int.from_bytes(data[place : place + 3], "little")
    return f"{packed >> 9:04}-{packed >> 5 & 15:02}-{packed & 31:02}", place + 3


def year(data: bytes, place: int) -> tuple[str, int]:
    """A year; 0000 stands for none."""
    return (str(1900 + data[place]) if data[place] else "0000"), place + 1


def _fraction(data: bytes, place: int, digits: int) -> str:
    """What stands behind the seconds; it is kept in whole bytes, of two digits each."""
    if not digits:
        return ""
    count = (digits + 1) // 2
    return f".{int.from_bytes(data[place : place + count]):0{2 * count}}"[: digits + 1]


def moment(digits: int) -> Decode:
    """A TIMESTAMP, in UTC, which it says; 0000-00-00 00:00:00 stands for none."""
    size = 4 + (digits + 1) // 2

    def decode(data: bytes, place: int) -> tuple[str, int]:
        seconds = int.from_bytes(data[place : place + 4])
        fraction = _fraction(data, place + 4, digits)
        if not seconds and not fraction.strip(".0"):
            return f"0000-00-00 00:00:00{fraction}", place + size
        days, rest = divmod(seconds, 86_400)
        return f"{_date(days)} {_clock(rest)}{fraction}+00:00", place + size

    return decode


@lru_cache(maxsize=4_096)
def _date(days: int) -> str:
    return date.fromordinal(datetime(1970, 1, 1, tzinfo=UTC).toordinal() + days).isoformat()


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def local(digits: int) -> Decode:
    """A DATETIME, which names no zone."""
    size = 5 + (digits + 1) // 2

    def decode(data: bytes, place: int) -> tuple[str, int]:
        packed = int.from_bytes(data[place : place + 5])
        months, clock = packed >> 22 & 0x1FFFF, packed & 0x1FFFF
        text = f"{months // 13:04}-{months % 13:02}-{packed >> 17 & 31:02}"
        text += f" {clock >> 12:02}:{clock >> 6 & 63:02}:{clock & 63:02}"
        return text + _fraction(data, place + 5, digits), place + size

    return decode


def span(digits: int) -> Decode:
    """A TIME, which may be negative; it is kept as a number, with the bytes of its fraction."""
    count = (digits + 1) // 2
    size, zero = 3 + count, 1 << (8 * (3 + count) - 1)

    def decode(data: bytes, place: int) -> tuple[str, int]:
        packed = int.from_bytes(data[place : place + size]) - zero
        minus, packed = "-" if packed < 0 else "", abs(packed)
        clock = packed >> 8 * count
        text = f"{minus}{clock >> 12 & 1023:02}:{clock >> 6 & 63:02}:{clock & 63:02}"
        return text + _fraction(packed.to_bytes(size), 3, digits), place + size

    return decode


def bits(size: int) -> Decode:
    """A BIT field, as a whole number."""

    def decode(data: bytes, place: int) -> tuple[str, int]:
        return str(int.from_bytes(data[place : place + size])), place + size

    return decode


def text(prefix: int, codec: str) -> Decode:
    """A text behind its length, which has `prefix` bytes; without a codec, bytes."""

    def decode(data: bytes, place: int) -> tuple[str, int]:
        begin = place + prefix
        end = begin + int.from_bytes(data[place:begin], "little")
        return str(data[begin:end], codec), end

    def decode_bytes(data: bytes, place: int) -> tuple[str, int]:
        begin = place + prefix
        end = begin + int.from_bytes(data[place:begin], "little")
        return "\\x" + data[begin:end].hex(), end

    def decode_latin(data: bytes, place: int) -> tuple[str, int]:
        begin = place + prefix
        end = begin + int.from_bytes(data[place:begin], "little")
        return "".join(_latin(code) for code in data[begin:end]), end

    return decode_bytes if not codec else decode_latin if codec == "cp1252" else decode


@lru_cache(maxsize=256)
def _latin(code: int) -> str:
    """A character of what the server calls latin1: Windows' code page, whose five holes are control characters."""
    try:
        return bytes([code]).decode("cp1252")
    except UnicodeDecodeError:
        return chr(code)


def fixed(length: int) -> Decode:
    """A BINARY(n): the log may leave out zeros at its end, which belong to it."""
    prefix = 1 if length < 256 else 2

    def decode(data: bytes, place: int) -> tuple[str, int]:
        begin = place + prefix
        end = begin + int.from_bytes(data[place:begin], "little")
        return "\\x" + data[begin:end].ljust(length, b"\0").hex(), end

    return decode


def chosen(size: int, values: Sequence[str]) -> Decode:
    """An ENUM, by the texts of its values; 0 stands for what was refused, an empty text."""

    def decode(data: bytes, place: int) -> tuple[str, int]:
        index = int.from_bytes(data[place : place + size], "little")
        if index > len(values):
            raise FeedGap(f"value {index} of an ENUM with {len(values)} values")
        return (values[index - 1] if index else ""), place + size

    return decode


def several(size: int, values: Sequence[str]) -> Decode:
    """A SET, by the texts of its values."""

    def decode(data: bytes, place: int) -> tuple[str, int]:
        mask = int.from_bytes(data[place : place + size], "little")
        if mask >> len(values):
            raise FeedGap(f"value {mask} of a SET with {len(values)} values")
        return ",".join(value for n, value in enumerate(values) if mask >> n & 1), place + size

    return decode
