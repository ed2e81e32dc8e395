"""Availability, rates and inventory as the OpenTravel Alliance's messages tell them, in XML (2003/05 and later).

OTA_HotelAvailNotifRQ, OTA_HotelRateAmountNotifRQ and OTA_HotelInvCountNotifRQ. Days from Start to End, both included;
of days of the week those that are marked, or all when none is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from tieout.errors import InvalidParams
from tieout.mirror.pushed import MOST_CHANGES, Change, Pushed

Items: TypeAlias = Callable[[str, str, str], Sequence[str]]
"""The items that a hotel, a room type and a rate plan stand for, each by its code; "" where none is named."""

WEEKDAYS = ("Mon", "Tue", "Weds", "Thur", "Fri", "Sat", "Sun")

BEFORE, AHEAD = timedelta(days=2), timedelta(days=1_000)
"""Days that are read: those further off, on either side, are not kept by any mirror."""

MOST_CELLS = 200_000
"""Cells of all items that one message may speak of."""

AVAILABLE = "2"
"""Of the OTA's list of kinds of counts (INV): rooms that can still be sold."""

_AMOUNT = re.compile(r"\d{1,12}(\.\d{1,6})?", re.ASCII)
_PLACES = re.compile(r"[0-6]", re.ASCII)

MESSAGES = {
    "OTA_HotelAvailNotifRQ": ("AvailStatusMessages", "AvailStatusMessage"),
    "OTA_HotelRateAmountNotifRQ": ("RateAmountMessages", "RateAmountMessage"),
    "OTA_HotelInvCountNotifRQ": ("Inventories", "Inventory"),
}


class Ota:
    """Reads such messages; give it to a supplier's class as `pushed`.

    items       which items of the mirror a hotel's, a room type's and a rate plan's codes stand for
    price, stock, open   the mirror's fields for these; what has no field, such as restrictions of stay, is asked for
    decimals    how many the price has in the mirror
    before_tax  whether prices are those before tax
    sequenced   whether SequenceNmbr counts the messages without gaps
    """

    def __init__(
        self,
        items: Items,
        *,
        price: str | None = "price",
        stock: str | None = "stock",
        open: str | None = "open",
        decimals: int = 2,
        before_tax: bool = False,
        sequenced: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._items = items
        self._fields = {"price": price, "stock": stock, "open": open}
        self._decimals = decimals
        self._amount = "AmountBeforeTax" if before_tax else "AmountAfterTax"
        self._sequenced = sequenced
        self._now = now

    def __call__(self, body: bytes) -> Pushed:
        """The changes of a message; raise `InvalidParams` for what is none of them. No entity is ever expanded."""
        try:
            root = fromstring(body, forbid_dtd=True)
        except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
            raise InvalidParams(f"push: this is no XML that is read here: {type(error).__name__}") from error
        name = _name(root)
        if name not in MESSAGES:
            raise InvalidParams(f"push: {name:.60} is none of {', '.join(MESSAGES)}")
        around, each = MESSAGES[name]
        changes: list[Change] = []
        cells = 0
        for hotel in _all(root, around):
            for one in _all(hotel, each):
                found = list(self._changes(_wanted(hotel, "HotelCode"), one))
                changes += found
                cells += sum(change.count * max(1, len(change.items)) for change in found)
                if len(changes) > MOST_CHANGES or cells > MOST_CELLS:
                    raise InvalidParams(f"push: more than {MOST_CHANGES} changes, or {MOST_CELLS} cells, in a message")
        if not changes:
            raise InvalidParams("push: the message tells of no change")
        sequence = _whole(root, "SequenceNmbr") if self._sequenced else None
        return Pushed(changes, _moment(root.get("TimeStamp", "")), sequence=sequence)

    def _changes(self, hotel: str, one: Element) -> Iterator[Change]:
        """What one element says: a delta of each period, or that the period has changed."""
        control = next(_all(one, "StatusApplicationControl"), None)
        if control is None:
            raise InvalidParams("push: a StatusApplicationControl is missing")
        items = self._items(hotel, control.get("InvTypeCode", ""), control.get("RatePlanCode", ""))
        for period, told, is_all in self._told(one, control):
            first, marked = self._days(period, control)
            if not marked:
                continue
            named = {self._fields[what]: value for what, value in told.items()}
            fields = {
                field: [value if day else None for day in marked] for field, value in named.items() if field is not None
            }
            if fields and items:
                yield Change("delta", hotel, first, len(marked), dict.fromkeys(items, fields))
            if not (is_all and items) or None in named:
                yield Change("thin", hotel, first, len(marked))

    def _told(self, one: Element, control: Element) -> Iterator[tuple[Element, dict[str, Any], bool]]:
        """Each period with its values, and whether these are all that is said of it."""
        match _name(one):
            case "RateAmountMessage":
                for rate in (found for rates in _all(one, "Rates") for found in _all(rates, "Rate")):
                    amounts = [each for some in _all(rate, "BaseByGuestAmts") for each in _all(some, "BaseByGuestAmt")]
                    prices = [self._price(amount) for amount in amounts]
                    # Prices by number of guests are several: which of them an item has only its supplier knows.
                    yield (rate, {"price": prices[0]}, True) if len(prices) == 1 else (rate, {}, False)
            case "Inventory":
                counts = [count for some in _all(one, "InvCounts") for count in _all(some, "InvCount")]
                free = [count for count in counts if count.get("CountType", AVAILABLE) == AVAILABLE]
                yield (control, {"stock": _whole(free[0], "Count")}, True) if len(free) == 1 else (control, {}, False)
            case _:
                yield control, *self._availability(one)

    def _availability(self, one: Element) -> tuple[dict[str, Any], bool]:
        told: dict[str, Any] = {}
        is_all = not any(_all(one, "LengthsOfStay"))
        if one.get("BookingLimit") is not None:
            is_set = one.get("BookingLimitMessageType", "SetLimit") == "SetLimit"
            is_all &= is_set
            if is_set:
                told["stock"] = _whole(one, "BookingLimit")
        for status in _all(one, "RestrictionStatus"):
            if status.get("Restriction", "Master") == "Master" and status.get("Status") in {"Open", "Close"}:
                told["open"] = status.get("Status") == "Open"
            else:
                is_all = False
        return told, is_all and bool(told)

    def _price(self, amount: Element) -> int:
        text, places = _wanted(amount, self._amount), amount.get("DecimalPlaces", "0")
        if not (_AMOUNT.fullmatch(text) and _PLACES.fullmatch(places)):
            raise InvalidParams(f"push: {text!r:.40} is no amount")
        cents = Decimal(text).scaleb(self._decimals - int(places))
        if cents != int(cents):
            raise InvalidParams(f"push: {text!r:.40} is no amount of {self._decimals} decimals")
        return int(cents)

    def _days(self, period: Element, control: Element) -> tuple[date, list[bool]]:
        """The first day of a period, and of each whether it is meant; those far off are left out."""
        first, last = (_day(period.get(side) or _wanted(control, side)) for side in ("Start", "End"))
        if last < first:
            raise InvalidParams(f"push: a period ends on {last}, before it begins on {first}")
        here = self._now().date()
        first, last = max(first, here - BEFORE), min(last, here + AHEAD)
        marks = [(period if period.get(day) is not None else control).get(day) for day in WEEKDAYS]
        meant = [mark in {"1", "true"} for mark in marks] if any(mark is not None for mark in marks) else [True] * 7
        days = (first + timedelta(days=offset) for offset in range((last - first).days + 1))
        return first, [meant[day.weekday()] for day in days]


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _all(element: Element, name: str) -> Iterator[Element]:
    return (child for child in element if _name(child) == name)


def _wanted(element: Element, name: str) -> str:
    value = element.get(name, "")
    if not 0 < len(value) <= 255:
        raise InvalidParams(f"push: {_name(element):.60} has no {name}, or one that is too long")
    return value


def _whole(element: Element, name: str) -> int:
    text = _wanted(element, name)
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise InvalidParams(f"push: {name} {text!r:.40} is no whole number")
    return int(text)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text[:10])
    except ValueError as error:
        raise InvalidParams(f"push: {text!r:.40} is no day") from error


def _moment(text: str) -> datetime | None:
    """A time with its zone; without one nobody knows when it was."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
