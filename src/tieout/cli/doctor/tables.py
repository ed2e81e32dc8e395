"""What stands in tieout's tables: whether they are this version's, and what is late, held or open in them."""

from __future__ import annotations

from tieout.app import App
from tieout.cli.doctor.finding import Check, Finding
from tieout.cli.printing import age
from tieout.cli.where import server_now
from tieout.contracts import Transaction
from tieout.database import migrate
from tieout.errors import SchemaMismatch
from tieout.process.store import Overdue, StoredState

LATE = 60_000_000
"""Microseconds by which a process must be overdue to be called late: many times a sweep's pause."""


async def migrations(app: App) -> Finding:
    """Whether the tables are exactly those of this version."""
    try:
        pending = await migrate.plan(app.database)
    except SchemaMismatch as error:
        return Finding("migrations", "wrong", str(error), "deploy the code that these tables belong to")
    if not pending:
        return Finding("migrations", "ok", "the tables are those of this version")
    found = f"not applied: {', '.join(map(str, pending))}"
    return Finding("migrations", "wrong", found, "run `tieout migrate`; `--plan` shows what it would do")


async def code(app: App) -> Finding:
    """Whether this App has every type, version and state that stored processes stand at."""
    if not app.types:
        return Finding("code", "note", "not compared: name the App instead of its database to compare it")
    strange = [state for state in await _states(app) if not _is_known(app, state)]
    if not strange:
        return Finding("code", "ok", "this code knows every state that a process stands at")
    told = ", ".join(f"{s.processes} of {s.type} {s.version} at {s.state}" for s in strange)
    mend = "deploy the code that these belong to; `tieout process check` names them"
    return Finding("code", "wrong", f"this code does not know: {told}", mend)


async def overdue(app: App) -> Finding:
    """Whether every lane is worked on: a process that is late is one that no worker claims."""
    types = sorted({state.type for state in await _states(app)})

    async def work(tx: Transaction) -> list[Overdue]:
        return await app.store.overdue(tx, types, LATE)

    late = await app.database.read(work) if types else []
    if not late:
        return Finding("overdue", "ok", f"no process is more than {LATE // 1_000_000} s late")
    now = await server_now(app)
    told = ", ".join(f"{lane.processes} in {lane.lane}, by {age(now - lane.oldest)}" for lane in late)
    mend = (
        "run a worker: `tieout worker module:app`; if one runs, its log says why it claims nothing: "
        "its code lacks the type, or the downstream of the lane is down"
    )
    return Finding("overdue", "wrong", f"late: {told}", mend)


async def held(app: App) -> Finding:
    """Processes that wait for a person."""
    states = [state for state in await _states(app) if state.status == "held"]
    if not states:
        return Finding("held", "ok", "no process waits for a person")
    told = ", ".join(f"{state.processes} of {state.type} at {state.state}" for state in states)
    mend = "`tieout process list --status held`, then `tieout process show`, and settle or resume each"
    return Finding("held", "wrong", f"wait for a person: {told}", mend)


async def alarms(app: App) -> Finding:
    """Alarms that nobody has acknowledged."""
    counts = await app.database.read(app.alarms.store.counts)
    unseen = [count for count in counts if count.state == "open"]
    seen = sum(count.alarms for count in counts if count.state == "acknowledged")
    if not unseen:
        return Finding("alarms", "note" if seen else "ok", f"none is open, {seen} acknowledged")
    now = await server_now(app)
    told = ", ".join(f"{count.alarms} {count.kind}, since {age(now - count.oldest)}" for count in unseen)
    mend = "`tieout alarm list --state open`, then `tieout alarm show`"
    return Finding("alarms", "wrong", f"open: {told}; {seen} acknowledged", mend)


async def _states(app: App) -> list[StoredState]:
    return await app.database.read(app.store.stored_states)


def _is_known(app: App, state: StoredState) -> bool:
    known = app.types.get(state.type)
    return known is not None and state.version <= known.version and state.state in known.states


CHECKS: tuple[Check, ...] = (code, overdue, held, alarms)
"""What is looked at once the tables are there."""
