"""What every floor of `once` has in common. Nothing of tieout is imported here."""

from __future__ import annotations

import hashlib
import json
from typing import Any

SKUS = 1_000


def fingerprint(params: dict[str, Any]) -> str:
    """What stands for the params, as a service would write it."""
    return hashlib.blake2b(json.dumps(params, sort_keys=True).encode(), digest_size=16).hexdigest()
