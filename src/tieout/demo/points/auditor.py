"""Do both sides agree? Joins the two databases and the clients' own log, key by key, with plain SQL.

It shares no code with tieout and imports nothing of it, so that a mistake there cannot hide itself here.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tieout.demo.tables import Row, rows

WAYS = ("immediate", "query", "push", "sweep")

PROCESSES = "SELECT id, owner, request_key, state, status, trail, result FROM tieout_process WHERE type = 'redeem'"
CHANGES = "SELECT id, account, delta, reason FROM points_change"
ACCOUNTS = "SELECT name, granted, points FROM account"
PRIZES = "SELECT order_key, sku, quantity, code, status FROM prize"
CONFLICT_ALARMS = "SELECT object, state FROM tieout_alarm WHERE kind = 'conflict'"
TOLD = "SELECT way, state, count(*) AS n FROM callback GROUP BY way, state"
CATALOGUE = "SELECT sku, price FROM catalogue"


VISITOR = "visitor"
"""Who uses the shop's page: a person, who keeps no log."""


class Finding(NamedTuple):
    """Something that does not agree: kind is lost, double or unexplained."""

    kind: str
    key: str
    what: str


@dataclass
class Facts:
    """What each side says, before anybody judges it."""

    answers: list[Row]
    processes: list[Row]
    changes: list[Row]
    accounts: list[Row]
    prices: dict[str, int]
    prizes: list[Row]
    alarms: list[Row]
    planted: set[str]
    told: dict[str, int]

    @property
    def visits(self) -> list[Row]:
        """Processes that were started from the shop's page."""
        return [process for process in self.processes if _is_visit(process)]


@dataclass
class Asked:
    """What the clients' log says of one request key."""

    user: str
    orders: set[tuple[str, int]] = field(default_factory=set)


class Side:
    """The rows of both sides that belong to one process."""

    def __init__(self, facts: Facts) -> None:
        self.changes: dict[str, list[Row]] = defaultdict(list)
        self.prizes: dict[str, list[Row]] = defaultdict(list)
        self.alarms: dict[str, list[Row]] = defaultdict(list)
        self.planted = {key.partition(":")[0] for key in facts.planted}
        self.prices = facts.prices
        for change in facts.changes:
            self.changes[change["id"]].append(change)
        for prize in facts.prizes:
            self.prizes[prize["order_key"].partition(":")[0]].append(prize)
        for alarm in facts.alarms:
            self.alarms[alarm["object"].partition(":")[0]].append(alarm)


def lines(path: Path) -> list[Row]:
    """The JSON lines of a log; a file that is not there has none."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def gather(mall_db: str, prize_db: str, client_log: Path, conflict_log: Path) -> Facts:
    """All that has to be judged."""
    processes = await rows(mall_db, PROCESSES)
    for process in processes:
        process["id"] = bytes(process["id"]).hex()
        process["key"] = bytes(process["request_key"]).decode()
    return Facts(
        answers=lines(client_log),
        processes=processes,
        changes=await rows(mall_db, CHANGES),
        accounts=await rows(mall_db, ACCOUNTS),
        prices={row["sku"]: row["price"] for row in await rows(mall_db, CATALOGUE)},
        prizes=await rows(prize_db, PRIZES),
        alarms=await rows(mall_db, CONFLICT_ALARMS),
        planted={line["key"] for line in lines(conflict_log)},
        told=_told(await rows(prize_db, TOLD)),
    )


def judge(facts: Facts) -> list[Finding]:
    """Everything that does not agree and is not explained by exactly one open conflict alarm."""
    side = Side(facts)
    asked = _asked(facts.answers)
    found = [Finding("lost", key, "acknowledged, but there is no process") for key in _lost(asked, facts)]
    for process in facts.processes:
        found += _judge_request(process, asked.get(process["key"]))
        found += _judge_points(process, side, asked.get(process["key"]))
        found += _judge_prizes(process, side, asked.get(process["key"]))
    found += _judge_strangers(side, {process["id"] for process in facts.processes})
    found += _judge_balances(facts)
    return found


def summary(facts: Facts, found: Iterable[Finding], kills: int, broker: str) -> dict[str, Any]:
    """The figures of a run, `agreement` last.

    `accepted` are keys that a client was told are accepted, and what visitors of the page asked for; `duplicates` are
    answers to repetitions, `refused` are refusals, both as the clients' log has them; `conflicts_planted` are those
    whose claims the mall has acknowledged. `told_by` counts what the prize service told, and what nobody took from it.
    """
    status = Counter(process["status"] for process in facts.processes)
    state = Counter(process["state"] for process in facts.processes)
    kinds = Counter(finding.kind for finding in found)
    accepted = len(_asked(facts.answers)) + len(facts.visits)
    wrong = {kind: kinds[kind] for kind in ("unexplained", "lost", "double")}
    return {
        "accepted": accepted,
        "final": status["final"],
        "held": status["held"],
        "completed": state["completed"],
        "refunded": state["refunded"],
        "duplicates": sum(1 for answer in facts.answers if answer["replayed"]),
        "refused": sum(1 for answer in facts.answers if answer["http"] in (409, 422)),
        "conflicts_planted": len(facts.planted),
        "conflicts_alarmed": len(facts.alarms),
        **wrong,
        "by_way": by_way(facts.processes),
        "told_by": facts.told,
        "broker": broker,
        "visits": len(facts.visits),
        "kills": kills,
        "agreement": accepted > 0 and accepted == status["final"] + status["held"] and not any(wrong.values()),
    }


def by_way(processes: Iterable[Row]) -> dict[str, int]:
    """How many processes were finished by each of the four ways: the source of their last transition."""
    ways = Counter(json.loads(row["trail"])[-1]["source"] for row in processes if row["status"] == "final")
    return {way: ways[way] for way in WAYS}


def _is_visit(process: Row) -> bool:
    return bytes(process["owner"]).decode() == VISITOR


def _told(counts: Iterable[Row]) -> dict[str, int]:
    """What was told by which way, and what was given up because nobody took it."""
    told = {"callback": 0, "message": 0, "given up": 0}
    for row in counts:
        if row["state"] == "acknowledged":
            told[row["way"]] += row["n"]
        elif row["state"] == "abandoned":
            told["given up"] += row["n"]
    return told


def _asked(answers: Iterable[Row]) -> dict[str, Asked]:
    asked: dict[str, Asked] = {}
    for answer in answers:
        if answer["http"] in (200, 202):
            request = asked.setdefault(answer["key"], Asked(answer["user"]))
            request.orders.add((answer["sku"], answer["quantity"]))
    return asked


def _lost(asked: dict[str, Asked], facts: Facts) -> list[str]:
    known = {process["key"] for process in facts.processes}
    return [key for key in asked if key not in known]


def _judge_request(process: Row, asked: Asked | None) -> Iterator[Finding]:
    key = process["key"]
    if asked is None and not _is_visit(process):
        yield Finding("unexplained", key, "a process that no client was ever told of")
    elif asked is not None and len(asked.orders) != 1:
        yield Finding("unexplained", key, f"one key was accepted with different params: {sorted(asked.orders)}")
    elif asked is not None and asked.user != bytes(process["owner"]).decode():
        yield Finding("unexplained", key, "the process belongs to somebody else")
    if process["status"] not in ("final", "held"):
        yield Finding("unexplained", key, f"still {process['status']} at {process['state']}")


def _judge_points(process: Row, side: Side, asked: Asked | None) -> Iterator[Finding]:
    key, changes = process["key"], side.changes[process["id"]]
    taken = [change["delta"] for change in changes if change["reason"] == "redeemed"]
    given = [change["delta"] for change in changes if change["reason"] == "refunded"]
    if len(taken) > 1 or len(given) > 1:
        yield Finding("double", key, f"points were taken {len(taken)} and given back {len(given)} times")
        return
    if not taken:
        yield Finding("unexplained", key, "no points were taken")
    elif asked is not None and -taken[0] not in {side.prices[sku] * quantity for sku, quantity in asked.orders}:
        yield Finding("unexplained", key, f"{-taken[0]} points were taken, which is not the price")
    wanted = [-delta for delta in taken] if process["state"] == "refunded" else []
    if given != wanted:
        yield Finding("unexplained", key, f"{process['state']}, and points given back: {given}")
    if {change["account"] for change in changes} - {bytes(process["owner"]).decode()}:
        yield Finding("unexplained", key, "the points are somebody else's")


def _judge_prizes(process: Row, side: Side, asked: Asked | None) -> Iterator[Finding]:
    key, prizes = process["key"], side.prizes[process["id"]]
    issued = [prize for prize in prizes if prize["status"] == "SUCCEEDED"]
    if len(issued) > 1:
        yield Finding("double", key, f"{len(issued)} prizes were issued")
        return
    alarms, planted = side.alarms[process["id"]], process["id"] in side.planted
    if planted or alarms or process["status"] == "held":
        if not planted:
            yield Finding("unexplained", key, "held or alarmed, though nothing contradicted itself")
        if [alarm["state"] for alarm in alarms] != ["open"]:
            yield Finding("unexplained", key, f"{len(alarms)} conflict alarms, where one open one is due")
        return
    yield from _judge_agreement(process, issued, asked)


def _judge_agreement(process: Row, issued: list[Row], asked: Asked | None) -> Iterator[Finding]:
    key = process["key"]
    if process["state"] == "refunded" and issued:
        yield Finding("unexplained", key, "the points went back and the prize was issued")
    if process["state"] != "completed":
        return
    if not issued:
        yield Finding("unexplained", key, "the points are gone and no prize was issued")
    elif asked is not None and (issued[0]["sku"], issued[0]["quantity"]) not in asked.orders:
        yield Finding("unexplained", key, "another prize was issued than was asked for")
    elif issued[0]["code"] not in (process["result"] or ""):
        yield Finding("unexplained", key, "the mall holds another prize code than was issued")


def _judge_strangers(side: Side, known: set[str]) -> Iterator[Finding]:
    for what, keys in (("a prize", side.prizes), ("a change of points", side.changes), ("an alarm", side.alarms)):
        yield from (Finding("unexplained", key, f"{what} that belongs to no process") for key in keys.keys() - known)
    yield from (Finding("unexplained", key, "a planted conflict of no process") for key in side.planted - known)


def _judge_balances(facts: Facts) -> Iterator[Finding]:
    moved: Counter[str] = Counter()
    for change in facts.changes:
        moved[change["account"]] += change["delta"]
    for account in facts.accounts:
        name, points = account["name"], account["points"]
        if points != account["granted"] + moved.pop(name, 0) or points < 0:
            yield Finding("unexplained", name, f"{points} points are not what was granted and changed")
    yield from (Finding("unexplained", name, "points of no account were changed") for name in moved)
