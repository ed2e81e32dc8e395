"""What persons may do with breaks; each act is audited, with its reason, in the transaction of its effect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from tieout.audit.rules import AuditRow
from tieout.audit.store import AuditStore
from tieout.contracts import Database, Transaction
from tieout.errors import NotAllowed, UnknownBreak
from tieout.recon.define import Rule
from tieout.recon.fact_store import FactStore
from tieout.recon.store import Break, BreakState, NewBreak, ReconStore, live_run

Repair: TypeAlias = Callable[[Break], Any]
"""Makes the request of the process that repairs a break, with `repair_key` as its request key."""

Start: TypeAlias = Callable[[Any], Awaitable[bytes]]
"""Starts a process by its request, once, and returns its id."""


class Breaks:
    """Breaks, listed, shown, settled, ignored, judged again, repaired by what `repairs` has for their rules."""

    def __init__(
        self, database: Database, store: ReconStore, audit: AuditStore, rules: Mapping[str, Rule], start: Start
    ) -> None:
        self._database, self._store, self._audit, self._rules = database, store, audit, rules
        self.repairs: dict[str, Repair] = {}
        self._start = start
        self._facts = FactStore(database.dialect)

    async def list(
        self, *, rule: str = "", state: str = "open", outcome: str = "", after: bytes = b"", limit: int = 50
    ) -> Sequence[Break]:
        """Breaks, found live or offline, by id, from behind the one with the id `after`; empty filters mean any."""
        return await self._database.read(
            lambda tx: self._store.breaks_of_rule(tx, rule=rule, state=state, outcome=outcome, after=after, limit=limit)
        )

    async def show(self, number: bytes) -> Break:
        """One break; raise `UnknownBreak`."""
        return await self._database.read(lambda tx: self._read(tx, number))

    async def history(self, number: bytes) -> tuple[Break, Sequence[AuditRow]]:
        """One break, and what persons did with it, oldest first; raise `UnknownBreak`."""

        async def work(tx: Transaction) -> tuple[Break, Sequence[AuditRow]]:
            return await self._read(tx, number), await self._audit.of(tx, target_of(number))

        return await self._database.read(work)

    async def settle(self, number: bytes, *, actor: str, reason: str) -> Break:
        """Say that it was put right elsewhere; it opens again when something else is found of its key."""
        return await self._decide(number, "settled", "break-settle", actor, reason)

    async def ignore(self, number: bytes, *, actor: str, reason: str) -> Break:
        """Say that it may stay as it is; it opens again when something else is found of its key."""
        return await self._decide(number, "ignored", "break-ignore", actor, reason)

    async def judge_again(self, number: bytes, *, actor: str, reason: str) -> Break:
        """Ask both sources for its key as it is now, and judge that; what agrees is closed, and else it is open.

        Raise `ConfigError` when the App does not have its rule, `NotAllowed` for a key that is NULL in part.
        """
        from tieout.recon.asking import judged_now  # needs the extra

        found = await self.show(number)
        key = tuple(part for part in found.key if part is not None)
        if len(key) < len(found.key):
            raise NotAllowed("a key that is NULL in part cannot be asked for")
        rule = self._rules.get(found.rule)
        if rule is None:
            raise NotAllowed(f"the rule {found.rule} is not in this App: its sides are not known")
        told = await judged_now(rule, key)
        return await self._database.transact(lambda tx: self._note_again(tx, found, rule, told, actor, reason))

    async def repair(self, number: bytes, *, actor: str, reason: str) -> Break:
        """Start the process that repairs an open break, once for what was found, however often that is asked for.

        The break stays open until it is judged again and agrees: by the feeds, if its rule is followed, or by
        `judge_again`. Raise `NotAllowed` when it is not open, or its rule has no repair.
        """
        found = await self.show(number)
        make = self.repairs.get(found.rule)
        if make is None:
            raise NotAllowed(f"the rule {found.rule} has no repair: give app.rule(…, repair=…) a function")
        _check_act(actor, reason)
        if found.state != "open":
            raise NotAllowed(f"this break is {found.state}: only an open one is repaired")
        process = await self._start(make(found))

        async def work(tx: Transaction) -> Break:
            if not await self._store.repair(tx, number, process):
                raise NotAllowed(f"process {process.hex()} was started, and the break is not open any more")
            await self._audited(tx, found, "break-repair", actor, reason, process=process.hex())
            return await self._read(tx, number)

        return await self._database.transact(work)

    async def _note_again(
        self, tx: Transaction, found: Break, rule: Rule, told: NewBreak | None, actor: str, reason: str
    ) -> Break:
        if told is None:
            await self._facts.mend(tx, [found.id])
        else:
            await self._store.note(tx, live_run(rule), [told])
        states = await self._facts.rules(tx)
        if rule.name in states:
            await self._facts.doubt(tx, states[rule.name].number, found.key)
        await self._audited(tx, found, "break-judge-again", actor, reason)
        return await self._read(tx, found.id)

    async def _decide(self, number: bytes, state: BreakState, action: str, actor: str, reason: str) -> Break:
        async def work(tx: Transaction) -> Break:
            found = await self._read(tx, number)
            if not await self._store.decide(tx, number, state, actor, reason):
                raise NotAllowed("this break is closed: both sides agree")
            await self._audited(tx, found, action, actor, reason)
            return await self._read(tx, number)

        return await self._database.transact(work)

    async def _read(self, tx: Transaction, number: bytes) -> Break:
        found = await self._store.read_break(tx, number)
        if found is None:
            raise UnknownBreak("there is no break with this id")
        return found

    async def _audited(self, tx: Transaction, found: Break, action: str, actor: str, reason: str, **more: str) -> None:
        _check_act(actor, reason)
        detail = {"rule": found.rule, "key": found.key, "outcome": found.outcome, "was": found.state, **more}
        await self._audit.add(tx, actor=actor, action=action, target=target_of(found.id), reason=reason, detail=detail)


def target_of(number: bytes) -> str:
    """What the audit calls a break."""
    return f"break:{number.hex()}"


def _check_act(actor: str, reason: str) -> None:
    if not actor.strip() or not reason.strip():
        raise NotAllowed("say who you are (actor) and why (reason): both are kept in the audit")
