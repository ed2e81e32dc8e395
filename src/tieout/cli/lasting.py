"""A process that has begun."""

from __future__ import annotations

import gc


def settled(*, at_once: bool = False) -> None:
    """What this process is made of stays as long as it does: the collector of garbage need not look at it again.

    Looking for garbage first holds everything up, for 50 ms and more where much is loaded. What was settled before has
    hardly any, and can be settled `at_once`.
    """
    if not at_once:
        gc.collect()
    gc.freeze()
