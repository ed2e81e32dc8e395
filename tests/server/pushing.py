"""Pushes as a supplier sends them, and every way in which they may be forged, or make no sense."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from tests.server import forging
from tests.server.callbacks import signed
from tests.server.forging import THREADS, Forge, Message
from tests.server.node import BANK_KEY, KEY, Node, inside, wait_for
from tieout.mirror.store import MirrorStore, number

SUPPLIER = "prizes"

ODD: list[Any] = [None, -1, 1.5, "", [], {}, True, "x" * 300, 1 << 70]
WRONG: dict[str, list[Any]] = {
    "changes": ODD,
    "at": ["now", 5, [], {}, True, "2026-01-01"],
    "sequence": [-1, 1.5, "1", [], {}, True, 1 << 70],
    "colour": ODD,
}
WRONG_OF_CHANGE: dict[str, list[Any]] = {
    "kind": ODD,
    "items": [None, 1, "", [], {"h0-a": None}, {"": {"price": [1], "open": [True]}}, {"h0-a": []}],
    "first": [None, "", "today", 5, "2026-13-01", [], {}, True],
    "count": [0, -1, 2, 1.5, "1", 1 << 40, [], None],
    "Kind": ODD,
}
WRONG_OF_NIGHT: dict[str, list[Any]] = {
    "price": [[], [1, 2], "1", ["1"], [1.5], [True], [1 << 40], {"a": 1}],
    "open": [[1], ["yes"], [[]], [{}], [0.5]],
    "colour": [["red"], []],
}
ODD_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5_000, "-", "01", "0x10", "1_000", "1e6000000")


def date_in(days: int) -> str:
    return (datetime.now(UTC).date() + timedelta(days=days)).isoformat()


def pushed(price: int = 90, item: str = "h0-a", **more: Any) -> bytes:
    """The body of a push: the price of one night of one room."""
    night = {"price": [price], "open": [True]}
    change = {"kind": "delta", "group": "h0", "first": date_in(3), "count": 1, "items": {item: night}}
    return json.dumps({"changes": [change], "at": datetime.now(UTC).isoformat(), **more}).encode()


def push(caller: Any, body: bytes, headers: dict[str, str], supplier: str = SUPPLIER) -> Any:
    """Send it."""
    return caller.post(f"/v1/push/{supplier}", content=body, headers=headers)


def wait_for_catalogue(url: str) -> None:
    """Wait until the node knows the hotel."""
    copy = number("rooms", SUPPLIER)

    async def groups(app: Any) -> Any:
        return await app.database.read(lambda tx: MirrorStore(app.database.dialect).groups(tx, copy))

    wait_for(lambda: inside(url, groups), "the catalogue")


def taken_in(url: str) -> int:
    """How many messages were taken in."""

    async def taken(app: Any) -> Any:
        row = await app.database.read(
            lambda tx: tx.fetch_one("SELECT count(*) AS n FROM tieout_inbox WHERE source LIKE 'push:%'")
        )
        return row[0]

    return int(inside(url, taken))


def of_wrong_types(_: Message, chance: Random) -> Message:
    """One field is what it must not be, or one that nobody knows."""
    message = json.loads(pushed())
    change = message["changes"][0]
    part, wrong = chance.choice(
        [(message, WRONG), (change, WRONG_OF_CHANGE), (change["items"]["h0-a"], WRONG_OF_NIGHT)]
    )
    name = chance.choice(list(wrong))
    part[name] = chance.choice(wrong[name])
    return _signed(json.dumps(message).encode())


def with_a_part_missing(_: Message, chance: Random) -> Message:
    """A field that every message has is left out."""
    message = json.loads(pushed())
    change = message["changes"][0]
    part, name = chance.choice(
        [
            (message, "changes"),
            *((change, name) for name in ("kind", "group", "first", "items")),
            (change["items"], "h0-a"),
        ]
    )
    del part[name]
    return _signed(json.dumps(message).encode())


def cut_off(message: Message, chance: Random) -> Message:
    """The sender's own mistake: it has signed half of a message."""
    return _signed(message.body[: chance.randrange(len(message.body))])


def noise(_: Message, chance: Random) -> Message:
    """No JSON at all."""
    return _signed(b"\x00" + chance.randbytes(chance.randrange(400)))


def of_no_text(message: Message, chance: Random) -> Message:
    """Somewhere within a text stands what is no UTF-8, or half a surrogate pair."""
    at = message.body.index(b"h0-a") + chance.randrange(4)
    wrong = chance.choice([b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\x80", b"\\ud800"])
    return _signed(message.body[:at] + wrong + message.body[at:])


def with_a_name_twice(message: Message, chance: Random) -> Message:
    """An object has the same name twice: readers differ in which one they take."""
    name, value = chance.choice(
        [(b'"kind"', b'"full"'), (b'"group"', b'"h1"'), (b'"count"', b"1"), (b'"price"', b"[1]")]
    )
    return _signed(message.body.replace(name + b":", name + b": " + value + b", " + name + b":", 1))


def of_odd_numbers(message: Message, chance: Random) -> Message:
    """A price that no JSON has, or nobody can store."""
    return _signed(message.body.replace(b"90", chance.choice(ODD_NUMBERS).encode(), 1))


def too_deep(message: Message, chance: Random) -> Message:
    """Brackets within brackets, some closed again."""
    depth = chance.choice([65, 200, 1_000, 20_000])
    inner = b"[" * depth + b"]" * (depth if chance.random() < 0.7 else 0)
    return _signed(message.body.replace(b"[90]", inner, 1))


def too_many(_: Message, chance: Random) -> Message:
    """More changes than a message may hold."""
    message = json.loads(pushed())
    message["changes"] = message["changes"] * (1_001 + chance.randrange(50))
    return _signed(json.dumps(message).encode())


def not_packed(message: Message, chance: Random) -> Message:
    """Rightly signed, and said to be packed though it is not, or in a way that nobody unpacks."""
    coding = chance.choice(["gzip", "deflate", "br", "gzip, gzip", "zstd"])
    return message._replace(headers=message.headers | {"content-encoding": coding})


def blown_up(_: Message, chance: Random) -> Message:
    """Small as it is sent, and enormous when it is unpacked."""
    body = gzip.compress(b'{"changes": "' + b"x" * chance.choice([300_000, 3_000_000]) + b'"}', compresslevel=9)
    return Message(SUPPLIER, body, signed(KEY, body) | {"content-encoding": "gzip"})


def for_another(message: Message, chance: Random) -> Message:
    """Rightly signed for one supplier, and sent for another, or for one that nobody knows."""
    if chance.random() < 0.5:
        return message._replace(headers=signed(BANK_KEY, message.body))
    return message._replace(call=chance.choice(["bank", "unknown", "Prizes", "prizes%20", "*"]))


FORGED: dict[str, Forge] = {
    name: forge for name, forge in forging.CLASSES.items() if name not in {"other_call", "other_outcome"}
}
MALFORMED: dict[str, Forge] = {
    forge.__name__: forge
    for forge in (
        *(of_wrong_types, with_a_part_missing, cut_off, noise, of_no_text, with_a_name_twice, of_odd_numbers),
        *(too_deep, too_many, not_packed, blown_up),
    )
}
CLASSES: dict[str, Forge] = {**FORGED, **MALFORMED, "for_another": for_another}


@dataclass
class Tried:
    """What an attack came to; memory in bytes: after the first tenth of it, and at its end."""

    counts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    originals: int = 0
    refused: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    memory: tuple[int, int] = (0, 0)


def attack(node: Node, *, mutations: int, originals: int, seed: int) -> Tried:
    """Send valid pushes, which all have to be accepted, and then mutations of them, none of which may be.

    One is accepted when it is answered with a success, or when more messages are known afterwards.
    """
    tried = Tried(originals=originals)
    wait_for_catalogue(node.url)
    with node.client() as http, ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda number: _send_original(http, Random(f"{seed} {number}"), tried), range(originals)))
        known = taken_in(node.url)
        for share in (range(mutations // 10), range(mutations // 10, mutations)):
            list(pool.map(lambda number: _send_mutation(http, seed, number, tried), share))
            tried.memory = (tried.memory[1], resident(node))
    if (more := taken_in(node.url) - known) != 0:
        tried.accepted.append(f"{more} messages more than there were")
    return tried


def resident(node: Node) -> int:
    """The memory that a node has, in bytes."""
    assert node.process is not None
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1_024 for line in status.splitlines() if line.startswith("VmRSS"))


def _send_original(http: Any, chance: Random, tried: Tried) -> None:
    more: dict[str, Any] = chance.choice([{}, {"stream": "a"}, {"at": None}])
    body = pushed(chance.randrange(1 << 20), chance.choice(["h0-a", "h0-b"]), **more)
    headers = signed(KEY, body)
    first, again = (push(http, body, headers) for _ in range(2))
    told = [(answer.status_code, answer.json().get("effect")) for answer in (first, again)]
    if told != [(202, "accepted"), (202, "duplicate")]:
        tried.refused.append(f"{told}: {body!r:.300}")


def _send_mutation(http: Any, seed: int, at: int, tried: Tried) -> None:
    chance, name = Random(f"{seed} {at}"), list(CLASSES)[at % len(CLASSES)]
    body = pushed(90)
    original = Message(SUPPLIER, body, signed(KEY, body))
    mutation = CLASSES[name](original, chance)
    if mutation == original:
        return
    status = push(http, mutation.body, mutation.headers, mutation.call).status_code
    tried.counts[name] += 1
    tried.statuses[status] += 1
    if status < 400:
        tried.accepted.append(f"{name}, mutation {at}: {status} for {mutation.body!r:.300}")
    if status >= 500:
        tried.broken.append(f"{name}, mutation {at}: {status} for {mutation.body!r:.300}")


def _signed(body: bytes) -> Message:
    return Message(SUPPLIER, body, signed(KEY, body))
