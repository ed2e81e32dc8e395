"""The named statements of the alarm and audit stores, each as a function over the model's tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.simulation.model_database import ModelTransaction, Result, StatementFunction

ALARM, EVIDENCE, AUDIT, HEAD = "tieout_alarm", "tieout_evidence", "tieout_audit", "tieout_audit_head"
EVENT = "tieout_alarm_event"
TABLES = (ALARM, EVIDENCE, AUDIT, HEAD, EVENT)

COLUMNS = (
    *("id", "kind", "object", "process", "severity", "state", "summary", "count", "first_at", "last_at"),
    *("wish", "resolution", "note", "resolved_by", "resolved_at"),
    *("owner", "snoozed_until", "escalation", "opened_at", "parent", "lane"),
)

Params = Mapping[str, Any]


def raise_alarm(tx: ModelTransaction, now: int, p: Params) -> Result:
    key = p["id"]
    tx.wait_out(ALARM, key)
    before = tx.see(ALARM, key)
    if before is not None:
        tx.write(ALARM, key, {**before, "count": before["count"] + 1, "last_at": now})
        return [(before["count"] + 1,)]
    new = {column: p.get(column) for column in COLUMNS}
    times = {"first_at": now, "last_at": now, "opened_at": now}
    tx.write(ALARM, key, {**new, **times, "state": "open", "count": 1, "escalation": 0})
    return [(1,)]


def add_evidence(tx: ModelTransaction, now: int, p: Params) -> Result:
    key = (p["alarm"], p["digest"])
    kept = sum(values["alarm"] == p["alarm"] for _, values in tx.seen(EVIDENCE))
    if kept >= p["limit"] and tx.see(EVIDENCE, key) is None:
        return []
    tx.wait_out(EVIDENCE, key)
    before = tx.see(EVIDENCE, key)
    new = {"alarm": p["alarm"], "digest": p["digest"], "at": now, "count": 0, "body": p["body"]}
    after = before or new
    tx.write(EVIDENCE, key, {**after, "count": after["count"] + 1})
    return [(after["count"] + 1,)]


def read_alarm(tx: ModelTransaction, now: int, p: Params) -> Result:
    values = tx.see(ALARM, p["id"])
    return [] if values is None else [tuple(values[column] for column in COLUMNS)]


def evidence_of(tx: ModelTransaction, now: int, p: Params) -> Result:
    found = [values for _, values in tx.seen(EVIDENCE) if values["alarm"] == p["alarm"]]
    found.sort(key=lambda values: (values["at"], values["digest"]))
    return [(values["digest"], values["at"], values["count"], values["body"]) for values in found]


def resolve_alarm(tx: ModelTransaction, now: int, p: Params) -> Result:
    values = tx.see(ALARM, p["id"])
    if values is None or values["state"] == "resolved":
        return 0
    said = {name: p[name] for name in ("resolution", "note", "resolved_by")}
    gone = dict.fromkeys(("wish", "snoozed_until", "parent"))
    tx.write(ALARM, p["id"], {**values, **said, **gone, "state": "resolved", "resolved_at": now})
    return 1


def record_wish(tx: ModelTransaction, now: int, p: Params) -> Result:
    values = tx.see(ALARM, p["id"])
    if values is None:
        return 0
    state = "open" if values["state"] == "resolved" else values["state"]
    tx.write(ALARM, p["id"], {**values, "wish": p["wish"], "state": state})
    return 1


def reopen_alarm(tx: ModelTransaction, now: int, p: Params) -> Result:
    values = tx.see(ALARM, p["id"])
    if values is None or values["state"] != "resolved":
        return 0
    tx.write(ALARM, p["id"], {**values, "state": "open", "wish": None, "escalation": 0, "opened_at": now})
    return 1


def wake_alarm(tx: ModelTransaction, now: int, p: Params) -> Result:
    return 0  # nobody snoozes here


def look_at_folded(tx: ModelTransaction, now: int, p: Params) -> Result:
    return 0  # nobody folds here


def add_alarm_event(tx: ModelTransaction, now: int, p: Params) -> Result:
    tx.write(EVENT, (id(tx), len(tx.database.tables[EVENT])), {**p, "at": now})
    return 1


def lock_audit_head(tx: ModelTransaction, now: int, p: Params) -> Result:
    tx.wait_out(HEAD, 1)
    head = tx.see(HEAD, 1) or {"number": 0, "digest": bytes(32)}
    tx.write(HEAD, 1, head)
    return [(head["number"], head["digest"], 0, now)]


def move_audit_head(tx: ModelTransaction, now: int, p: Params) -> Result:
    head = tx.see(HEAD, 1)
    if head is None or head["number"] != p["number"] - 1:
        return 0
    tx.write(HEAD, 1, dict(p))
    return 1


def add_audit(tx: ModelTransaction, now: int, p: Params) -> Result:
    tx.write(AUDIT, p["number"], dict(p))
    return 1


STATEMENTS: dict[str, StatementFunction] = {
    function.__name__: function
    for function in (
        *(raise_alarm, add_evidence, read_alarm, evidence_of, resolve_alarm, reopen_alarm, record_wish),
        *(wake_alarm, look_at_folded, add_alarm_event),
        *(lock_audit_head, add_audit, move_audit_head),
    )
}
