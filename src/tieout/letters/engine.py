"""What a person may do with letters; each act is audited, with its reason, in the transaction of its effect."""

from __future__ import annotations

from collections.abc import Sequence

from tieout.audit.store import AuditStore
from tieout.contracts import Database, Transaction
from tieout.errors import NotAllowed, UnknownMessage
from tieout.letters.store import LAST, Letter, LetterStore, State


class Letters:
    """Letters, listed, shown, replayed, dropped."""

    def __init__(self, database: Database, store: LetterStore, audit: AuditStore) -> None:
        self.database = database
        self.store = store
        self.audit = audit

    async def list(
        self, *, source: str = "", state: State = "any", before: int = LAST, limit: int = 50
    ) -> Sequence[Letter]:
        """Letters, the latest first, from behind the number `before`; no source means any."""
        return await self.database.read(
            lambda tx: self.store.page(tx, source=source.encode(), state=state, before=before, limit=limit)
        )

    async def show(self, letter: int) -> Letter:
        """One letter; raise `UnknownMessage`."""
        return await self.database.read(lambda tx: self._read(tx, letter))

    async def replay(self, letter: int, *, actor: str, reason: str) -> Letter:
        """Have it tried again now, as often as one that has just come; raise `NotAllowed` for one that was cut."""

        async def work(tx: Transaction) -> Letter:
            found = await self._read(tx, letter)
            if not found.is_whole:
                raise NotAllowed(f"of message {letter} only {len(found.body)} of {found.size} bytes are kept")
            await self.store.replay(tx, letter)
            replayed = await self._read(tx, letter)
            await self._note(tx, found, "message-replay", actor, reason)
            return replayed

        return await self.database.transact(work)

    async def drop(self, letter: int, *, actor: str, reason: str) -> Letter:
        """Forget it: what it says does not happen. The audit keeps its id and why it was dead."""

        async def work(tx: Transaction) -> Letter:
            found = await self._read(tx, letter)
            await self.store.delete(tx, letter)
            await self._note(tx, found, "message-drop", actor, reason)
            return found

        return await self.database.transact(work)

    async def _read(self, tx: Transaction, letter: int) -> Letter:
        found = await self.store.read(tx, letter)
        if found is None:
            raise UnknownMessage(f"there is no message {letter}: it was done or dropped, or never kept")
        return found

    async def _note(self, tx: Transaction, letter: Letter, action: str, actor: str, reason: str) -> None:
        if not actor.strip() or not reason.strip():
            raise NotAllowed("say who you are (actor) and why (reason): both are kept in the audit")
        detail = {
            "from": letter.address,
            "message_id": letter.message_id.decode(errors="replace"),
            "attempts": letter.attempts,
            "code": letter.code,
        }
        await self.audit.add(
            tx, actor=actor, action=action, target=f"message:{letter.id}", reason=reason, detail=detail
        )
