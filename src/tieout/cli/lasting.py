"""A process that has begun."""

from __future__ import annotations

import gc


def settled() -> None:
    """What this process is made of stays as long as it does: the collector of garbage need not look at it again."""
    gc.collect()
    gc.freeze()
