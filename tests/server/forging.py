"""Forged, replayed, cut, shifted: an attacker who has seen rightly signed callbacks and has no key."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from tests.server.callbacks import body_for, report, signed
from tests.server.node import KEY, Node, stored
from tieout.wire.standard_webhooks import ID, SIGNATURE, TIMESTAMP, parse_key, sign, signature

OTHER_KEY = "whsec_" + base64.b64encode(b"a key that nobody has given out").decode()
THREADS = 8


class Message(NamedTuple):
    """A callback: for which call, its body and its headers."""

    call: str
    body: bytes
    headers: dict[str, str]


Forge = Callable[[Message, Random], Message]


def _headers(message: Message, **changed: str | None) -> Message:
    names = {"id": ID, "timestamp": TIMESTAMP, "signature": SIGNATURE, "type": "content-type"}
    headers = message.headers | {names[name]: value for name, value in changed.items()}
    return message._replace(headers={name: value for name, value in headers.items() if value is not None})


def unsigned(message: Message, chance: Random) -> Message:
    """Without one of the three headers, or with an empty one."""
    return _headers(message, **{chance.choice(["id", "timestamp", "signature"]): chance.choice([None, ""])})


def changed_body(message: Message, chance: Random) -> Message:
    """One byte of the body is another."""
    at = chance.randrange(len(message.body))
    flipped = bytes([message.body[at] ^ chance.randrange(1, 256)])
    return message._replace(body=message.body[:at] + flipped + message.body[at + 1 :])


def truncated(message: Message, chance: Random) -> Message:
    """Part of the body is missing, or something follows it."""
    cut = message.body[: chance.randrange(len(message.body))]
    return message._replace(body=chance.choice([cut, message.body + b" ", message.body + b"\n"]))


def respelled(message: Message, chance: Random) -> Message:
    """The same values in another spelling: what is signed are bytes."""
    value = json.loads(message.body)
    names = list(value)
    chance.shuffle(names)
    spelt = json.dumps({name: value[name] for name in names}, indent=chance.randrange(1, 5)).encode()
    return message._replace(body=spelt)


def other_outcome(message: Message, chance: Random) -> Message:
    """Another outcome under the signature of the first."""
    return message._replace(body=body_for(message.call, chance.choice(["failed", "pending", "unknown"])))


def other_key(message: Message, chance: Random) -> Message:
    """Signed with a key that counts nowhere: a stranger's, an empty one, the text of a key instead of its bytes."""
    headers = message.headers
    key = chance.choice([parse_key(OTHER_KEY), b"", KEY.encode(), chance.randbytes(32)])
    return _headers(message, signature=signature(key, headers[ID], headers[TIMESTAMP], message.body))


def shifted_time(message: Message, chance: Random) -> Message:
    """Another time under the old signature, so that an old message would look fresh."""
    at = int(message.headers[TIMESTAMP]) + chance.choice([-1, 1]) * chance.randrange(1, 4_000)
    return _headers(message, timestamp=str(at))


def stale(message: Message, chance: Random) -> Message:
    """Rightly signed once, and kept for longer than five minutes; or signed for later."""
    at = int(time.time()) + chance.choice([-1, 1]) * chance.randrange(400, 100_000)
    fresh = sign(parse_key(KEY), message.headers[ID], at, message.body)
    return message._replace(headers=message.headers | fresh)


def other_id(message: Message, chance: Random) -> Message:
    """Another id, so that a replay would not be known; or one with a full stop that moves the parts about."""
    at, body = message.headers[TIMESTAMP], message.body.decode()
    moved = f"{message.headers[ID]}.{at}"
    return chance.choice(
        [
            _headers(message, id=f"msg_{chance.getrandbits(64)}"),
            _headers(message, id=moved, timestamp=at)._replace(body=body.encode()),
            _headers(message, id=message.headers[ID] + "x"),
        ]
    )


def confused(message: Message, chance: Random) -> Message:
    """Another algorithm or form: none, v2, asymmetric, hexadecimal, without its version, half of it, spaces."""
    right = message.headers[SIGNATURE].removeprefix("v1,")
    raw = base64.b64decode(right)
    forms = [f"none,{right}", "none", "v1,", "v1", f"v2,{right}", f"v1a,{right}", f"V1,{right}", right]
    forms += [f"v1,{raw.hex()}", f"v1,{right[:-4]}", f"v1,{right.rstrip('=')}", f"v1;{right}", f"v1, {right}"]
    forms += [f"v1,{base64.b64encode(raw[:16]).decode()}", f"v1,{right.swapcase()}", "v1,AAAA " * 20 + f"v1,{right}"]
    return _headers(message, signature=chance.choice(forms))


def odd_time(message: Message, chance: Random) -> Message:
    """A time that is no whole number, or another spelling of the same one."""
    at = message.headers[TIMESTAMP]
    forms = [f"0{at}", f"+{at}", f"{at}.0", f"{at}e0", hex(int(at)), "-1", "9" * 30, f"{at}000", "now", f"{at}_0"]
    return _headers(message, timestamp=chance.choice(forms))


def other_call(message: Message, chance: Random) -> Message:
    """The whole message as it was, sent to another call."""
    process, _, n = message.call.partition(":")
    return message._replace(call=f"{process[::-1]}:{n}" if chance.random() < 0.5 else f"{process}:{int(n) + 1}")


CLASSES: dict[str, Forge] = {
    forge.__name__: forge
    for forge in (
        unsigned,
        changed_body,
        truncated,
        respelled,
        other_outcome,
        other_key,
        shifted_time,
        stale,
        other_id,
        confused,
        odd_time,
        other_call,
    )
}


@dataclass
class Tried:
    """What an attack came to."""

    counts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    accepted: int = 0
    originals_refused: int = 0
    replays_with_effect: int = 0
    leaks: list[str] = field(default_factory=list)


def attack(node: Node, started: Callable[..., dict[str, Any]], url: str, *, forgeries: int, calls: int = 20) -> Tried:
    """Forge so many messages on open calls of a node; then send the originals, and replay those.

    A forgery is accepted when it is answered with a success, or when its process has moved.
    """
    tried = Tried()
    originals = [_original(started("pending")["id"]) for _ in range(calls)]
    with node.client() as http, ThreadPoolExecutor(THREADS) as pool:

        def send(number: int) -> None:
            chance = Random(number)
            name = list(CLASSES)[number % len(CLASSES)]
            original = _fresh(originals[chance.randrange(calls)])
            forged = CLASSES[name](original, chance)
            if forged == original:
                return
            status = report(http, *forged).status_code
            tried.counts[name] += 1
            tried.statuses[name, status] += 1
            if status < 300:
                tried.accepted += 1
                tried.leaks.append(f"{name}: {forged}")

        list(pool.map(send, range(forgeries)))
        moved = [one.call for one in originals if stored(url, one.call[:32]).state != "issue"]
        tried.accepted += len(moved)
        tried.leaks += moved
        for original in originals:
            fresh = _fresh(original)
            tried.originals_refused += report(http, *fresh).json().get("effect") != "advanced"
            fence = stored(url, original.call[:32]).fence
            tried.originals_refused += not report(http, *fresh).json()["replayed"]
            tried.replays_with_effect += stored(url, original.call[:32]).fence != fence
    tried.accepted += tried.replays_with_effect
    return tried


def _original(process: str) -> Message:
    call = f"{process}:1"
    body = body_for(call)
    return Message(call, body, signed(KEY, body))


def _fresh(message: Message) -> Message:
    """The message as its sender repeats it: signed now, so that only what is forged about it can be wrong."""
    return message._replace(headers=signed(KEY, message.body, id=message.headers[ID]))
