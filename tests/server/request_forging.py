"""What an attacker makes of a request that was signed as RFC 9421 describes it, without its key."""

from __future__ import annotations

import base64
import json
import re
import time
from random import Random
from typing import Any

from tests.server.callbacks import body_for
from tests.server.forging import OTHER_KEY, Forge, Message, changed_at, cut, other_call, respelt
from tests.server.node import BANK_KEY, KEY
from tieout.wire.http_signatures import DIGEST, INPUT, SIGNATURE, Asked, sign, signature, signature_base
from tieout.wire.standard_webhooks import parse_key

FIELDS = (INPUT, SIGNATURE, DIGEST)


def path_of(call: str) -> str:
    """Where a message is sent: reports name a call, with a colon, and pushes a supplier."""
    return f"/v1/report/{call}" if ":" in call else f"/v1/push/{call}"


def signed_request(
    path: str, body: bytes, *, key: str = KEY, keyid: str = "prizes", nonce: str, age: int = 0
) -> dict[str, str]:
    """The header fields of a rightly signed request."""
    asked = Asked("POST", path, "", {}, body)
    fields = sign(parse_key(key), keyid, asked, created=int(time.time()) - age, nonce=nonce)
    return fields | {"content-type": "application/json"}


def unsigned(message: Message, chance: Random) -> Message:
    """Without one of the three fields, or with an empty one."""
    name = chance.choice(FIELDS)
    return _with(message, {name: chance.choice([None, ""])})


def changed_body(message: Message, chance: Random) -> Message:
    """One byte of the body is another, under the digest of the old body or of the new one."""
    return _with_body(message, changed_at(message.body, chance), chance)


def truncated(message: Message, chance: Random) -> Message:
    """Part of the body is missing, or something follows it."""
    return _with_body(message, cut(message.body, chance), chance)


def respelled(message: Message, chance: Random) -> Message:
    """The same values in another spelling."""
    return _with_body(message, respelt(message.body, chance), chance)


def other_outcome(message: Message, chance: Random) -> Message:
    """Another outcome under the signature of the first."""
    body = body_for(message.call, chance.choice(["failed", "pending", "unknown"]))
    return _with_body(message, body, chance)


def other_key(message: Message, chance: Random) -> Message:
    """Signed with a key that counts nowhere, or with another sender's, under the name of this one."""
    key = chance.choice([parse_key(OTHER_KEY), parse_key(BANK_KEY), b"", KEY.encode(), chance.randbytes(32)])
    return _resigned(message, key, _written(message))


def other_sender(message: Message, chance: Random) -> Message:
    """Said to be signed by another, or by nobody."""
    name = chance.choice(["bank", "nobody", "", "PRIZES", "prizes "])
    return _said(message, 'keyid="prizes"', f'keyid="{name}"')


def shifted_time(message: Message, chance: Random) -> Message:
    """Another time under the old signature."""
    at = _created(message)
    return _said(message, f"created={at}", f"created={at + chance.choice([-1, 1]) * chance.randrange(1, 4_000)}")


def stale(message: Message, chance: Random) -> Message:
    """Rightly signed once, and kept for longer than five minutes; or signed for later; or no longer meant to count."""
    at = _created(message)
    if chance.random() < 0.5:
        return _rightly(message, _written(message) + f";expires={at - chance.randrange(1, 1_000)}")
    moved = at + chance.choice([-1, 1]) * chance.randrange(400, 100_000)
    return _rightly(message, _written(message).replace(f"created={at}", f"created={moved}"))


def other_nonce(message: Message, chance: Random) -> Message:
    """Another nonce, so that a replay would not be known; or none."""
    given = re.findall(r'nonce="[^"]*"', message.headers[INPUT])[0]
    other = chance.choice([f'nonce="{chance.getrandbits(64)}"', 'nonce=""', f'{given};nonce="x"', "nonce=1"])
    return _said(message, given, other)


def less_covered(message: Message, chance: Random) -> Message:
    """Rightly signed, over less than has to be: an address, a method or a body that could be changed."""
    names = ['"@method"', '"@path"', '"content-digest"']
    names.remove(chance.choice(names))
    written = _written(message)
    return _rightly(message, f"({' '.join(names)}){written[written.index(')') + 1 :]}")


def other_covered(message: Message, chance: Random) -> Message:
    """What is covered is said to be something else, or in another order, or twice."""
    old = '"@method" "@path" "content-digest"'
    forms = ['"@path" "@method" "content-digest"', '"@method" "@path" "@method" "content-digest"', '"@path"', ""]
    forms += [f'{old} "@signature-params"', f'{old} "@status"', f'{old} "@query"', f'{old} "x-none"', old.upper()]
    forms += ['"@method";req "@path" "content-digest"', f" {old}", old.replace('"', "")]
    return _said(message, old, chance.choice(forms))


def other_algorithm(message: Message, chance: Random) -> Message:
    """An algorithm that is not ours, also where the sender has signed that it is another."""
    name = chance.choice(["none", "ed25519", "rsa-v1_5-sha256", "hmac-sha512", "HMAC-SHA256", ""])
    written = _written(message).replace("hmac-sha256", name)
    return _rightly(message, written) if chance.random() < 0.5 else _said(message, "hmac-sha256", name)


def other_digest(message: Message, chance: Random) -> Message:
    """A digest of another body, of a kind that can be forged, or in another form."""
    (right,) = re.findall(r":(.*):", message.headers[DIGEST])
    zeros = base64.b64encode(bytes(32)).decode()
    forms = [f"sha-256=:{zeros}:", f"md5=:{right}:", f"sha-512=:{right}:", f"SHA-256=:{right}:", right, "sha-256=::"]
    forms += [f"sha-256=:{right}:, sha-256=:{zeros}:", f"sha-256={right}", f"sha-256=:{right[:-1]}:", "sha-256"]
    return _with(message, {DIGEST: chance.choice(forms)})


def confused(message: Message, chance: Random) -> Message:
    """A signature in another form: cut, without colons, hexadecimal, of another name, several of them."""
    (right,) = re.findall(r":(.*):", message.headers[SIGNATURE])
    raw, zeros = base64.b64decode(right), base64.b64encode(bytes(32)).decode()
    forms = [f"sig1={right}", "sig1=::", "sig1=", right, f"sig2=:{right}:", f"sig1=:{raw.hex()}:", f"sig1=:{right}"]
    forms += [f"sig1=:{base64.b64encode(raw[:16]).decode()}:", f"sig1=:{right.rstrip('=')}:", f"sig1=:{zeros}:"]
    forms += [f"sig1=:{zeros}:, sig1=:{right}:", f"sig1=:{right}:, sig2=:{right}:", f"sig1=:{right.swapcase()}:"]
    return _with(message, {SIGNATURE: chance.choice(forms)})


def odd_params(message: Message, chance: Random) -> Message:
    """Times that are no whole numbers, parameters that come twice, that are missing, or that nobody knows."""
    at = _created(message)
    forms = [f'created="{at}"', f"created={at}.0", f"created=-{at}", f"created={at};created={at}", "created", ""]
    forms += [f"created={at}; expires={at + 9}", f"created={'9' * 30}", f'created={at};color="red"', f"Created={at}"]
    return _said(message, f"created={at}", chance.choice(forms))


def other_address(message: Message, chance: Random) -> Message:
    """The whole message as it was, sent elsewhere."""
    if ":" not in message.call:
        return message._replace(call=chance.choice(["bank", "unknown", f"{message.call}%20", f"{message.call}/"]))
    return other_call(message, chance)


CLASSES: dict[str, Forge] = {
    forge.__name__: forge
    for forge in (
        *(unsigned, changed_body, truncated, respelled, other_outcome, other_key, other_sender, shifted_time, stale),
        *(other_nonce, less_covered, other_covered, other_algorithm, other_digest, confused, odd_params),
        other_address,
    )
}


def _with(message: Message, changed: dict[str, Any]) -> Message:
    headers = message.headers | changed
    return message._replace(headers={name: value for name, value in headers.items() if value is not None})


def _with_body(message: Message, body: bytes, chance: Random) -> Message:
    """Another body, and perhaps its digest too."""
    digest = signed_request("/", body, nonce="n")[DIGEST]
    return _with(message._replace(body=body), {DIGEST: digest} if chance.random() < 0.5 else {})


def _said(message: Message, old: str, new: str) -> Message:
    """Another statement under the old signature."""
    return _with(message, {INPUT: message.headers[INPUT].replace(old, new)})


def _written(message: Message) -> str:
    return message.headers[INPUT].partition("=")[2]


def _created(message: Message) -> int:
    return int(re.findall(r"created=(\d+)", message.headers[INPUT])[0])


def _rightly(message: Message, written: str) -> Message:
    """The message with another statement, rightly signed."""
    return _resigned(message, parse_key(KEY), written)


def _resigned(message: Message, key: bytes, written: str) -> Message:
    asked = Asked("POST", path_of(message.call), "", {DIGEST: [message.headers[DIGEST]]}, message.body)
    base = signature_base(asked, re.findall(r'"([^"]*)"', written.partition(")")[0]), written)
    assert base is not None, json.dumps(written)
    return _with(message, {INPUT: f"sig1={written}", SIGNATURE: f"sig1={signature(key, base)}"})
