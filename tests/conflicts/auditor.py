"""Compares what was alarmed with what was planted: reads tables and the plan, and asks nothing of the engine."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

Evidence = list[dict[str, Any]]


def audited(looking: sqlite3.Connection, written: bytes) -> list[str]:
    """What is wrong."""
    plan: dict[str, dict[str, Any]] = {case["key"]: case for case in json.loads(written)}
    found = dict(looking.execute("SELECT CAST(request_key AS TEXT), lower(hex(id)) FROM tieout_process"))
    wrong = [f"{key} is not there" for key in plan.keys() - found.keys()]
    return wrong + list(alarms(looking, plan, {one: key for key, one in found.items()})) + list(states(looking, plan))


def alarms(looking: sqlite3.Connection, plan: dict[str, Any], keys: dict[str, str]) -> Iterator[str]:
    """What is wrong with the alarms: one for each contradiction, with both claims, and none else."""
    evidence: dict[bytes, Evidence] = {}
    for alarm, body in looking.execute("SELECT alarm, body FROM tieout_evidence ORDER BY rowid"):
        evidence.setdefault(alarm, []).append(json.loads(body))
    told: dict[str, int] = {}
    for alarm, kind, about, count in looking.execute("SELECT id, kind, object, count FROM tieout_alarm"):
        if kind == "unknown-call":
            continue  # of what was said before the start
        if kind != "conflict":
            yield f"an alarm of kind {kind} about {about}"
            continue
        key = keys[about.partition(":")[0]]
        told[key] = told.get(key, 0) + count
        if plan[key]["conflict"]:
            yield from both_claims(plan[key], evidence.get(alarm, []))
    for key, case in plan.items():
        if told.get(key, 0) != case["conflict"]:
            yield f"{key}: {told.get(key, 0)} alarms of {case['what']!r} ({describe(case)})"


def both_claims(case: dict[str, Any], evidence: Evidence) -> Iterator[str]:
    """What is missing of the evidence."""
    claims = [piece for piece in evidence if "kind" in piece]
    if may_stand_alone(case, evidence) and len(claims) == 1 and says(claims[0], case["second"]):
        return
    for which in ("first", "second"):
        claim = case[which]
        if not any(says(piece, claim) for piece in claims):
            yield f"{case['key']}: the {which} claim of {case['what']!r} is no evidence ({describe(case)})"
    if len(claims) != 2:
        yield f"{case['key']}: {len(claims)} claims are evidence ({describe(case)})"


def may_stand_alone(case: dict[str, Any], evidence: Evidence) -> bool:
    """Whether the second claim may be all that there was: it contradicted what was sent before the first had come."""
    return case["moment"] == "while open" and "article" in case["what"] and any("sent" in piece for piece in evidence)


def says(piece: dict[str, Any], claim: dict[str, Any]) -> bool:
    """Whether a piece of evidence is this claim. Of a retired process only the kind of the first claim is left."""
    if piece["kind"] != claim["kind"]:
        return False
    if claim["kind"] == "failed":
        return piece.get("code") == claim["said"]
    return piece.get("value") is None or piece["value"]["code"] == claim["said"]["code"]


def states(looking: sqlite3.Connection, plan: dict[str, Any]) -> Iterator[str]:
    """What is wrong with how the processes ended: as their first claim says, whatever came later."""
    ends = {"succeeded": "completed", "failed": "refunded"}
    rows = looking.execute("SELECT CAST(request_key AS TEXT), status, state FROM tieout_process")
    for key, status, state in rows:
        case = plan[key]
        allowed = {ends[case["first"]["kind"]]}
        if case["moment"] == "while open":  # whichever of the two was quicker
            allowed.add(ends[case["second"]["kind"]])
        if status not in ("final", "retired", "held") or (status != "held" and state not in allowed):
            yield f"{key} is {status} at {state} ({describe(case)})"
        if status == "held" and not (case["moment"] == "while open" and "article" in case["what"]):
            yield f"{key} is held ({describe(case)})"


def describe(case: dict[str, Any]) -> str:
    return f"{case['first_way']}, then {case['second_way']} {case['moment']}"
