"""Our own options in a database URL."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from tieout.errors import ConfigError

Bounds: TypeAlias = tuple[type[int | float], float, float]
"""The kind of a number, and the least and the most that it may be."""


def number(name: str, text: str, options: Mapping[str, Bounds]) -> Any:
    """The value of the option `name`; raise `ConfigError` when it is no number or out of bounds."""
    kind, least, most = options[name]
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise ConfigError(f"?{name}= must be a number from {least} to {most}, and is not {text!r}")
    return value
