"""Pushes as a supplier sends them, and every way in which they may be forged, or make no sense."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.server.forging import Message
from tests.server.lean import LeanCaller
from tests.server.node import BANK_KEY, Node, inside, wait_for
from tests.server.profiles import Profile
from tests.server.reporting import THREADS
from tests.server.request_forging import path_of
from tieout.mirror.store import MirrorStore, number

SUPPLIER = "prizes"

Spoil = Callable[[bytes, Random], bytes]
"""Makes a body that nobody can take in out of one that is good."""

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


def of_wrong_types(_: bytes, chance: Random) -> bytes:
    """One field is what it must not be, or one that nobody knows."""
    message = json.loads(pushed())
    change = message["changes"][0]
    part, wrong = chance.choice(
        [(message, WRONG), (change, WRONG_OF_CHANGE), (change["items"]["h0-a"], WRONG_OF_NIGHT)]
    )
    name = chance.choice(list(wrong))
    part[name] = chance.choice(wrong[name])
    return json.dumps(message).encode()


def with_a_part_missing(_: bytes, chance: Random) -> bytes:
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
    return json.dumps(message).encode()


def cut_off(body: bytes, chance: Random) -> bytes:
    """The sender's own mistake: it has signed half of a message."""
    return body[: chance.randrange(len(body))]


def noise(_: bytes, chance: Random) -> bytes:
    """No JSON at all."""
    return b"\x00" + chance.randbytes(chance.randrange(400))


def of_no_text(body: bytes, chance: Random) -> bytes:
    """Somewhere within a text stands what is no UTF-8, or half a surrogate pair."""
    at = body.index(b"h0-a") + chance.randrange(4)
    wrong = chance.choice([b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\x80", b"\\ud800"])
    return body[:at] + wrong + body[at:]


def with_a_name_twice(body: bytes, chance: Random) -> bytes:
    """An object has the same name twice: readers differ in which one they take."""
    name, value = chance.choice(
        [(b'"kind"', b'"full"'), (b'"group"', b'"h1"'), (b'"count"', b"1"), (b'"price"', b"[1]")]
    )
    return body.replace(name + b":", name + b": " + value + b", " + name + b":", 1)


def of_odd_numbers(body: bytes, chance: Random) -> bytes:
    """A price that no JSON has, or nobody can store."""
    return body.replace(b"90", chance.choice(ODD_NUMBERS).encode(), 1)


def too_deep(body: bytes, chance: Random) -> bytes:
    """Brackets within brackets, some closed again."""
    depth = chance.choice([65, 200, 1_000, 20_000])
    inner = b"[" * depth + b"]" * (depth if chance.random() < 0.7 else 0)
    return body.replace(b"[90]", inner, 1)


def too_many(_: bytes, chance: Random) -> bytes:
    """More changes than a message may hold."""
    message = json.loads(pushed())
    message["changes"] = message["changes"] * (1_001 + chance.randrange(50))
    return json.dumps(message).encode()


def blown_up(_: bytes, chance: Random) -> bytes:
    """Small as it is sent, and enormous when it is unpacked."""
    return gzip.compress(b'{"changes": "' + b"x" * chance.choice([300_000, 3_000_000]) + b'"}', compresslevel=9)


MALFORMED: dict[str, Spoil] = {
    spoil.__name__: spoil
    for spoil in (
        *(of_wrong_types, with_a_part_missing, cut_off, noise, of_no_text, with_a_name_twice, of_odd_numbers),
        *(too_deep, too_many, blown_up),
    )
}
OF_REPORTS = frozenset({"other_call", "other_outcome"})
"""Forgeries that only reports know."""


def classes_of(profile: Profile) -> list[str]:
    """Every way in which a push may be forged or make no sense."""
    return [*(name for name in profile.classes if name not in OF_REPORTS), *MALFORMED, "not_packed", "for_another"]


def mutated(profile: Profile, name: str, original: Message, chance: Random) -> Message:
    """A mutation of a push, of the class of this name."""
    call, body, _ = original
    if name == "not_packed":  # rightly signed, and said to be packed though it is not, or in a way that nobody unpacks
        coding = chance.choice(["gzip", "deflate", "br", "gzip, gzip", "zstd"])
        return original._replace(headers=original.headers | {"content-encoding": coding})
    if name == "for_another":  # rightly signed for one supplier, and sent for another, or for one that nobody knows
        if chance.random() < 0.5:
            return _signed(profile, call, body, key=BANK_KEY, sender="bank")
        return _signed(profile, chance.choice(["bank", "unknown", "Prizes", "prizes%20", "*"]), body)
    if name in MALFORMED:
        spoilt = _signed(profile, call, MALFORMED[name](body, chance))
        coding = {"content-encoding": "gzip"} if name == "blown_up" else {}
        return spoilt._replace(headers=spoilt.headers | coding)
    return profile.classes[name](original, chance)


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


def attack(node: Node, *, profile: Profile, mutations: int, originals: int, seed: int) -> Tried:
    """Send valid pushes, which all have to be accepted, and then mutations of them, none of which may be.

    One is accepted when it is answered with a success, or when more messages are known afterwards.
    """
    tried = Tried(originals=originals)
    wait_for_catalogue(node.url)
    with LeanCaller(node) as http, ThreadPoolExecutor(THREADS) as pool:

        def original(number: int) -> None:
            _send_original(http, profile, Random(f"{seed} {number}"), tried)

        def mutation(number: int) -> None:
            _send_mutation(http, profile, seed, number, tried)

        list(pool.map(original, range(originals)))
        known = taken_in(node.url)
        for share in (range(mutations // 10), range(mutations // 10, mutations)):
            list(pool.map(mutation, share))
            tried.memory = (tried.memory[1], node.memory)
    if (more := taken_in(node.url) - known) != 0:
        tried.accepted.append(f"{more} messages more than there were")
    return tried


def _send_original(http: Any, profile: Profile, chance: Random, tried: Tried) -> None:
    more: dict[str, Any] = chance.choice([{}, {"stream": "a"}, {"at": None}])
    body = pushed(chance.randrange(1 << 20), chance.choice(["h0-a", "h0-b"]), **more)
    message = _signed(profile, SUPPLIER, body)
    first, again = (push(http, body, message.headers) for _ in range(2))
    told = [(answer.status_code, answer.json().get("effect")) for answer in (first, again)]
    if told != [(202, "accepted"), (202, "duplicate")]:
        tried.refused.append(f"{told}: {body!r:.300}")


def _send_mutation(http: Any, profile: Profile, seed: int, at: int, tried: Tried) -> None:
    names = classes_of(profile)
    chance, name = Random(f"{seed} {at}"), names[at % len(names)]
    original = _signed(profile, SUPPLIER, pushed(90))
    mutation = mutated(profile, name, original, chance)
    if mutation == original:
        return
    status = push(http, mutation.body, mutation.headers, mutation.call).status_code
    tried.counts[name] += 1
    tried.statuses[status] += 1
    if status < 400:
        tried.accepted.append(f"{name}, mutation {at}: {status} for {mutation.body!r:.300}")
    if status >= 500:
        tried.broken.append(f"{name}, mutation {at}: {status} for {mutation.body!r:.300}")


def _signed(profile: Profile, supplier: str, body: bytes, **more: str) -> Message:
    return Message(supplier, body, profile.sign(path_of(supplier), body, **more))
