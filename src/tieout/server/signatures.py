"""Signed messages: who has signed a request, by Standard Webhooks or by HTTP Message Signatures."""

from __future__ import annotations

import time

from tieout.errors import NotAuthenticated
from tieout.server.site import Asked, Site, headers_of
from tieout.wire import http_signatures, standard_webhooks
from tieout.wire.standard_webhooks import Fault, Signed


def signed_by(request: Asked, site: Site, body: bytes) -> Signed | Fault:
    """Whose signature a request has, or what is wrong with it; every sender's keys count, in either profile.

    One that has the fields of both is judged by those of Standard Webhooks alone.
    """
    headers, now = headers_of(request), time.time()
    if standard_webhooks.SIGNATURE in headers or http_signatures.INPUT not in headers:
        return standard_webhooks.verify(headers, body, site.sender_keys, now)
    scope = request.scope
    query = scope["query_string"].decode("latin-1")
    path = scope["tieout.target"].decode("latin-1")  # type: ignore[typeddict-item]  # the front has put it there
    asked = http_signatures.Asked(scope["method"], path, query, headers, body)
    return http_signatures.verify(asked, site.sender_keys, now)


def not_signed(what: str, fault: Fault) -> NotAuthenticated:
    """The refusal of a message that is not rightly signed."""
    return NotAuthenticated(f"this {what} is not rightly signed: {fault}")
