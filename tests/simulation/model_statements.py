"""The named statements of the process store, each as a function over the model's tables.

One function for each statement that the engine's ways on, its operators and retention use. The conformance suite
holds them to the SQL of the same names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.simulation.model_database import ModelTransaction, Result, StatementFunction, Values
from tieout.errors import ConstraintViolation
from tieout.process.record import Record

PROCESS, STRAY, CHILD, RECALL = "tieout_process", "tieout_stray", "tieout_child", "tieout_recall"
TABLES = (PROCESS, STRAY, CHILD, RECALL)

COLUMNS = Record.__struct_fields__[: Record.__struct_fields__.index("now")]
_SAVED = (
    *("state", "status", "lane", "params", "snapshots", "calls", "trail", "result", "note", "attempts", "errors"),
    "wish",
)

Params = Mapping[str, Any]


def _after(now: int, delay: int | None) -> int | None:
    return None if delay is None else now + delay


def row_of(values: Values, now: int) -> tuple[Any, ...]:
    return (*(values[column] for column in COLUMNS), now)


def _checked(values: Values) -> Values:
    if (values["due"] is not None) != (values["status"] == "running"):
        raise ConstraintViolation("a process has a due time exactly while it runs")
    return values


def insert_process(tx: ModelTransaction, now: int, p: Params) -> Result:
    key = p["id"]
    tx.wait_out(PROCESS, key)
    if tx.see(PROCESS, key) is not None:
        tx.database.weather.saw("start found its id taken")
        return []
    values = {column: p.get(column) for column in COLUMNS}
    values |= {"fence": 1, "trail": "[]", "attempts": 0, "errors": 0, "duplicates": 0, "created": now, "changed": now}
    values |= {"due": _after(now, p["due_in"]), "deadline": _after(now, p["deadline_in"])}
    tx.write(PROCESS, key, _checked(values))
    tx.grant(key, p["due_in"])
    return [(now,)]


def read_process(tx: ModelTransaction, now: int, p: Params) -> Result:
    values = tx.see(PROCESS, p["id"])
    return [] if values is None else [row_of(values, now)]


def save_process(tx: ModelTransaction, now: int, p: Params) -> Result:
    values = tx.see(PROCESS, p["id"])
    if values is None or values["fence"] != p["fence"]:
        tx.database.weather.saw("lost compare-and-set")
        return 0
    return overwrite(tx, now, p, values)


def overwrite(tx: ModelTransaction, now: int, p: Params, values: Values) -> int:
    """What `save_process` does to the row that it has found."""
    changed = {name: p[name] for name in _SAVED}
    due = _after(now, p["due_in"])
    after = {**values, **changed, "fence": p["fence"] + 1, "due": due, "changed": now}
    tx.write(PROCESS, p["id"], _checked(after))
    tx.grant(p["id"], p["due_in"])
    return 1


def postpone_process(tx: ModelTransaction, now: int, p: Params) -> Result:
    values = tx.see(PROCESS, p["id"])
    if values is None or values["fence"] != p["fence"] or values["status"] != "running":
        return 0
    tx.write(PROCESS, p["id"], {**values, "due": now + p["due_in"], "note": p["note"]})
    tx.grant(p["id"], p["due_in"])
    return 1


def hasten_process(tx: ModelTransaction, now: int, p: Params) -> Result:
    values = tx.see(PROCESS, p["id"])
    if values is None or values["status"] != "running" or values["due"] <= now:
        return 0
    tx.write(PROCESS, p["id"], {**values, "due": now})
    return 1


def count_duplicate(tx: ModelTransaction, now: int, p: Params) -> Result:
    values = tx.see(PROCESS, p["id"])
    if values is None:
        return 0
    tx.write(PROCESS, p["id"], {**values, "duplicates": values["duplicates"] + 1})
    return 1


def claimable(tx: ModelTransaction, now: int, p: Params) -> Iterator[tuple[bytes, Values]]:
    """The rows of a claim: of each lane the first that are due and that nobody has locked, at most its share."""
    versions = dict(zip(p["types"], p["versions"], strict=True))
    for lane in p["lanes"]:
        due = [
            (values["due"], key, values)
            for key, values in tx.seen(PROCESS)
            if values["lane"] == lane
            and values["due"] is not None
            and p["low"] <= values["due"] <= now
            and versions.get(values["type"], 0) >= values["version"]
        ]
        due.sort(key=lambda found: found[:2])
        free = [(key, values) for _, key, values in due if not tx.is_locked(PROCESS, key)]
        if len(free) < min(len(due), p["share"]):
            tx.database.weather.saw("claim passed over a locked row")
        yield from free[: p["share"]]


def claim_processes(tx: ModelTransaction, now: int, p: Params) -> Result:
    rows = []
    for key, values in claimable(tx, now, p):
        after = claimed(values, now + p["lease"])
        tx.write(PROCESS, key, after)
        tx.grant(key, p["lease"])
        rows.append(row_of(after, now))
    return rows


def lanes_in_use(tx: ModelTransaction, now: int, p: Params) -> Result:
    return [(lane,) for lane in sorted({row["lane"] for _, row in tx.seen(PROCESS) if row["due"] is not None})]


def claimed(values: Values, due: int) -> Values:
    """A row after somebody has claimed it until `due`."""
    return {**values, "due": due, "fence": values["fence"] + 1, "attempts": values["attempts"] + 1}


def server_time(tx: ModelTransaction, now: int, p: Params) -> Result:
    return [(now,)]


def finals_to_retire(tx: ModelTransaction, now: int, p: Params) -> Result:
    before = now - p["age"]
    found = [
        values
        for _, values in tx.seen(PROCESS)
        if values["created"] < before
        and values["changed"] < before
        and values["status"] == "final"
        and values["created"] >= p["since"]
    ]
    found.sort(key=lambda values: values["created"])
    return [row_of(values, now) for values in found[: p["limit"]]]


def keep_stray(tx: ModelTransaction, now: int, p: Params) -> Result:
    if sum(1 for _ in tx.seen(STRAY)) >= p["limit"]:
        return 0
    key = (p["call_key"], p["digest"])
    tx.wait_out(STRAY, key)
    if tx.see(STRAY, key) is not None:
        return 0
    tx.write(STRAY, key, {"call_key": p["call_key"], "digest": p["digest"], "at": now, "body": p["body"]})
    return 1


def strays_of(tx: ModelTransaction, now: int, p: Params) -> Result:
    found = [values for _, values in tx.seen(STRAY) if values["call_key"] == p["call_key"]]
    found.sort(key=lambda values: values["at"])
    return [tuple(values.values()) for values in found]


def add_child(tx: ModelTransaction, now: int, p: Params) -> Result:
    key = (p["parent"], p["child"])
    tx.wait_out(CHILD, key)
    if tx.see(CHILD, key) is not None:
        return 0
    tx.write(CHILD, key, {**p, "state": "pending", "final": None, "result": None})
    return 1


def _children(tx: ModelTransaction, parent: bytes, *states: str) -> list[Values]:
    found = [row for _, row in tx.seen(CHILD) if row["parent"] == parent and row["state"] in states]
    return sorted(found, key=lambda row: row["n"])


def pending_children(tx: ModelTransaction, now: int, p: Params) -> Result:
    found = _children(tx, p["parent"], "pending")[: p["limit"]]
    return [(row["child"], row["type"], row["params"]) for row in found]


def child_started(tx: ModelTransaction, now: int, p: Params) -> Result:
    return _end_pending(tx, p, {"state": "started"})


def child_refused(tx: ModelTransaction, now: int, p: Params) -> Result:
    return _end_pending(tx, p, {"state": "ended", "final": "refused", "result": p["result"]})


def _end_pending(tx: ModelTransaction, p: Params, change: Values) -> int:
    key = (p["parent"], p["child"])
    row = tx.see(CHILD, key)
    if row is None or row["state"] != "pending":
        return 0
    tx.write(CHILD, key, {**row, **change})
    return 1


def fold_children(tx: ModelTransaction, now: int, p: Params) -> Result:
    folded = 0
    for row in _children(tx, p["parent"], "started"):
        child = tx.see(PROCESS, row["child"])
        if child is not None and child["status"] in ("final", "retired"):
            ended = {"state": "ended", "final": child["state"], "result": child["result"]}
            tx.write(CHILD, (row["parent"], row["child"]), {**row, **ended})
            folded += 1
    return folded


def open_children(tx: ModelTransaction, now: int, p: Params) -> Result:
    return [(len(_children(tx, p["parent"], "pending", "started")),)]


def ended_children(tx: ModelTransaction, now: int, p: Params) -> Result:
    found = _children(tx, p["parent"], "ended")
    return [(row["child"], row["type"], row["final"], row["result"]) for row in found]


def forget_children(tx: ModelTransaction, now: int, p: Params) -> Result:
    found = _children(tx, p["parent"], "pending", "started", "ended")
    for row in found:
        tx.write(CHILD, (row["parent"], row["child"]), None)
    return len(found)


def recall(tx: ModelTransaction, now: int, p: Params) -> Result:
    row = tx.see(RECALL, (p["process"], p["name"]))
    return [] if row is None else [(row["value"],)]


def keep_recall(tx: ModelTransaction, now: int, p: Params) -> Result:
    key = (p["process"], p["name"])
    tx.wait_out(RECALL, key)
    if tx.see(RECALL, key) is not None:
        return 0
    tx.write(RECALL, key, dict(p))
    return 1


def forget_recalls(tx: ModelTransaction, now: int, p: Params) -> Result:
    found = [key for key, row in tx.seen(RECALL) if row["process"] == p["process"]]
    for key in found:
        tx.write(RECALL, key, None)
    return len(found)


STATEMENTS: dict[str, StatementFunction] = {
    function.__name__: function
    for function in (
        *(insert_process, read_process, save_process, postpone_process, hasten_process, count_duplicate),
        *(claim_processes, lanes_in_use, server_time, finals_to_retire, keep_stray, strays_of),
        *(add_child, pending_children, child_started, child_refused, fold_children, open_children, ended_children),
        *(forget_children, recall, keep_recall, forget_recalls),
    )
}
"""Every statement that the model knows, by its name."""
