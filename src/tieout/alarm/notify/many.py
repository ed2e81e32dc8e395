"""All else that apprise reaches. Needs the extra `apprise`.

Where apprise connects to is its own affair: the rule about addresses does not hold for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import apprise

from tieout.alarm.notify.routing import DIGEST, Route, digest_of, headline, notice_of, text_of
from tieout.contracts import Message
from tieout.errors import ConfigError


class Apprise:
    """Hands messages to one of the services that apprise knows, by its URL."""

    def __init__(self, route: Route) -> None:
        self.service = apprise.Apprise()
        if not self.service.add(route.url):
            raise ConfigError("apprise knows no service with this address")

    async def open(self) -> None:
        """There is nothing to be made ready."""

    async def close(self) -> None:
        """There is nothing to give back."""

    async def publish(self, messages: Sequence[Message]) -> Sequence[str | None]:
        """Hand them over, few at a time each by itself, many as one."""
        notices = [notice_of(message.body) for message in messages]
        if len(messages) > DIGEST:
            return [await self._tell(f"{len(messages)} alarms", digest_of(notices))] * len(messages)
        return [await self._tell(headline(notice), text_of(notice)) for notice in notices]

    async def _tell(self, title: str, text: str) -> str | None:
        return None if await self.service.async_notify(title=title, body=text) else "apprise could not deliver it"
