"""Engines that are wrong on purpose: each must be caught, or the simulation is too kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.simulation.model_database import ModelTransaction, Result
from tests.simulation.model_statements import PROCESS, overwrite
from tieout.process.calls import Calls
from tieout.process.engine import Engine
from tieout.process.outcomes import Failed, NotFound, Unknown


def _trust_timeout(engine: Engine) -> None:
    """A call that timed out is taken for one that failed."""
    calls: Calls = engine.calls
    send = calls.send

    async def trusting(*args: Any) -> Any:
        outcome = await send(*args)
        timed_out = isinstance(outcome, Unknown) and outcome.reason == "timed out"
        return Failed("timed-out") if timed_out else outcome

    calls.send = trusting


def _save_without_fence(tx: ModelTransaction, now: int, p: Mapping[str, Any]) -> Result:
    values = tx.see(PROCESS, p["id"])
    return 0 if values is None else overwrite(tx, now, p, values)


def _send_without_a_mark(engine: Engine) -> None:
    """A call whose downstream does not know repeats is sent without a mark that says so."""

    async def unmarked(record: Any, entry: Any, call: Any) -> Any:
        return record, entry

    engine.calls.mark_sent = unmarked


def _send_past_the_lease(engine: Engine) -> None:
    """Nobody asks whether the lease has run out before sending."""
    engine.calls.has_lease = lambda *_: True


def _believe_not_found(engine: Engine) -> None:
    """A query that finds nothing is taken for a failure."""
    query = engine.calls.query

    async def believing(*args: Any) -> Any:
        outcome = await query(*args)
        return Failed("not-found") if isinstance(outcome, NotFound) else outcome

    engine.calls.query = believing


def _raise_alarm_never(engine: Engine) -> None:
    """Conflicts are found and not told."""

    class Mute:
        async def raise_alarm(self, tx: Any, alarm: Any) -> bool:
            return alarm.kind != "conflict" and await alarms.raise_alarm(tx, alarm)

    alarms = engine.world.alarms
    engine.world.alarms = Mute()


def _run_the_step_apart(engine: Engine) -> None:
    """A step's business writes are committed before the process moves, in a transaction of their own."""
    run_next = engine.moving._run_next  # noqa: SLF001 - the mutation is about what stands inside

    async def apart(tx: Any, *args: Any) -> Any:
        receipt = await run_next(tx, *args)
        for _, slot, _, _ in tx.writes:
            if slot.writer is tx and slot.committed is None:
                slot.committed = slot.pending
        return receipt

    engine.moving._run_next = apart  # noqa: SLF001 - the mutation is about what stands inside


def _sound(engine: Engine) -> None:
    """The engine as it is."""


MUTANTS: dict[str, tuple[Callable[[Any], None], dict[str, Any]]] = {
    "": (_sound, {}),
    "trust-timeout": (_trust_timeout, {}),
    "no-fence": (_sound, {"save_process": _save_without_fence}),
    "no-mark": (_send_without_a_mark, {}),
    "no-lease": (_send_past_the_lease, {}),
    "believes-not-found": (_believe_not_found, {}),
    "mute": (_raise_alarm_never, {}),
    "two-transactions": (_run_the_step_apart, {}),
}
"""Each has a change of every node's engine, and statements of the model in place of the true ones."""

REQUIRED = ("trust-timeout", "no-fence")
