"""E-mail, by SMTP with TLS."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from tieout.alarm.notify.addresses import addresses_of, networks_of
from tieout.alarm.notify.routing import DIGEST, Route, digest_of, headline, notice_of, text_of
from tieout.contracts import Message
from tieout.errors import ConfigError

SECONDS = 8.0
"""Longest that the server may be silent: within the relay's patience."""

CONNECTIONS = 2
"""Connections that one part is sent over at the most."""

DOMAIN = "alarms.tieout.invalid"
"""Behind the ids of messages, which lead nowhere."""


class Mail:
    """Sends messages to the recipients of a route; those of one alarm are one thread."""

    def __init__(self, route: Route, tls: ssl.SSLContext | None = None) -> None:
        self.route = route
        self.networks = networks_of(route.networks)
        self.server = _checked(urlsplit(route.url))
        self.tls = tls

    async def open(self) -> None:
        """There is nothing to be made ready: each part has a connection of its own."""

    async def close(self) -> None:
        """There is nothing to give back."""

    async def publish(self, messages: Sequence[Message]) -> Sequence[str | None]:
        """Send them, few at a time each by itself, many as one; raise when the server cannot be spoken to."""
        host, port = self.server.hostname or "", self.server.port or _port(self.server.scheme)
        addresses = await addresses_of(host, port, self.networks)
        letters = self._letters(messages)
        verdicts = await asyncio.to_thread(self._send, addresses[0][1], host, port, letters)
        return verdicts if len(letters) == len(messages) else verdicts * len(messages)

    def _letters(self, messages: Sequence[Message]) -> list[EmailMessage]:
        notices = [notice_of(message.body) for message in messages]
        if len(messages) > DIGEST:
            return [self._letter(messages[0].id, "", f"{len(messages)} alarms", digest_of(notices))]
        return [
            self._letter(message.id, notice.id, headline(notice), text_of(notice))
            for message, notice in zip(messages, notices, strict=True)
        ]

    def _letter(self, message_id: str, thread: str, subject: str, text: str) -> EmailMessage:
        letter = EmailMessage()
        letter["From"], letter["To"], letter["Subject"] = self.route.sender, ", ".join(self.route.recipients), subject
        letter["Message-ID"] = f"<{message_id}@{DOMAIN}>"
        letter["Auto-Submitted"] = "auto-generated"
        if thread:
            letter["References"] = f"<{thread}@{DOMAIN}>"
        letter.set_content(text)
        return letter

    def _send(self, address: str, host: str, port: int, letters: list[EmailMessage]) -> list[str | None]:
        """What became of each. Behind a letter that the connection broke with, the rest is sent over one more.

        Otherwise what was taken before it would be sent again with it, and what is behind it never.
        """
        verdicts: list[str | None] = []
        for _ in range(CONNECTIONS):
            try:
                with self._connected(address, host, port) as server:
                    verdicts += self._hand_over_all(server, letters[len(verdicts) :])
            except OSError:
                if None not in verdicts:
                    raise
                break
            if len(verdicts) == len(letters):
                break
        return verdicts + ["not sent yet: the connection broke"] * (len(letters) - len(verdicts))

    def _hand_over_all(self, server: smtplib.SMTP, letters: list[EmailMessage]) -> list[str | None]:
        """What became of each, up to the one that the connection broke with."""
        verdicts: list[str | None] = []
        for letter in letters:
            try:
                verdicts.append(self._hand_over(server, letter))
            except OSError as error:
                return [*verdicts, f"{type(error).__name__}: {error}"]
        return verdicts

    def _connected(self, address: str, host: str, port: int) -> smtplib.SMTP:
        context = self.tls or ssl.create_default_context()
        if self.server.scheme == "smtps":
            server: smtplib.SMTP = PinnedTls(address, host, port, timeout=SECONDS, context=context)
        else:
            server = Pinned(address, host, port, timeout=SECONDS)
            server.ehlo()
            if server.has_extn("starttls") or not self.networks:
                server.starttls(context=context)
        if self.server.username:
            server.login(unquote(self.server.username), unquote(self.server.password or ""))
        return server

    def _hand_over(self, server: smtplib.SMTP, letter: EmailMessage) -> str | None:
        try:
            refused = server.send_message(letter)
        except smtplib.SMTPServerDisconnected:
            raise
        except smtplib.SMTPException as error:
            server.rset()
            return f"{type(error).__name__}: {error}"
        return f"refused for {', '.join(refused)}" if refused else None


class Pinned(smtplib.SMTP):
    """A connection to an address that was looked at, under the name that the server has to prove."""

    def __init__(self, address: str, host: str, port: int, **more: Any) -> None:
        self.address = address
        super().__init__(host, port, **more)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return socket.create_connection((self.address, port), timeout)


class PinnedTls(smtplib.SMTP_SSL):
    """The same, with TLS from the beginning."""

    def __init__(self, address: str, host: str, port: int, **more: Any) -> None:
        self.address = address
        self.server_name = host
        super().__init__(host, port, **more)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        bare = socket.create_connection((self.address, port), timeout)
        return self.context.wrap_socket(bare, server_hostname=self.server_name)


def _checked(url: SplitResult) -> SplitResult:
    if url.scheme not in ("smtp", "smtps") or not url.hostname:
        raise ConfigError("an e-mail server is written smtp://user:password@host:587 or smtps://user:password@host")
    return url


def _port(scheme: str) -> int:
    return 465 if scheme == "smtps" else 587
