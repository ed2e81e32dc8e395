"""Messages of the OpenTravel Alliance: what they tell is read, and what is none of them is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from random import Random

import pytest

from tieout.errors import InvalidParams
from tieout.mirror.ota import Ota

HEAD = 'xmlns="http://www.opentravel.org/OTA/2003/05" Version="1.0" TimeStamp="2026-11-28T12:00:00Z" SequenceNmbr="7"'
AVAIL = f"""<OTA_HotelAvailNotifRQ {HEAD}><AvailStatusMessages HotelCode="h0">
<AvailStatusMessage BookingLimit="4" BookingLimitMessageType="SetLimit">
<StatusApplicationControl Start="2026-12-01" End="2026-12-03" InvTypeCode="DBL" RatePlanCode="BAR"/>
<RestrictionStatus Status="Open"/></AvailStatusMessage>
<AvailStatusMessage><StatusApplicationControl Start="2026-12-05" End="2026-12-05" InvTypeCode="DBL" RatePlanCode="BAR"/>
<LengthsOfStay><LengthOfStay MinMaxMessageType="SetMinLOS" Time="2"/></LengthsOfStay></AvailStatusMessage>
</AvailStatusMessages></OTA_HotelAvailNotifRQ>"""
RATE = f"""<OTA_HotelRateAmountNotifRQ {HEAD}><RateAmountMessages HotelCode="h0"><RateAmountMessage>
<StatusApplicationControl Start="2026-12-01" End="2026-12-07" InvTypeCode="DBL" RatePlanCode="BAR"/>
<Rates><Rate Start="2026-12-01" End="2026-12-02"><BaseByGuestAmts>
<BaseByGuestAmt AmountAfterTax="120.50" CurrencyCode="EUR"/></BaseByGuestAmts></Rate>
<Rate Start="2026-12-03" End="2026-12-06" Fri="1" Sat="true" Sun="0"><BaseByGuestAmts>
<BaseByGuestAmt AmountAfterTax="15000" DecimalPlaces="2"/></BaseByGuestAmts></Rate></Rates>
</RateAmountMessage></RateAmountMessages></OTA_HotelRateAmountNotifRQ>"""
COUNT = f"""<OTA_HotelInvCountNotifRQ {HEAD}><Inventories HotelCode="h0"><Inventory>
<StatusApplicationControl Start="2026-12-01" End="2026-12-01" InvTypeCode="DBL"/>
<InvCounts><InvCount CountType="2" Count="17"/><InvCount CountType="4" Count="3"/></InvCounts>
</Inventory></Inventories></OTA_HotelInvCountNotifRQ>"""


def items(hotel, room, rate):
    return [f"{hotel}-{room}-{plan}" for plan in ((rate,) if rate else ("BAR", "NRF"))]


def read(text, **options):
    now = datetime(2026, 11, 28, tzinfo=UTC)
    return Ota(items, now=lambda: now, **options)(text.encode())


def told(pushed):
    return [(one.kind, one.group, one.first, one.count, dict(one.items)) for one in pushed.changes]


def test_availability():
    """Booking limits and the master status are told; a restriction of stay has the period asked for."""
    pushed = read(AVAIL)
    night = {"stock": [4] * 3, "open": [True] * 3}
    assert told(pushed) == [
        ("delta", "h0", date(2026, 12, 1), 3, {"h0-DBL-BAR": night}),
        ("thin", "h0", date(2026, 12, 5), 1, {}),
    ]
    assert pushed.at == datetime(2026, 11, 28, 12, tzinfo=UTC) and pushed.sequence is None
    assert read(AVAIL, sequenced=True).sequence == 7


def test_rates():
    """Amounts become minor units of the mirror, on the days of the week that are marked."""
    assert told(read(RATE)) == [
        ("delta", "h0", date(2026, 12, 1), 2, {"h0-DBL-BAR": {"price": [12_050] * 2}}),
        ("delta", "h0", date(2026, 12, 3), 4, {"h0-DBL-BAR": {"price": [None, 15_000, 15_000, None]}}),
    ]


def test_inventory():
    """What can still be sold is told of every item of the room."""
    night = {"stock": [17]}
    assert told(read(COUNT)) == [("delta", "h0", date(2026, 12, 1), 1, {"h0-DBL-BAR": night, "h0-DBL-NRF": night})]


def test_what_has_no_field_is_asked_for():
    """Without a field for what is told, or with a price for each number of guests, the period is asked for."""
    assert [one.kind for one in read(COUNT, stock=None).changes] == ["thin"]
    more = '<BaseByGuestAmt AmountAfterTax="130" NumberOfGuests="2"/></BaseByGuestAmts></Rate>\n<Rate'
    assert told(read(RATE.replace("</BaseByGuestAmts></Rate>\n<Rate", more)))[0][0] == "thin"


def test_far_days_are_left_out():
    """A period of years is read as far as any mirror goes; what is over is not read."""
    (change,) = read(COUNT.replace('End="2026-12-01"', 'End="2036-12-01"').replace("2026-12-01", "2020-01-01")).changes
    assert change.first == date(2026, 11, 26) and change.count < 1_024


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<a/>",
        "{}",
        AVAIL[:-3],
        AVAIL.replace("BookingLimit=", 'BookingLimit="x" Old='),
        AVAIL.replace('End="2026-12-03"', 'End="2026-11-30"'),
        AVAIL.replace('Start="2026-12-01"', 'Start="soon"'),
        AVAIL.replace(' HotelCode="h0"', ""),
        RATE.replace("120.50", "120.505"),
        RATE.replace("120.50", "NaN"),
        RATE.replace("120.50", "-1"),
        RATE.replace("120.50", "1e999999999"),
        RATE.replace('DecimalPlaces="2"', 'DecimalPlaces="x"'),
        COUNT.replace('Count="17"', 'Count="-17"'),
        f"<OTA_HotelInvCountNotifRQ {HEAD}/>",
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]>' + COUNT,
        '<?xml version="1.0" encoding="nonsense"?>' + COUNT,
        COUNT.replace("<Inventory>", "<Inventory>" * 3),
    ],
)
def test_what_is_refused(text):
    """Other messages, values that are none, entities and cut text are the sender's fault."""
    with pytest.raises(InvalidParams):
        read(text)


def test_a_message_that_becomes_too_long_is_refused():
    """A short message cannot make a long one: cells are counted while they are read."""
    inventory = COUNT[COUNT.index("<Inventory>") : COUNT.index("</Inventories>")].replace(
        'End="2026-12-01"', 'End="2029-12-01"'
    )
    with pytest.raises(InvalidParams, match="cells"):
        read(COUNT.replace("</Inventories>", inventory * 300 + "</Inventories>"))


@pytest.mark.parametrize("text", [AVAIL, RATE, COUNT], ids=["availability", "rates", "inventory"])
def test_whatever_is_changed_in_a_message(text):
    """With any bytes changed, left out or repeated a message is read or refused, and nothing else happens."""
    refused = 0
    for seed in range(2_000):
        chance, body = Random(seed), bytearray(text.encode())
        for _ in range(chance.randrange(1, 5)):
            at, length = chance.randrange(len(body)), chance.randrange(1, 20)
            part = chance.choice([b"", body[at : at + length] * 2, chance.randbytes(length), body[:length]])
            body[at : at + length] = part
        try:
            Ota(items, now=lambda: datetime(2026, 11, 28, tzinfo=UTC))(bytes(body))
        except InvalidParams:
            refused += 1
    assert refused > 1_000
