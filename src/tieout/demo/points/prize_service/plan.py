"""What the service is to do wrong."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

CLAIMS = {
    "issued": ("SUCCEEDED", "SUCCEEDED"),
    "refused": ("FAILED", "FAILED"),
    "failed_then_succeeded": ("FAILED", "SUCCEEDED"),
    "succeeded_then_failed": ("SUCCEEDED", "FAILED"),
    "mislabelled": ("SUCCEEDED", "SUCCEEDED"),
}
"""What a result says first, and what it says in the end. What is mislabelled is also told with a wrong sku."""

CONTRADICTIONS = {"failed_then_succeeded", "succeeded_then_failed", "mislabelled"}
"""Results that no caller can believe."""

ASPECTS = {
    "result": {*CLAIMS},
    "answer": {"slow", "tardy", "error", "silent", "garbage", "pending", "lost", "plain"},
    "query": {"slow", "error", "silent", "garbage", "hidden", "plain"},
    "callback": {"once", "twice", "late", "reordered", "none"},
}
DEFAULTS = {"result": "issued", "answer": "plain", "query": "plain", "callback": "none"}


class Plan:
    """What is to go wrong: by key where that was said, else by a share of all keys that the seed draws."""

    def __init__(self) -> None:
        self.seed = 0
        self.shares: dict[str, dict[str, float]] = {}
        self.keys: dict[str, dict[str, str]] = {}

    def take(self, body: dict[str, Any]) -> None:
        """Follow this order from now on; raise ValueError for one that makes no sense."""
        if "key" in body:
            chosen = {aspect: body[aspect] for aspect in ASPECTS if aspect in body}
            check(all(chosen[aspect] in ASPECTS[aspect] for aspect in chosen), "no such behaviour")
            self.keys[str(body["key"])] = chosen
            return
        shares = body["shares"]
        for aspect, parts in shares.items():
            check(aspect in ASPECTS and set(parts) <= ASPECTS[aspect], f"no such aspect or behaviour: {aspect}")
            check(0 <= sum(parts.values()) <= 1 and min(parts.values(), default=0) >= 0, "shares are 0 to 1")
        self.seed, self.shares = int(body.get("seed", self.seed)), shares

    def dice(self, *parts: object) -> float:
        """A number in [0, 1) that depends on the seed and these parts only."""
        text = "\0".join(str(part) for part in (self.seed, *parts))
        return int.from_bytes(blake2b(text.encode(), digest_size=6).digest(), "big") / 2**48

    def between(self, bounds: tuple[float, float], *parts: object) -> float:
        """A number within the bounds that depends on the seed and these parts only."""
        return bounds[0] + (bounds[1] - bounds[0]) * self.dice("between", *parts)

    def behaviour(self, aspect: str, key: str, attempt: int = 1) -> str:
        """What to do in this aspect, at this attempt. What was said for one key holds for its first attempt."""
        if aspect in self.keys.get(key, ()) and attempt == 1:
            return self.keys[key][aspect]
        dice = self.dice(aspect, key, attempt)
        for behaviour, share in self.shares.get(aspect, {}).items():
            if dice < share:
                return behaviour
            dice -= share
        return DEFAULTS[aspect]


def check(true: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as an assertion
    """Raise ValueError unless it is true."""
    if not true:
        raise ValueError(otherwise)
