"""Callbacks as a downstream sends them, and every way in which somebody else might."""

from __future__ import annotations

import json
import time
from itertools import count
from typing import Any

from tieout.wire.standard_webhooks import parse_key, sign

numbers = count(1)


def body_for(call_key: str, outcome: str = "succeeded", **more: Any) -> bytes:
    """The body of a report; of a success unless told otherwise."""
    value = {"value": {"code": "A1", "sku": "pending"}} if outcome == "succeeded" else {}
    return json.dumps({"call_key": call_key, "outcome": outcome, **value, **more}).encode()


def signed(key: str, body: bytes, *, id: str = "", age: int = 0) -> dict[str, str]:
    """The headers of a rightly signed message."""
    message = id or f"msg_{next(numbers)}_{time.monotonic_ns()}"
    return sign(parse_key(key), message, int(time.time()) - age, body) | {"content-type": "application/json"}


def report(caller: Any, call_key: str, body: bytes, headers: dict[str, str]) -> Any:
    """Send it."""
    return caller.post(f"/v1/report/{call_key}", content=body, headers=headers)
