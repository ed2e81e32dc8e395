"""A codec for tests, which shows what went through it."""

from __future__ import annotations


class Cipher:
    """A codec that hides what it is given, and knows its own writing; no cipher for anybody else."""

    def __init__(self, key: int = 7) -> None:
        self.key = key

    def encode(self, payload: bytes) -> bytes:
        return bytes([self.key]) + bytes(byte ^ self.key for byte in payload)

    def decode(self, stored: bytes) -> bytes:
        if stored[0] != self.key:
            raise ValueError("no such key")
        return bytes(byte ^ self.key for byte in stored[1:])


class Blind(Cipher):
    """One that does not notice what it has not written, and makes no text of it."""

    def decode(self, stored: bytes) -> bytes:
        return super().decode(stored) if stored[0] == self.key else b"\xff" + stored
