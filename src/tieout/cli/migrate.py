"""`tieout migrate`: bring the tables up to date."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from tieout.app import App
from tieout.cli.printing import SWITCH, Json, emit, say
from tieout.cli.where import ANYWHERE, Place, Where, found
from tieout.database import migrate as migrating


async def migrate(
    place: Annotated[Place, Parameter(help="module:app or a database URL; the same as --app or --db.")] = None,
    /,
    *,
    plan: Annotated[bool, SWITCH, Parameter(help="Only say what would be applied.")] = False,
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """Bring tieout's tables up to date. Several nodes may do so at once; each migration is whole or absent."""
    async with found(where.at(place), creates=not plan) as app:
        await app.database.open()
        try:
            names = await (_planned(app) if plan else _applied(app, aloud=not json))
        finally:
            await app.database.close()
    if json:
        emit({"planned" if plan else "applied": names})
    elif not names:
        say("The tables are up to date.")
    elif plan:
        say("\n".join(names))


async def _planned(app: App) -> list[str]:
    return [str(migration) for migration in await migrating.plan(app.database)]


async def _applied(app: App, *, aloud: bool) -> list[str]:
    done = await migrating.migrate(app.database, (lambda name: say(f"applied {name}")) if aloud else None)
    return [str(migration) for migration in done]
