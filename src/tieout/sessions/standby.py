"""What PostgreSQL says beside a COMMIT that its standby has not confirmed."""

from __future__ import annotations

from typing import Any

from tieout.errors import CommitUnknown


class Standby:
    """Listens on a driver's connection, if it tells of the server's notices."""

    def __init__(self) -> None:
        self._driver: Any = None
        self._doubt = ""

    def listen(self, driver: Any) -> None:
        self._driver = driver
        if hasattr(driver, "add_log_listener"):
            driver.add_log_listener(self._hear_asyncpg)
        elif hasattr(driver, "add_notice_handler"):
            driver.add_notice_handler(self._hear_psycopg)

    def stop(self) -> None:
        driver, self._driver = self._driver, None
        if hasattr(driver, "remove_log_listener"):
            driver.remove_log_listener(self._hear_asyncpg)
        elif hasattr(driver, "remove_notice_handler"):
            driver.remove_notice_handler(self._hear_psycopg)

    def check(self) -> None:
        """Raise `CommitUnknown` when the COMMIT is done here, and perhaps nowhere else."""
        if self._doubt:
            raise CommitUnknown(f"committed here, and perhaps not on the standby: {self._doubt}")

    def _hear_asyncpg(self, _: Any, message: Any) -> None:
        self._hear(message.server_source_function, str(message))

    def _hear_psycopg(self, diagnosis: Any) -> None:
        self._hear(diagnosis.source_function, str(diagnosis.message_primary))

    def _hear(self, source: str | None, message: str) -> None:
        # A cancelled wait for the standby is reported as success with a warning; only where it comes from tells.
        if (source or "").startswith("SyncRep"):
            self._doubt = message
