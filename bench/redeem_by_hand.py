"""What every floor of a redemption has in common: statements filled in, requests made up, and JSON written by hand.

Nothing of tieout is imported here.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, NamedTuple

USERS = 1_000
TIMEOUT = 2.0
"""Seconds that the call may take, as in ours."""


NOW = "now()"
"""The name of the time, where it is one of the parameters."""


class Statement:
    """A text and a way to fill its parameters in order; a name that is there twice is filled in twice."""

    def __init__(self, text: str, params: list[str], constants: dict[str, Any]) -> None:
        self.text = text
        self.template = [constants.get(name) for name in params]
        self.places: dict[str, list[int]] = {}
        for place, name in enumerate(params):
            self.places.setdefault(name, []).append(place)
        self.times = self.places.get(NOW, [])

    def args(self, **values: Any) -> list[Any]:
        """The values in order."""
        args = self.template.copy()
        for name, value in values.items():
            for place in self.places[name]:
                args[place] = value
        for place in self.times:
            args[place] = time.time_ns() // 1_000
        return args


def statements(given: str) -> tuple[Statement, Statement, Statement, Statement]:
    """Deduct, change, insert and save, from what the benchmark gives as JSON."""
    found = json.loads(given)
    deduct, change, insert, save = (Statement(*found[name]) for name in ("deduct", "change", "insert", "save"))
    return deduct, change, insert, save


class Request(NamedTuple):
    """One redemption, with the columns of its row that the start writes."""

    process: bytes
    key: bytes
    user: str
    params: str
    entry: dict[str, Any]

    @property
    def calls(self) -> str:
        """The calls column."""
        return json.dumps([self.entry])


def request(number: int) -> Request:
    """A new redemption."""
    key, user = os.urandom(16).hex(), f"user{number % USERS}"
    params = json.dumps({"request_id": key, "user": user, "sku": "mug", "quantity": 2})
    entry = {"n": 1, "step": "issue", "args": {"sku": "mug", "quantity": 2}}
    return Request(os.urandom(16), key.encode(), user, params, entry)


def ended(one: Request, at: int, code: str) -> dict[str, Any]:
    """The columns of the row that the end writes."""
    value = {"code": code}
    one.entry["final"] = {"kind": "succeeded", "source": "immediate", "by": "call", "at": at, "value": value,
                          "identity": {"code": "0123456789abcdef"}}  # fmt: skip
    one.entry["closed"] = True
    trail = json.dumps([{"to": "completed", "at": at, "source": "immediate", "by": "call", "n": 1}])
    return {"id": one.process, "params": one.params, "calls": one.calls, "trail": trail, "result": json.dumps(value)}


def started(one: Request) -> dict[str, Any]:
    """The columns of the row that the start writes."""
    return {
        "id": one.process,
        "owner": one.user.encode(),
        "request_key": one.key,
        "params": one.params,
        "calls": one.calls,
    }


async def issue(process: bytes) -> str:
    """The call, in process."""
    return process.hex()[:12]
