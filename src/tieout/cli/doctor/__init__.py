"""`tieout doctor`: what would lose data or stall, and how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from tieout.app import App
from tieout.cli import exits
from tieout.cli.doctor import machine, mysql, postgres, sqlite, tables
from tieout.cli.doctor.finding import Check, Finding, examine
from tieout.cli.printing import Json, emit, say, table
from tieout.cli.where import ANYWHERE, Place, Where, found
from tieout.errors import DatabaseError

OF_DIALECT: dict[str, Sequence[Check]] = {
    "mysql": mysql.CHECKS,
    "postgres": postgres.CHECKS,
    "sqlite": sqlite.CHECKS,
}

MEND_CONNECTION = "check the host, port, user and database of the URL, and that the server runs and takes writes"


async def doctor(
    place: Annotated[Place, Parameter(help="module:app or a database URL; the same as --app or --db.")] = None,
    /,
    *,
    where: Where = ANYWHERE,
    json: Json = False,
) -> int:
    """Connect, and say what would lose data or stall, and how to mend it; exit 1 when something is wrong."""
    async with found(where.at(place)) as app:
        findings = await _findings(app)
    healthy = all(finding.level != "wrong" for finding in findings)
    if json:
        emit({"healthy": healthy, "findings": findings})
    else:
        table(("", "CHECK", "FOUND"), ((finding.level, finding.name, finding.found) for finding in findings))
        for finding in findings:
            if finding.mend:
                say(f"\n{finding.name}: {finding.mend}")
    return exits.OK if healthy else exits.NO


async def _findings(app: App) -> list[Finding]:
    try:
        await app.database.open()
    except DatabaseError as error:
        return [Finding("connection", "wrong", f"[{error.code}] {error}", MEND_CONNECTION)]
    try:
        findings = [Finding("connection", "ok", f"connected ({app.database.dialect})")]
        findings += await examine(app, [*OF_DIALECT[app.database.dialect], machine.clock, tables.migrations])
        if findings[-1].level == "ok":
            findings += await examine(app, tables.CHECKS)
    finally:
        await app.database.close()
    return findings
