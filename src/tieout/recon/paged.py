"""A side whose rows come from an HTTP API, page by page: what users write of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from tieout.errors import DefinitionError

FASTEST = 1_000.0
"""Most requests a second that may be asked for."""


class Cursor(NamedTuple):
    """Where an answer names the next page (a path such as "meta.next"), and the parameter that asks for it."""

    path: str
    parameter: str


class Paged(msgspec.Struct, frozen=True):
    """An API that gives rows page by page; made by `http`."""

    url: str
    rows: str
    page: str | None
    first: int
    cursor: Cursor | None
    headers: dict[str, str]
    per_second: float

    def __repr__(self) -> str:
        """Without headers, which may hold a secret."""
        return f"http({self.url!r})"


def http(
    url: str,
    *,
    rows: str = "",
    page: str | None = None,
    first: int = 1,
    cursor: tuple[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    per_second: float = 5.0,
) -> Paged:
    """Rows as JSON objects from `url`, in which `{date}`, `{since}` and `{until}` stand for the period that is read.

    rows        where in an answer the list of rows is, such as "data.items"; "" where the answer is the list
    page        the parameter that counts pages, from `first` until a page is empty
    cursor      where an answer names what follows, and the parameter that asks for it; none, null or "" is the end
    per_second  most requests a second
    """
    if not url.startswith(("http://", "https://")):
        raise DefinitionError(f"http: {url!r} is no http:// or https:// URL")
    if (page is None) == (cursor is None):
        raise DefinitionError("http: say page= or cursor=, whichever the API has")
    if not 0 < per_second <= FASTEST:
        raise DefinitionError(f"http: per_second is above 0, up to {FASTEST:.0f}")
    return Paged(url, rows, page, first, Cursor(*cursor) if cursor else None, dict(headers or {}), per_second)
