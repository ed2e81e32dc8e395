"""Bodies of requests: read within limits, unpacked within limits, and strict JSON before anybody looks at them."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from tieout.errors import InvalidRequest, TooLarge
from tieout.identity import parse_json
from tieout.server.settings import Settings

JSON = "application/json"

RATIO = 100
"""How many times longer than what was sent a body may become: JSON is packed to a tenth, a bomb to a thousandth."""

DISCARDED = 8_388_608
"""Bytes over the limit that are still read: enough for an honest mistake."""

Headers = Mapping[str, Sequence[str]]

Receive = Callable[[], Awaitable[dict[str, Any]]]


async def read_body(receive: Receive, headers: Headers, settings: Settings) -> bytes:
    """The body, unpacked; raise `TooLarge`, or `InvalidRequest` when it does not come in time.

    Of one that is somewhat too long the rest is read and thrown away: whoever is still sending does not hear the
    answer.
    """
    announced = headers.get("content-length", ("0",))[0]
    most, parts, size, is_last = settings.max_body, list[bytes](), 0, False
    is_hopeless = announced.isdecimal() and int(announced) > most + DISCARDED
    try:
        async with asyncio.timeout(settings.body_seconds):
            while not (is_last or is_hopeless):
                message = await receive()
                if message["type"] != "http.request":
                    raise InvalidRequest("the connection ended before the body did")
                part = message.get("body", b"")
                size += len(part)
                if size <= most:
                    parts.append(part)
                is_last = not message.get("more_body", False)
                is_hopeless = size > most + DISCARDED
    except TimeoutError as error:
        raise InvalidRequest(f"the body took longer than {settings.body_seconds:g} s") from error
    if is_hopeless or size > most:
        raise TooLarge(f"a body is at most {most} bytes long")
    return unpack(b"".join(parts), headers, most)


def unpack(body: bytes, headers: Headers, most: int) -> bytes:
    """The body without its content encoding; raise `TooLarge` for one that grows too long, however often packed."""
    codings = [one.strip().lower() for field in headers.get("content-encoding", ()) for one in field.split(",")]
    codings = [one for one in codings if one and one != "identity"]
    if not codings:
        return body
    if codings not in (["gzip"], ["deflate"]):
        raise InvalidRequest("a body is packed with gzip or deflate, once, or not at all")
    unpacker = zlib.decompressobj(31 if codings == ["gzip"] else 15)
    room = min(most, max(RATIO * len(body), 1_024))
    try:
        unpacked = unpacker.decompress(body, room)
    except zlib.error as error:
        raise InvalidRequest("the body is not packed as its header says") from error
    if unpacker.unconsumed_tail:
        raise TooLarge(f"unpacked, the body is longer than {room} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise InvalidRequest("the packed body is cut off, or goes on behind its end")
    return unpacked


def check_json(body: bytes, headers: Headers) -> None:
    """Raise `InvalidRequest` or `InvalidJson` unless the body is strict JSON, and says that it is JSON."""
    kind = headers.get("content-type", ("",))[0].partition(";")[0].strip().lower()
    if kind != JSON:
        raise InvalidRequest(f"a body is sent as {JSON}")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("JSON is UTF-8") from error
    parse_json(text)
