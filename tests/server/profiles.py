"""The two ways to sign a message: what signs, and the ways in which a message so signed may be forged."""

from __future__ import annotations

import time
from typing import NamedTuple, Protocol

from tests.server import forging, request_forging
from tests.server.callbacks import numbers, signed
from tests.server.forging import Forge
from tests.server.node import KEY
from tests.server.request_forging import signed_request


class Sign(Protocol):
    """Signs a body that is posted to a path; the same `id` is the same message."""

    def __call__(
        self, path: str, body: bytes, *, key: str = KEY, id: str = "", sender: str = "prizes"
    ) -> dict[str, str]:
        """The header fields."""


class Profile(NamedTuple):
    """One way to sign."""

    name: str
    sign: Sign
    classes: dict[str, Forge]


def by_webhook(path: str, body: bytes, *, key: str = KEY, id: str = "", sender: str = "prizes") -> dict[str, str]:
    """As Standard Webhooks describe it, where neither path nor sender is signed."""
    del path, sender
    return signed(key, body, id=id)


def by_request(path: str, body: bytes, *, key: str = KEY, id: str = "", sender: str = "prizes") -> dict[str, str]:
    """As RFC 9421 describes it."""
    nonce = id or f"n-{next(numbers)}-{time.monotonic_ns()}"
    return signed_request(path, body, key=key, keyid=sender, nonce=nonce)


PROFILES = (
    Profile("webhooks", by_webhook, forging.CLASSES),
    Profile("requests", by_request, request_forging.CLASSES),
)
