"""Tokens in the user's database: one typed function for each statement."""

from __future__ import annotations

import msgspec

from tieout.contracts import Row, Transaction
from tieout.database.query import load


class Token(msgspec.Struct, frozen=True):
    """A token without its secret; times are the server's, in microseconds, `now` that of the reading."""

    id: bytes
    digest: bytes
    owner: str
    roles: str
    note: str
    created: int
    expires: int
    used: int | None
    revoked: int | None
    now: int

    @property
    def is_valid(self) -> bool:
        """Whether it was neither revoked nor has expired."""
        return self.revoked is None and self.now < self.expires


class Session(msgspec.Struct, frozen=True):
    """A person's session, without its secret; times as above."""

    id: bytes
    name: str
    roles: str
    created: int
    used: int
    expires: int
    ended: int | None
    now: int

    def is_valid(self, idle: int) -> bool:
        """Whether it counts: neither ended nor too old, and used within `idle` microseconds."""
        return self.ended is None and self.now < min(self.expires, self.used + idle)


class TokenStore:
    """Tokens over named SQL."""

    def __init__(self, dialect: str) -> None:
        self.sql = load("tieout.access", dialect)

    async def add(
        self, tx: Transaction, token: bytes, digest: bytes, owner: str, roles: str, note: str, lifetime: int
    ) -> None:
        """Store a new one, which expires after `lifetime` microseconds."""
        await tx.execute(
            self.sql.add_token, id=token, digest=digest, owner=owner, roles=roles, note=note, lifetime=lifetime
        )

    async def read(self, tx: Transaction, token: bytes) -> Token | None:
        """The token with this id, or None."""
        row = await tx.fetch_one(self.sql.read_token, id=token)
        return None if row is None else _token(row)

    async def page(self, tx: Transaction, after: int, after_id: bytes, limit: int) -> list[Token]:
        """Tokens, the oldest first, from behind (`after`, `after_id`)."""
        rows = await tx.fetch(self.sql.list_tokens, after=after, after_id=after_id, limit=limit)
        return [_token(row) for row in rows]

    async def note_use(self, tx: Transaction, token: bytes) -> None:
        """Note that it has just been used."""
        await tx.execute(self.sql.token_used, id=token)

    async def revoke(self, tx: Transaction, token: bytes) -> bool:
        """Let it count no more; False when that was so already."""
        return await tx.execute(self.sql.revoke_token, id=token) == 1

    async def count_valid(self, tx: Transaction) -> int:
        """How many tokens count now."""
        row = await tx.fetch_one(self.sql.count_valid_tokens)
        return 0 if row is None else int(row[0])


def _token(row: Row) -> Token:
    token, digest, *rest = row
    return Token(bytes(token), bytes(digest), *rest)


class SessionStore:
    """Sessions over named SQL."""

    def __init__(self, dialect: str) -> None:
        self.sql = load("tieout.access", dialect)

    async def add(self, tx: Transaction, session: bytes, login: bytes, name: str, roles: str, lifetime: int) -> None:
        """Store a new one, which ends after `lifetime` microseconds; `login` begins no other."""
        await tx.execute(self.sql.add_session, id=session, login=login, name=name, roles=roles, lifetime=lifetime)

    async def read(self, tx: Transaction, session: bytes) -> Session | None:
        """The session with this id, or None."""
        row = await tx.fetch_one(self.sql.read_session, id=session)
        return None if row is None else _session(row)

    async def note_use(self, tx: Transaction, session: bytes) -> None:
        """Note that it has just been used."""
        await tx.execute(self.sql.session_used, id=session)

    async def end(self, tx: Transaction, session: bytes) -> bool:
        """Let it count no more; False when that was so already."""
        return await tx.execute(self.sql.end_session, id=session) == 1

    async def page(self, tx: Transaction, name: str, limit: int) -> list[Session]:
        """Sessions that were not ended, the oldest first; `name` "" means everybody's."""
        return [_session(row) for row in await tx.fetch(self.sql.list_sessions, name=name, limit=limit)]

    async def forget(self, tx: Transaction, age: int) -> None:
        """Delete those that have been over for `age` microseconds."""
        await tx.execute(self.sql.forget_sessions, age=age)


def _session(row: Row) -> Session:
    session, *rest = row
    return Session(bytes(session), *rest)
