"""Signed messages: who has signed a request's body, by Standard Webhooks."""

from __future__ import annotations

import time

from tieout.errors import NotAuthenticated
from tieout.server.site import Asked, Site, headers_of
from tieout.wire.standard_webhooks import Fault, Signed, verify


def signed_by(request: Asked, site: Site, body: bytes) -> Signed | Fault:
    """Whose signature the body has, or what is wrong with it; every sender's keys count."""
    return verify(headers_of(request), body, site.sender_keys, time.time())


def not_signed(what: str, fault: Fault) -> NotAuthenticated:
    """The refusal of a message that is not rightly signed."""
    return NotAuthenticated(f"this {what} is not rightly signed: {fault}")
