"""The figures of a run, and which promises they break."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tieout.demo.hotels.auditor import Audit
from tieout.demo.hotels.demand import CLASSES
from tieout.demo.hotels.travellers import Tally


class Ended(NamedTuple):
    """What is known when a run has ended: `figures` are the suppliers', `load` and `alarms` the agency's."""

    seconds: float
    load: Mapping[str, Any]
    figures: Mapping[str, Any]
    tally: Tally
    audit: Audit
    suspects: int
    gone: int
    alarms: Mapping[str, int]
    memory: int
    kills: int


def summary(ended: Ended) -> dict[str, Any]:
    """All figures; `broken` names the promises that were broken, and `kept` is last: whether there are none."""
    suppliers = {name: _supplier(seen, ended.seconds) for name, seen in ended.figures["suppliers"].items()}
    audit, tally = ended.audit, ended.tally
    promises = {
        "the first load ended": ended.load["cells"] == ended.load["of"] > 0,
        "no supplier saw more than it allows": all(seen["highest"] <= seen["limit"] for seen in suppliers.values()),
        "no query overlapped the same one": not any(seen["overlaps"] for seen in suppliers.values()),
        "failed and partial answers changed nothing": not audit.wrong,
        "no forged push was accepted": not ended.figures["pushes"].get("forged accepted", 0),
        "no room was lost to a catalogue that lost most hotels": ended.gone == 0 and audit.missing == 0,
    }
    broken = [promise for promise, kept in promises.items() if not kept]
    return {
        "load": dict(ended.load),
        "freshness": _freshness(audit, tally),
        "cells": {"all": audit.cells, "right": audit.right, "late": audit.late, "unknown": audit.unknown},
        "visits": tally.visits,
        "orders": {"checked": tally.checked.total(), "as_shown": tally.as_shown.total()},
        "failed": dict(sorted(tally.failures.items())),
        "unavailable": dict(sorted(tally.unavailable.items())),
        "suppliers": suppliers,
        "changes": ended.figures["changes"],
        "faults": dict(sorted(ended.figures["faults"].items())),
        "pushes": dict(sorted(ended.figures["pushes"].items())),
        "alarms": dict(ended.alarms),
        "suspect": ended.suspects,
        "memory": ended.memory,
        "kills": ended.kills,
        "overlaps": sum(seen["overlaps"] for seen in suppliers.values()),
        "forged_accepted": ended.figures["pushes"].get("forged accepted", 0),
        "wrong": len(audit.wrong),
        "broken": broken,
        "kept": not broken,
    }


def _supplier(seen: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    return {
        "queries": sum(seen["queries"].values()),
        "quota": round(seen["limit"] * seconds / seen["window"]),
        "limit": seen["limit"],
        "highest": seen["highest"],
        "overlaps": seen["overlaps"],
    }


def _freshness(audit: Audit, tally: Tally) -> dict[str, Any]:
    """Of each class by demand: the share of cells that are right, that as it is wanted, and what people met."""
    found = {}
    for name in CLASSES:
        cells = audit.shares[name]
        found[name] = {
            "cells_right": ratio(cells.right, cells.cells),
            "wanted_right": ratio(cells.wanted_right, cells.wanted),
            "right_for_readers": ratio(tally.right[name], tally.inspected[name]),
            "orders_as_shown": ratio(tally.as_shown[name], tally.checked[name]),
        }
    return found


def ratio(part: float, whole: float) -> float | None:
    """A share of 1, to four places; None of nothing."""
    return round(part / whole, 4) if whole else None
