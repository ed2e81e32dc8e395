"""What an alarm keeps, and what it counts as news."""

from __future__ import annotations

from tests.process.place import alarms, key_of, standing
from tests.process.shop import Prize
from tieout import Succeeded
from tieout.alarm.rules import EVIDENCE_LIMIT


async def test_a_claim_beyond_the_limit_of_evidence_is_still_news(place, shop):
    """It cannot be kept any more, but a resolved alarm opens again; what was known already does not open it."""
    app, process = await standing(place, shop)
    key = key_of(process)
    for number in range(EVIDENCE_LIMIT + 1):
        await app.report(key, Succeeded(Prize(f"P{number}")))
    (alarm,) = await alarms(app)
    app.alarms.second_person = frozenset()
    await app.alarms.resolve(alarm.id, "settled-outside", actor="ann", reason="asked them")
    await app.report(key, Succeeded(Prize("P1")))
    assert (await alarms(app))[0].state == "resolved"
    await app.report(key, Succeeded(Prize("never seen before")))
    assert (await alarms(app))[0].state == "open"
