"""What users' values are stored as: JSON, or what an App's codec makes of it, such as a cipher."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Protocol, overload

from tieout.errors import PayloadUnreadable

ENCODED = "~"
"""What stands before a payload that a codec has written: no JSON begins with it, so that both are told apart."""


class PayloadCodec(Protocol):
    """Writes payloads as they are stored, and reads them again.

    It is called within transactions, from any thread: keep keys in memory, and wait for nothing.
    """

    def encode(self, payload: bytes) -> bytes:
        """What is stored of a payload, which is JSON in UTF-8, or the bytes of a message or an answer."""
        ...

    def decode(self, stored: bytes) -> bytes:
        """The payload again; raise anything when this codec has not written it, or has lost its key."""
        ...


class Payloads:
    """Payloads on their way to the database and back.

    Without a codec they are stored as they are. What was stored without one is read by an App that has one, so that
    it can be given one at any time; the other way round raises `PayloadUnreadable`.
    """

    def __init__(self, codec: PayloadCodec | None = None) -> None:
        self._codec = codec

    @overload
    def stored(self, text: str) -> str: ...
    @overload
    def stored(self, text: None) -> None: ...
    @overload
    def stored(self, text: str | None) -> str | None: ...
    def stored(self, text: str | None) -> str | None:
        """What to store of a text, JSON; None of None."""
        if self._codec is None or text is None:
            return text
        return ENCODED + b64encode(self._codec.encode(text.encode())).decode()

    @overload
    def read(self, stored: str) -> str: ...
    @overload
    def read(self, stored: None) -> None: ...
    @overload
    def read(self, stored: str | None) -> str | None: ...
    def read(self, stored: str | None) -> str | None:
        """The text that was stored; raise `PayloadUnreadable`."""
        if stored is None or not stored.startswith(ENCODED):
            return stored
        try:
            return self._decoded(b64decode(stored.removeprefix(ENCODED))).decode()
        except ValueError as error:
            raise PayloadUnreadable("a payload cannot be decoded: this is not what a codec was given") from error

    def stored_message(self, headers: str, body: bytes) -> tuple[str, bytes]:
        """What to store of a message: its headers (JSON), which are not encoded but say that its body is, and that."""
        return (headers, body) if self._codec is None else (ENCODED + headers, self._codec.encode(body))

    def read_message(self, headers: str, body: bytes) -> tuple[str, bytes]:
        """The headers and body that were stored; raise `PayloadUnreadable`."""
        if not headers.startswith(ENCODED):
            return headers, body
        return headers.removeprefix(ENCODED), self._decoded(body)

    def _decoded(self, stored: bytes) -> bytes:
        if self._codec is None:
            raise PayloadUnreadable("a payload was written by a codec, and this App was given none")
        try:
            return self._codec.decode(stored)
        except Exception as error:
            raise PayloadUnreadable("a payload cannot be decoded: its codec refuses it") from error


PLAIN = Payloads()
"""Payloads that are stored as they are."""
