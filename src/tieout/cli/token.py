"""`tieout token`: who may use the HTTP API."""

from __future__ import annotations

from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter

from tieout.access.engine import Tokens
from tieout.access.store import Token
from tieout.app import App
from tieout.cli.printing import Json, ago, emit, note, say, table
from tieout.cli.where import ANYWHERE, Where, opened, server_now
from tieout.cli.who import Who
from tieout.config import iso, microseconds
from tieout.documents import iso_or_none
from tieout.errors import UnknownToken
from tieout.identity import hex_id

commands = cyclopts.App(name="token", help="Who may use the HTTP API: create, list, revoke tokens.")


@commands.command
async def create(
    owner: Annotated[str, Parameter(help="Whose it is: what it starts has keys apart from every other owner's.")],
    /,
    *,
    role: Annotated[
        list[str],
        Parameter(negative="", help="client, viewer, operator, approver, admin, metrics."),
    ],
    expires: Annotated[str, Parameter(help="How long it counts: 90d; at most 366d.")] = "90d",
    note: Annotated[str, Parameter(name="--note", help="What it is for.")] = "",
    who: Who,
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """Create a token. It is shown once, and stored nowhere: only its digest is."""
    async with opened(where) as app:
        made = await _tokens(app).create(
            owner, tuple(role), lifetime=microseconds(expires), note=note, actor=who.act.actor, reason=who.reason
        )
    if json:
        emit({**_document(made.token), "token": made.text})
    else:
        say(made.text)
        _tell_once(made.token)


@commands.command(name="list")
async def list_tokens(*, where: Where = ANYWHERE, json: Json = False) -> None:
    """List tokens, the oldest first, without their secrets; with --json, one document a line."""
    async with opened(where) as app:
        tokens, now = await _every(app), await server_now(app)
    if json:
        for token in tokens:
            emit(_document(token))
        return
    rows = [
        (
            token.id.hex(),
            token.owner,
            token.roles,
            _state(token),
            ago(token.expires, now),
            ago(token.used, now) or "never",
            token.note,
        )
        for token in tokens
    ]
    table(("id", "owner", "roles", "state", "expires", "used", "note"), rows)


@commands.command
async def revoke(
    id: Annotated[str, Parameter(help="The token's id, 12 hex digits: see `tieout token list`.")],
    /,
    *,
    who: Who,
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """Let a token count no more; every node knows within two seconds."""
    async with opened(where) as app:
        token = await _tokens(app).revoke(token_id(id), actor=who.act.actor, reason=who.reason)
    if json:
        emit(_document(token))
    else:
        say(f"{id} revoked")


def token_id(text: str) -> bytes:
    """The bytes of a token's id; raise `UnknownToken` for what cannot be one."""
    return hex_id(text, UnknownToken("a token's id is 12 hex digits: see `tieout token list`"), size=6)


def _tokens(app: App) -> Tokens:
    return Tokens(app.database, app.operate.audit, app.engine.world.clock)


async def _every(app: App) -> list[Token]:
    tokens: list[Token] = []
    after, after_id = -1, b""
    while page := await _tokens(app).list(after=after, after_id=after_id):
        tokens += page
        after, after_id = page[-1].created, page[-1].id
    return tokens


def _state(token: Token) -> str:
    if token.revoked is not None:
        return "revoked"
    return "valid" if token.is_valid else "expired"


def _document(token: Token) -> dict[str, Any]:
    return {
        "id": token.id.hex(),
        "owner": token.owner,
        "roles": token.roles.split(),
        "state": _state(token),
        "note": token.note,
        "created": iso(token.created),
        "expires": iso(token.expires),
        "used": iso_or_none(token.used),
        "revoked": iso_or_none(token.revoked),
    }


def _tell_once(token: Token) -> None:
    note(f"This is shown once. It is {token.owner}'s, may act as {token.roles}, and counts until {iso(token.expires)}.")
