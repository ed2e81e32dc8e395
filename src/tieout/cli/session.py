"""`tieout session`: people who have logged in to the HTTP API."""

from __future__ import annotations

from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter

from tieout.access import Sessions
from tieout.access.store import Session
from tieout.app import App
from tieout.cli.printing import Json, ago, emit, say, table
from tieout.cli.where import ANYWHERE, Where, opened, server_now
from tieout.cli.who import Who
from tieout.config import iso
from tieout.errors import ConfigError, UnknownSession

commands = cyclopts.App(name="session", help="People who have logged in to the HTTP API: list and end their sessions.")

FOR_EVER = 1 << 62
"""Microseconds that a session may go unused, where the settings of the nodes are not known."""


@commands.command(name="list")
async def list_sessions(
    *,
    name: Annotated[str, Parameter(help="Only those of this person, as the audit calls them: user:ann.")] = "",
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """List sessions that were not ended, the oldest first; with --json, one document a line."""
    async with opened(where) as app:
        found, now = await _sessions(app).list(name), await server_now(app)
    if json:
        for session in found:
            emit(_document(session))
        return
    rows = [
        (session.id.hex()[:12], session.name, session.roles, ago(session.created, now), ago(session.used, now))
        for session in found
    ]
    table(("id", "name", "roles", "began", "used"), rows)


@commands.command
async def end(
    id: Annotated[str, Parameter(help="The session's id, 12 hex digits or more: see `tieout session list`.")] = "",
    /,
    *,
    all_of: Annotated[str, Parameter(help="All sessions of this person instead, as the audit calls them.")] = "",
    who: Who,
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """End a session, or all of one person: they count no more on any node within two seconds."""
    if bool(id) == bool(all_of):
        raise ConfigError("name a session, or --all-of a person")
    async with opened(where) as app:
        sessions = _sessions(app)
        found = [one for one in await sessions.list(all_of) if all_of or _is(one, id)]
        if not found:
            raise UnknownSession("there is no such session: see `tieout session list`")
        for session in found:
            await sessions.end(session.id, actor=who.act.actor, reason=who.reason)
            if json:
                emit(_document(session))
            else:
                say(f"{session.id.hex()[:12]} of {session.name} ended")


def _is(session: Session, id: str) -> bool:
    return len(id) >= 12 and session.id.hex().startswith(id)


def _sessions(app: App) -> Sessions:
    return Sessions(app.database, app.operate.audit, app.engine.world.clock, FOR_EVER)


def _document(session: Session) -> dict[str, Any]:
    return {
        "id": session.id.hex(),
        "name": session.name,
        "roles": session.roles.split(),
        "created": iso(session.created),
        "used": iso(session.used),
        "expires": iso(session.expires),
    }
