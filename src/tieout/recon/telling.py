"""What following both sides has found, told: breaks with their evidence, alarms for many at once, and what mended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from tieout.alarm.rules import NewAlarm
from tieout.alarm.store import AlarmRaiser
from tieout.contracts import Transaction
from tieout.recon.define import Rule
from tieout.recon.evidence import told_break
from tieout.recon.fact_store import FactStore
from tieout.recon.facts import SIDES, Seen
from tieout.recon.periods import iso
from tieout.recon.rules import BREAKS, Judged, Record, Verdict
from tieout.recon.store import NewBreak, ReconStore, break_id, live_run
from tieout.recon.translating import key_parts

SHOWN = 10
"""Breaks of one kind that an alarm is given at a time as evidence; all stand in the list of breaks."""


class Found(NamedTuple):
    """A key that does not agree: what both sources have, possible causes, and where its facts came from."""

    key: str
    verdict: Verdict
    upstream: list[Record]
    downstream: list[Record]
    causes: list[str]
    seen: tuple[Seen | None, ...]


class Lost(NamedTuple):
    """A key of which a feed has not told what its source has: so many records."""

    feed: str
    key: str
    side: int
    records: int


class News(NamedTuple):
    """What is to be told of one rule."""

    found: list[Found]
    mended: list[str]
    lost: list[Lost]


class Telling:
    """Writes news within the transaction that they come from."""

    def __init__(self, store: ReconStore, facts: FactStore, alarms: AlarmRaiser) -> None:
        self._store, self._facts, self._alarms = store, facts, alarms

    async def tell(self, tx: Transaction, rule: Rule, judged: Judged, news: News) -> None:
        """Keep breaks, close those that agree again, and raise or clear the alarms about them."""
        breaks = [_break(judged, one) for one in news.found]
        if breaks:
            await self._store.note(tx, live_run(rule), breaks)
            await self._raise(tx, rule, breaks)
        if news.mended:
            await self._facts.mend(tx, [break_id(rule.name, *parted(key)) for key in news.mended])
        if breaks or news.mended:
            await self._clear(tx, rule)
        for feed in sorted({one.feed for one in news.lost}):
            await self._tell_lost(tx, rule, feed, [one for one in news.lost if one.feed == feed])

    async def _raise(self, tx: Transaction, rule: Rule, breaks: Sequence[NewBreak]) -> None:
        for outcome in Counter(one.outcome for one in breaks):
            shown = [one for one in breaks if one.outcome == outcome]
            count = await self._facts.open_breaks(tx, rule.name, outcome)
            summary = f"{rule.name}: {count:,} {outcome} live" + (f" (for {rule.owner})" if rule.owner else "")
            evidence = tuple(
                {"key": list(one.key), "version": rule.version, **msgspec.to_builtins(one.detail)}
                for one in shown[:SHOWN]
            )
            await self._alarms.raise_alarm(tx, _alarm(rule, outcome, summary, evidence))

    async def _clear(self, tx: Transaction, rule: Rule) -> None:
        """Close the alarms of which no break is left."""
        for outcome in BREAKS:
            if not await self._facts.open_breaks(tx, rule.name, outcome):
                await self._alarms.clear(tx, _alarm(rule, outcome, "").id, "all breaks agree again")

    async def _tell_lost(self, tx: Transaction, rule: Rule, feed: str, lost: Sequence[Lost]) -> None:
        summary = f"{feed} has not told of {len(lost):,} keys of {rule.name} what its source has"
        evidence = tuple(
            {"rule": rule.name, "key": key_parts(one.key), "side": SIDES[one.side], "records": one.records}
            for one in lost[:SHOWN]
        )
        await self._alarms.raise_alarm(tx, NewAlarm("feed-gap", feed, summary, None, evidence))


def parted(key: str) -> tuple[list[str | None], str]:
    """A key that is kept, and the side that one with a NULL is kept apart for."""
    parts = key_parts(key)
    return (parts[:-1], str(parts[-1])) if None in parts else (parts, "")


def _alarm(rule: Rule, outcome: str, summary: str, evidence: tuple[dict[str, Any], ...] = ()) -> NewAlarm:
    return NewAlarm("recon-breaks", f"{rule.name} {outcome}", summary, None, evidence, reopens=True)


def _break(judged: Judged, one: Found) -> NewBreak:
    parts, apart = parted(one.key)
    told = told_break(judged, (), one.verdict, one.upstream, one.downstream, one.causes)
    provenance = {
        side: {"committed": iso(seen.at), "position": seen.position}
        for side, seen in zip(SIDES, one.seen, strict=True)
        if seen is not None
    }
    detail = {**msgspec.to_builtins(told.detail), "provenance": provenance}
    return NewBreak(tuple(parts), told.outcome, detail, apart, told.at)
