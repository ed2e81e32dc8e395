"""Problem details (RFC 9457): what an HTTP API answers when it refuses."""

from __future__ import annotations

from http.client import responses

from tieout.identity import encode_json

CONTENT_TYPE = "application/problem+json"


def problem(status: int, code: str, detail: str, documentation: str = "") -> bytes:
    """The body of a problem. `code` is stable and for machines; `detail` is for people.

    `type` is the address of the code's explanation below `documentation`, and "about:blank" without one.
    """
    kind = f"{documentation}#{code}" if documentation else "about:blank"
    body = {"type": kind, "title": responses.get(status, ""), "status": status, "detail": detail, "code": code}
    return encode_json(body).encode()
