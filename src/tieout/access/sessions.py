"""Sessions of people who have logged in: begun once for each log-in, looked up for each request, ended."""

from __future__ import annotations

import re
import secrets

from tieout.access.remembered import Remembered
from tieout.access.rules import SECRET_BYTES, Caller, Role, caller, check_roles, digest
from tieout.access.store import Session, SessionStore
from tieout.audit.store import AuditStore
from tieout.contracts import Clock, Database, Transaction
from tieout.errors import LoginFailed, UniqueViolation, UnknownSession

PEOPLE = "people"
"""The client that owns what persons start."""

KEPT = 86_400_000_000
"""Microseconds that a session is kept after its end: longer than its log-in could be tried again."""

LISTED = 1_000
"""Sessions that a list holds at the most."""

_TEXT = re.compile(r"[0-9a-f]{64}")


class Sessions:
    """The sessions of one database. `idle` is how long one may go unused, in microseconds."""

    def __init__(self, database: Database, audit: AuditStore, clock: Clock, idle: int) -> None:
        self.database = database
        self.store = SessionStore(database.dialect)
        self.audit = audit
        self.idle = idle
        self._known: Remembered[Session | None] = Remembered(clock)

    async def begin(self, name: str, roles: tuple[Role, ...], *, login: bytes, lifetime: int, reason: str) -> str:
        """A new session, as the text that its browser keeps; the database holds only its digest.

        Each log-in begins one session: raise `LoginFailed` for one that has begun one already.
        """
        secret = secrets.token_bytes(SECRET_BYTES)

        async def work(tx: Transaction) -> None:
            await self.store.forget(tx, KEPT)
            await self.store.add(tx, digest(secret), digest(login), name, " ".join(roles), lifetime)
            await self._note(tx, "login", digest(secret), name, name, reason)

        try:
            await self.database.transact(work)
        except UniqueViolation as error:
            raise LoginFailed("this log-in was finished before: begin a new one") from error
        return secret.hex()

    async def caller(self, text: str) -> Caller | None:
        """Whose session it is; None when it is none, has expired or was ended."""
        found = await self.find(text)
        if found is None or not found.is_valid(self.idle):
            return None
        roles = check_roles(tuple(found.roles.split()))
        return caller(found.name, PEOPLE, roles, found.name, is_ambient=True)

    async def find(self, text: str) -> Session | None:
        """The session of this text, whether it still counts or not."""
        if not _TEXT.fullmatch(text):
            return None
        session = digest(bytes.fromhex(text))
        known = self._known.get(session)
        if known is not None:
            return known[0]
        found = await self.database.read(lambda tx: self.store.read(tx, session))
        self._known.keep(session, found)
        if found is not None and found.is_valid(self.idle) and found.now - found.used > self.idle // 20:
            await self.database.transact(lambda tx: self.store.note_use(tx, session))
        return found

    async def end(self, session: bytes, *, actor: str, reason: str) -> Session:
        """Let a session count no more; raise `UnknownSession` when there is none, or it was ended before."""

        async def work(tx: Transaction) -> Session:
            found = await self.store.read(tx, session)
            if found is None or not await self.store.end(tx, session):
                raise UnknownSession("there is no such session, or no longer")
            await self._note(tx, "logout", session, found.name, actor, reason)
            return found

        ended = await self.database.transact(work)
        self._known.forget(session)
        return ended

    async def list(self, name: str = "") -> list[Session]:
        """Sessions that count, the oldest first: of everybody, or of one person."""
        found = await self.database.read(lambda tx: self.store.page(tx, name, LISTED))
        return [one for one in found if one.is_valid(self.idle)]

    async def _note(self, tx: Transaction, action: str, session: bytes, name: str, actor: str, reason: str) -> None:
        await self.audit.add(
            tx, actor=actor, action=action, target=session.hex()[:12], reason=reason, detail={"name": name}
        )
