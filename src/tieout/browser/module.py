"""The file, and how it is answered: with a mark, so that a browser that has it is not sent it again."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import NamedTuple

TYPE = "text/javascript; charset=utf-8"

MODULE = (resources.files("tieout.browser") / "tieout.js").read_bytes()
"""The module's text: a site that serves or bundles files of its own writes it there."""

MARK = f'"{hashlib.sha256(MODULE).hexdigest()[:32]}"'

FRESH = "public, max-age=600"
"""Its address names no version: after ten minutes a browser asks whether it has changed."""


class Served(NamedTuple):
    """An answer to be sent as it is."""

    status: int
    headers: dict[str, str]
    body: bytes


def serve_module(if_none_match: str = "") -> Served:
    """The answer to a GET: the module, or 304 when one of the marks in `If-None-Match` is its own."""
    headers = {"Cache-Control": FRESH, "ETag": MARK}
    marks = {mark.strip().removeprefix("W/") for mark in if_none_match.split(",")}
    if MARK in marks or "*" in marks:
        return Served(304, headers, b"")
    return Served(200, {**headers, "Content-Type": TYPE}, MODULE)
