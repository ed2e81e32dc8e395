"""The row of a request comes first, and its answer with the COMMIT: MySQL and MariaDB."""

from __future__ import annotations

from tieout.once.row_first.store import RowFirst

__all__ = ["RowFirst"]
