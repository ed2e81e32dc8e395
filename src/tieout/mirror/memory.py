"""Memory that was an array's, kept for the next one."""

from __future__ import annotations

import numpy as np

KEPT = 8 << 20
"""Half of the bytes that are kept at most: the arrays of some portions."""


def keep_freed() -> None:
    """Have the C library keep what arrays give back, so that the kernel need not clear pages for the next ones.

    glibc keeps twice as much as the largest piece that it has ever mapped for one array and seen freed (mallopt(3),
    "dynamic mmap threshold"), unless whoever runs the process has set its own limits. So one is freed, and no page of
    it was ever touched. Other C libraries do as they do.
    """
    np.empty(KEPT, dtype=np.uint8)
