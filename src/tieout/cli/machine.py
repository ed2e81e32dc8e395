"""`tieout process graph` and `check`: process types as the code has them, and stored processes held against it."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from tieout.app import App
from tieout.cli import exits
from tieout.cli.printing import Json, emit, say, table
from tieout.cli.where import ANYWHERE, Place, Where, found, opened
from tieout.errors import ConfigError
from tieout.process import graph as drawing
from tieout.process.process_type import ProcessType

Form = Literal["text", "mermaid", "dot"]

APP = "module:app, the same as --app."

DRAW = {"text": drawing.text, "mermaid": drawing.mermaid, "dot": drawing.dot}


async def graph(
    place: Annotated[str | None, Parameter(help=APP)] = None,
    name: Annotated[str | None, Parameter(help="The process type; may be left out when there is one.")] = None,
    /,
    *,
    form: Annotated[Form, Parameter(name="--format", help="How it is drawn.")] = "text",
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """Draw the machine of a process type. Needs the App, and no database."""
    if place is not None and name is None and ":" not in place:
        place, name = None, place
    async with found(where.at(place), code=True) as app:
        chosen = _chosen(app, name)
    if json:
        edges = [edge._asdict() for edge in drawing.edges(chosen)]
        emit({"type": chosen.name, "version": chosen.version, "finals": list(chosen.finals), "edges": edges})
    else:
        say(DRAW[form](chosen).rstrip("\n"))


async def check(
    place: Annotated[Place, Parameter(help=APP)] = None, /, *, where: Where = ANYWHERE, json: Json = False
) -> int:
    """Decode every process that is not final with this code; exit 1 if it could not carry one on.

    Run it before a deployment, with the new code. Needs the App.
    """
    async with opened(where.at(place), code=True) as app:
        problems = await drawing.check(app.database, app.store, app.types)
    if json:
        for problem in problems:
            emit(problem._asdict())
    elif problems:
        table(("PROCESS", "TYPE", "STATE", "WHY"), problems)
    else:
        say("This code can carry on every process that is not final.")
    return exits.NO if problems else exits.OK


def _chosen(app: App, name: str | None) -> ProcessType:
    if name is None and len(app.types) == 1:
        return next(iter(app.types.values()))
    if name not in app.types:
        known = ", ".join(sorted(app.types)) or "none"
        raise ConfigError(f"name a process type of this App: {known}" + (f"; not {name!r}" if name else ""))
    return app.types[name]
