"""Receivers over HTTP: signed webhooks and the robots of chat services. Needs the extra `notify`."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from tieout.alarm.notify.addresses import AddressRefused, Network, addresses_of, is_allowed, networks_of
from tieout.alarm.notify.routing import DIGEST, Route, digest_of, notice_of, text_of
from tieout.contracts import Message
from tieout.errors import ConfigError
from tieout.wire.robots import Post, Robot, robot_post, robot_refusal
from tieout.wire.standard_webhooks import parse_key, sign

REQUEST_SECONDS = 4.0
"""Longest that one request may take."""

BEGIN_WITHIN = 4.0
"""Seconds in which requests of one part are begun; with the longest request that is within the relay's patience."""

AT_A_TIME = 8
"""Requests to one receiver at a time."""

ANSWER_BYTES = 4_096
"""How much of an answer is read."""


class WebReceiver:
    """Posts messages to one address, never anywhere else: redirects are not followed."""

    def __init__(self, route: Route, now: Callable[[], float] = time.time) -> None:
        self.route = route
        self.networks = networks_of(route.networks)
        self._now = now
        self._session: aiohttp.ClientSession | None = None
        _check_url(route.url, self.networks)

    async def open(self) -> None:
        """Make ready to send."""
        resolver = CheckedResolver(self.networks)
        connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, limit=AT_A_TIME)
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)

    async def close(self) -> None:
        """Give the connections back."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def publish(self, messages: Sequence[Message]) -> Sequence[str | None]:
        """Send them; what was not taken is told with why. Raise when none of them could be brought there."""
        raise NotImplementedError

    async def post(self, request: Post) -> tuple[int, bytes]:
        """The status and the beginning of the body of the answer."""
        if self._session is None:
            raise ConnectionError("this receiver is not open")
        # As the client itself reads it, which takes `127。0。0。1` for an address and looks no name up.
        host = URL(request.url).raw_host or ""
        if _is_numeric(host) and not (_is_ip(host) and is_allowed(host, self.networks)):
            raise AddressRefused(f"{host} is not public: name its network in `networks`")
        async with self._session.post(
            request.url, data=request.body, headers=request.headers, allow_redirects=False
        ) as answer:
            return answer.status, await answer.content.read(ANSWER_BYTES)


class Webhook(WebReceiver):
    """Signed as Standard Webhooks describe it. Whoever has answered with 2xx has it; a repetition has the same id."""

    def __init__(self, route: Route, now: Callable[[], float] = time.time) -> None:
        super().__init__(route, now)
        self._key = parse_key(route.secret)

    async def publish(self, messages: Sequence[Message]) -> Sequence[str | None]:
        """Send each, several at a time."""
        places, begun = asyncio.Semaphore(AT_A_TIME), time.monotonic()
        unreached: list[Exception] = []

        async def one(message: Message) -> str | None:
            async with places:
                if time.monotonic() - begun > BEGIN_WITHIN:
                    return "not sent yet: those before it took too long"
                try:
                    return await self._send(message)
                except (OSError, aiohttp.ClientError, TimeoutError) as error:
                    unreached.append(error)
                    return f"{type(error).__name__}: {error}"

        verdicts = await asyncio.gather(*map(one, messages))
        if len(unreached) == len(messages):
            raise unreached[0]
        return verdicts

    async def _send(self, message: Message) -> str | None:
        signed = sign(self._key, message.id, int(self._now()), message.body)
        headers = {"content-type": "application/json", **signed}
        status, _ = await self.post(Post(self.route.url, headers, message.body))
        return None if 200 <= status < 300 else f"HTTP {status}"


class RobotReceiver(WebReceiver):
    """Has the robot of a chat group say them: few at a time each by itself, many as one."""

    def __init__(self, route: Route, robot: Robot, now: Callable[[], float] = time.time) -> None:
        super().__init__(route, now)
        self.robot = robot

    async def publish(self, messages: Sequence[Message]) -> Sequence[str | None]:
        """Send them one after the other, or all as one."""
        notices = [notice_of(message.body) for message in messages]
        if len(messages) > DIGEST:
            return [await self._say(digest_of(notices))] * len(messages)
        verdicts: list[str | None] = []
        begun = time.monotonic()
        for notice in notices:
            if time.monotonic() - begun > BEGIN_WITHIN:
                verdicts.append("not sent yet: those before it took too long")
                continue
            try:
                verdicts.append(await self._say(text_of(notice)))
            except (OSError, aiohttp.ClientError, TimeoutError) as error:
                if not any(verdict is None for verdict in verdicts):
                    raise
                verdicts.append(f"{type(error).__name__}: {error}")
        return verdicts

    async def _say(self, text: str) -> str | None:
        request = robot_post(self.robot, self.route.url, self.route.secret, text, self._now())
        return robot_refusal(self.robot, *await self.post(request))


class CheckedResolver(AbstractResolver):
    """Looks names up, and gives addresses out only if all that a name has are allowed."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses that a connection is made to."""
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, address in await addresses_of(host, port, self._networks)
        ]

    async def close(self) -> None:
        """There is nothing to give back."""


def _check_url(url: str, networks: Sequence[Any]) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ConfigError("the address of a receiver is written https://host/path")
    if parts.scheme == "http" and not networks:
        raise ConfigError("alarms leave by https; http is for receivers in a network that `networks` names")


def _is_numeric(host: str) -> bool:
    """Whether a client may take it for an address, however short: no name is looked up then."""
    return ":" in host or host.replace(".", "").isdigit()


def _is_ip(host: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except OSError:
        return False
    return True
