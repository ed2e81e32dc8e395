"""Tokens: created, listed, revoked, and looked up for the request that brings one."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from tieout.access.remembered import Remembered
from tieout.access.rules import (
    ID_BYTES,
    NO_DIGEST,
    SECRET_BYTES,
    Caller,
    caller,
    check_client,
    check_roles,
    digest,
    parse_token,
    same_digest,
    write_token,
)
from tieout.access.store import Token, TokenStore
from tieout.audit.store import AuditStore
from tieout.contracts import Clock, Database, Transaction
from tieout.errors import ConfigError, NotAllowed, UnknownToken

USE_NOTED_EVERY = 60_000_000
"""Microseconds: the last use of a token is written down no more often than this."""

LONGEST_LIFE = 366 * 86_400_000_000
"""Microseconds that a token may live at the most: a secret that never changes gets about."""


class Created(NamedTuple):
    """A new token, with the text that its holder sends: it is shown once, and stored nowhere."""

    token: Token
    text: str


class Tokens:
    """The tokens of one database."""

    def __init__(self, database: Database, audit: AuditStore, clock: Clock) -> None:
        self.database = database
        self.store = TokenStore(database.dialect)
        self.audit = audit
        self._known: Remembered[Token | None] = Remembered(clock)

    async def create(
        self, owner: str, roles: tuple[str, ...], *, lifetime: int, note: str = "", actor: str, reason: str
    ) -> Created:
        """A new token of an owner with these roles, valid for `lifetime` microseconds; raise `ConfigError`."""
        check_client(owner)
        named = check_roles(roles)
        if not 0 < lifetime <= LONGEST_LIFE:
            raise ConfigError("a token lives for more than nothing and at most 366 days")
        token, secret = secrets.token_bytes(ID_BYTES), secrets.token_bytes(SECRET_BYTES)

        async def work(tx: Transaction) -> Token | None:
            await self.store.add(tx, token, digest(secret), owner, " ".join(named), note, lifetime)
            await self._note(tx, "token-create", token, owner, actor, reason)
            return await self.store.read(tx, token)

        made = await self.database.transact(work)
        if made is None:
            raise NotAllowed("the token has vanished while it was made")
        return Created(made, write_token(token, secret))

    async def list(self, *, after: int = 0, after_id: bytes = b"", limit: int = 1_000) -> list[Token]:
        """Tokens, the oldest first."""
        return await self.database.read(lambda tx: self.store.page(tx, after, after_id, limit))

    async def revoke(self, token: bytes, *, actor: str, reason: str) -> Token:
        """Let a token count no more; raise `UnknownToken`, or `NotAllowed` when it was revoked before."""

        async def work(tx: Transaction) -> Token:
            if await self.store.read(tx, token) is None:
                raise UnknownToken(f"there is no token {token.hex()}")
            if not await self.store.revoke(tx, token):
                raise NotAllowed("this token is revoked already")
            found = await self.store.read(tx, token)
            if found is None:
                raise UnknownToken(f"there is no token {token.hex()}")
            await self._note(tx, "token-revoke", token, found.owner, actor, reason)
            return found

        return await self.database.transact(work)

    async def count_valid(self) -> int:
        """How many tokens count now."""
        return await self.database.read(self.store.count_valid)

    async def caller(self, text: str) -> Caller | None:
        """Who sends this token; None when it is none, or counts no more."""
        parsed = parse_token(text)
        if parsed is None:
            return None
        token_id, given = parsed
        token = await self._look_up(token_id)
        is_right = same_digest(given, NO_DIGEST if token is None else token.digest)
        if token is None or not is_right or not token.is_valid:
            return None
        name = f"token:{token.owner}/{token_id.hex()}"
        return caller(name, token.owner, check_roles(tuple(token.roles.split())), token_id.hex())

    async def _look_up(self, token_id: bytes) -> Token | None:
        known = self._known.get(token_id)
        if known is not None:
            return known[0]
        token = await self.database.read(lambda tx: self.store.read(tx, token_id))
        self._known.keep(token_id, token)
        if token is not None and token.is_valid and (token.used or 0) + USE_NOTED_EVERY < token.now:
            await self.database.transact(lambda tx: self.store.note_use(tx, token_id))
        return token

    async def _note(self, tx: Transaction, action: str, token: bytes, owner: str, actor: str, reason: str) -> None:
        if not actor.strip() or not reason.strip():
            raise NotAllowed("say who you are (actor) and why (reason): both are kept in the audit")
        await self.audit.add(tx, actor=actor, action=action, target=token.hex(), reason=reason, detail={"owner": owner})
