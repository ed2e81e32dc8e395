"""How routes describe themselves in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from litestar.openapi.datastructures import ResponseSpec

from tieout.access import Permission
from tieout.server.problems import Problem
from tieout.wire.idempotency_key import HEADER
from tieout.wire.problem import CONTENT_TYPE

MEANINGS = {
    400: "The request is not as it has to be.",
    401: "Nobody knows who asks.",
    403: "Who asks may not do this.",
    404: "There is no such thing, or not for who asks.",
    405: "There is nothing here for this method.",
    409: "It does not apply to the state that this is in.",
    410: "This key was used so long ago that only a tombstone is left.",
    413: "The body is too long.",
    422: "The params do not fit their types, differ from those first sent, or the business says no.",
    429: "One caller asks too often: see Retry-After.",
    431: "The header fields are too long.",
    500: "This failed.",
    503: "The server cannot answer now: repeat the same request, see Retry-After.",
}

EVERYWHERE = (400, 401, 403, 404, 429, 431, 500, 503)


def refusals(*more: int) -> dict[int, ResponseSpec]:
    """The problems that a route may answer with: those of every route, and its own."""
    return {
        status: ResponseSpec(Problem, generate_examples=False, description=MEANINGS[status], media_type=CONTENT_TYPE)
        for status in sorted({*EVERYWHERE, *more})
    }


WITH_BODY = (409, 413, 422)
"""What routes that take a body may answer besides."""


def permits(*wanted: Permission) -> dict[str, Any]:
    """The keyword arguments of a route for callers with one of these permissions."""
    return {"opt": {"permits": wanted}, "security": [{"token": []}]}


KEY_SCHEMA = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": r'^([!#-+.-~-]+|"([ !#-+.-\[\]-~-]|,)+")$',
}
"""What an Idempotency-Key looks like: `8e03978e`, or a string of Structured Fields, `"8e03978e"`."""


def described(document: dict[str, Any]) -> dict[str, Any]:
    """The document that Litestar makes, with what it cannot know: bodies take no other fields, and a key is needed."""
    parts = document["components"]["schemas"]
    for operation in (one for methods in document["paths"].values() for one in methods.values()):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            name = content["schema"].get("$ref", "").rpartition("/")[2]
            for part in (name, *NESTED.get(name, ())):
                parts[part]["additionalProperties"] = False
        for parameter in operation.get("parameters", ()):
            if parameter["name"] == HEADER:
                parameter |= {"required": True, "schema": KEY_SCHEMA}
    return document


NESTED = {"ToCount": ("Which",), "ToDo": ("Which",)}
"""Parts of bodies that take no other fields either."""


OPEN: dict[str, Any] = {"opt": {"open": True}, "security": [{}]}
"""Those of a route for everybody."""
