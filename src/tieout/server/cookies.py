"""Cookies of people's browsers: sent to this server alone, out of reach of scripts, by TLS unless on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from litestar.datastructures import Cookie


class Cookies:
    """Cookies of the server that browsers reach at this URL.

    Their names begin with `__Host-` where they are sent by TLS: no other host of the domain, and nobody on the way of
    an unprotected request, can then put one of its own there.
    """

    def __init__(self, public_url: str) -> None:
        self.is_secure = public_url.startswith("https:")

    def name(self, what: str) -> str:
        """The name of a cookie."""
        return f"{'__Host-' if self.is_secure else ''}tieout-{what}"

    def write(self, what: str, value: str, seconds: int) -> Cookie:
        """One to be kept for so long; after no seconds it is gone."""
        return Cookie(
            key=self.name(what),
            value=value,
            max_age=seconds,
            path="/",
            httponly=True,
            samesite="lax",
            secure=self.is_secure,
        )

    def read(self, what: str, headers: Mapping[str, Sequence[str]]) -> str:
        """The value of a cookie of a request; "" when it is not there, or there more than once."""
        begin = f"{self.name(what)}="
        pairs = (pair.strip() for field in headers.get("cookie", ()) for pair in field.split(";"))
        found = [pair.removeprefix(begin) for pair in pairs if pair.startswith(begin)]
        return found[0] if len(found) == 1 else ""
