"""Forged, replayed, cut, shifted: an attacker who has seen rightly signed callbacks and has no key."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from tests.server.callbacks import body_for
from tests.server.node import KEY
from tieout.wire.standard_webhooks import ID, SIGNATURE, TIMESTAMP, parse_key, sign, signature

OTHER_KEY = "whsec_" + base64.b64encode(b"a key that nobody has given out").decode()


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


def changed_at(body: bytes, chance: Random) -> bytes:
    """A body of which one byte is another."""
    at = chance.randrange(len(body))
    return body[:at] + bytes([body[at] ^ chance.randrange(1, 256)]) + body[at + 1 :]


def cut(body: bytes, chance: Random) -> bytes:
    """The beginning of a body, or all of it with something behind it."""
    return chance.choice([body[: chance.randrange(len(body))], body + b" ", body + b"\n"])


def respelt(body: bytes, chance: Random) -> bytes:
    """A JSON object with its names in another order, and other spaces."""
    value = json.loads(body)
    names = list(value)
    chance.shuffle(names)
    return json.dumps({name: value[name] for name in names}, indent=chance.randrange(1, 5)).encode()


def unsigned(message: Message, chance: Random) -> Message:
    """Without one of the three headers, or with an empty one."""
    return _headers(message, **{chance.choice(["id", "timestamp", "signature"]): chance.choice([None, ""])})


def changed_body(message: Message, chance: Random) -> Message:
    """One byte of the body is another."""
    return message._replace(body=changed_at(message.body, chance))


def truncated(message: Message, chance: Random) -> Message:
    """Part of the body is missing, or something follows it."""
    return message._replace(body=cut(message.body, chance))


def respelled(message: Message, chance: Random) -> Message:
    """The same values in another spelling: what is signed are bytes."""
    return message._replace(body=respelt(message.body, chance))


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
