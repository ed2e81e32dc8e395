"""What the statements of the process store do otherwise on MySQL and MariaDB, over the same model.

InnoDB finds a row by its id, waits for whoever has changed it, and only then looks at the rest of the `WHERE`. And no
UPDATE returns rows: a claim asks which lanes have anything due, locks the rows of each, and writes them in further
statements of its transaction.
"""

from __future__ import annotations

from typing import Any

from tests.simulation import model_statements
from tests.simulation.model_database import ModelTransaction, Result, StatementFunction
from tests.simulation.model_statements import COLUMNS, PROCESS, Params


class Row(tuple[Any, ...]):
    """A row that is read by the names of its columns too."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(COLUMNS.index(key) if isinstance(key, str) else key)


def lanes_due(tx: ModelTransaction, now: int, p: Params) -> Result:
    rows = (row for _, row in tx.seen(PROCESS) if row["due"] is not None and p["low"] <= row["due"] <= now)
    return [(lane,) for lane in sorted({row["lane"] for row in rows})]


def claim_processes(tx: ModelTransaction, now: int, p: Params) -> Result:
    rows = []
    for key, values in model_statements.claimable(tx, now, p):
        tx.write(PROCESS, key, values)  # locked as it is
        rows.append(Row(model_statements.row_of(model_statements.claimed(values, now + p["lease"]), now)))
    return rows


def lease_process(tx: ModelTransaction, now: int, p: Params) -> Result:
    values = tx.see(PROCESS, p["id"])
    if values is None:
        return 0
    tx.write(PROCESS, p["id"], model_statements.claimed(values, p["due"]))
    tx.grant(p["id"], p["due"] - now)
    return 1


def _after_waiting(statement: StatementFunction) -> StatementFunction:
    def run(tx: ModelTransaction, now: int, p: Params) -> Result:
        tx.wait_out(PROCESS, p["id"])
        return statement(tx, now, p)

    return run


WAITING = ("save_process", "postpone_process", "hasten_process", "count_duplicate")

STATEMENTS: dict[str, StatementFunction] = {
    **{name: _after_waiting(model_statements.STATEMENTS[name]) for name in WAITING},
    **{function.__name__: function for function in (lanes_due, claim_processes, lease_process)},
}
"""The statements that are others there, by their names."""
