"""Canonical texts: equal values of two systems are the same text, whatever type each keeps them in. Pure.

A number is a decimal without exponent, leading or trailing zeros; a moment is whole microseconds since 1970 UTC; bytes
are hex digits. What is no finite number or moment ("NaN", "infinity") stays as it was written, and agrees with nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

Kind: TypeAlias = Literal["integer", "number", "float", "text", "moment", "bytes"]
"""What a column holds, as far as comparing goes. A flag is an integer, 0 or 1."""

Domain: TypeAlias = Literal["number", "moment", "text"]
"""What two columns are compared as."""

DOMAINS: dict[Kind, Domain] = {
    "integer": "number",
    "number": "number",
    "float": "number",
    "moment": "moment",
    "text": "text",
    "bytes": "text",
}

EXPONENT = 1_000
"""Largest exponent of a number that is read, half of its longest text: "1e6000000" stands for millions of digits."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def micros(text: str | None) -> int | None:
    """A moment's microseconds, of its canonical text; None for what is no finite moment."""
    return int(text) if text is not None and text.lstrip("-").isdigit() else None


def all_micros(texts: Sequence[str | None]) -> list[int | None]:
    """`micros` of each; most often all are whole numbers, which is seen of all at a time."""
    known = [text for text in texts if text]
    is_plain = len(known) == len(texts) and "".join(known).isdigit()
    return list(map(int, known) if is_plain else map(micros, texts))


def number_text(value: str) -> str:
    """The canonical text of a number; a text that is none is returned as it is."""
    number = finite(value)
    if number is None:
        return value
    text = f"{number:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def finite(value: str | None) -> Decimal | None:
    """The number that a text stands for; None for what is no number, not finite, or of an absurd size."""
    if value is None or len(value) > 2 * EXPONENT or not value.isascii() or "_" in value:
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) <= EXPONENT else None


def exact_sum(numbers: list[Decimal]) -> Decimal:
    """Their sum, to the last digit."""
    with localcontext() as context:
        context.prec = 5 * EXPONENT  # from the highest digit that is read to the lowest
        return sum(numbers, Decimal(0))


def distance(one: Decimal, other: Decimal) -> Decimal:
    """How far apart two numbers are, to the last digit."""
    return abs(exact_sum([one, other.copy_negate()]))


def moment_text(value: str, zone: ZoneInfo) -> str:
    """The canonical text of an ISO 8601 time, in `zone` where it names none; another text is returned as it is."""
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return value
    return str(instant(at, zone))


def instant(at: datetime, zone: ZoneInfo) -> int:
    """Microseconds since 1970 UTC, also where that lies beyond the calendar's years, as the last moment of 9999 may.

    An hour that comes twice in `zone` is taken for the later one.
    """
    if at.tzinfo is None:
        at = at.replace(tzinfo=zone, fold=1)
    return (at - EPOCH) // MICROSECOND


def local_converter(zone: ZoneInfo) -> Callable[[str], str]:
    """What makes of a local time, in microseconds as if it were UTC, the moment that it is in `zone`."""

    def convert(value: str) -> str:
        if not value.lstrip("-").isdigit():
            return value
        try:
            return str(instant((EPOCH + int(value) * MICROSECOND).replace(tzinfo=None), zone))
        except OverflowError:  # no calendar says how far a zone is from UTC then
            return value

    return convert


def canonical(kind: Kind, value: Any, zone: ZoneInfo) -> str | None:
    """The canonical text of a value as JSON or Python has it, for rows that were not read from a source."""
    if value is None:
        return None
    if isinstance(value, bool):
        value = int(value)
    if isinstance(value, datetime):
        return str(instant(value, zone))
    text = value.hex() if isinstance(value, bytes) else str(value)
    if DOMAINS[kind] == "number":
        return number_text(text)
    return moment_text(text, zone) if kind == "moment" and not isinstance(value, int) else text
