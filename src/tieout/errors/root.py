"""The root of the tree of errors."""

from __future__ import annotations

from typing import ClassVar


class TieoutError(Exception):
    """The root of the tree above."""

    code: ClassVar[str] = "error"
