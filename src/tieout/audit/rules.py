"""The chain of the audit: what a row's digest stands for, and what is wrong with rows that do not fit: pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

from tieout.errors import ConfigError

FAULTS = 1_000
"""Faults that are told one by one; all are counted."""

ANCHOR = "[1-9][0-9]{0,17}:[0-9a-f]{64}"
"""What an anchor looks like."""

Wrong: TypeAlias = Literal["changed", "removed", "reordered", "unchained", "head"]


class AuditRow(msgspec.Struct, frozen=True):
    """One act of a person; `at` is the server's time in microseconds, `detail` JSON.

    `number` is its place in the chain, counted from 1, `previous` the digest of the row before it, `digest` its own;
    all three are None in rows that were written before there was a chain.
    """

    seq: int
    at: int
    actor: str
    action: str
    object: str
    reason: str
    detail: str
    number: int | None = None
    previous: bytes | None = None
    digest: bytes | None = None


class Head(msgspec.Struct, frozen=True):
    """The end of the chain. Rows up to `since` (by `seq`) were there before it began; `now` is the server's time."""

    number: int
    digest: bytes
    since: int
    now: int


class Anchor(msgspec.Struct, frozen=True):
    """A row of the chain as somebody noted it, to be looked for later: written `number:digest`."""

    number: int
    digest: bytes

    def __str__(self) -> str:
        return f"{self.number}:{self.digest.hex()}"


class Fault(msgspec.Struct, frozen=True):
    """What is wrong: with the rows of the chain from `first` to `last`, or with the row `seq` alone."""

    wrong: Wrong
    first: int | None
    last: int | None
    seq: int | None
    told: str


def row_digest(row: AuditRow) -> bytes:
    """SHA-256 of the digest before it and of every field, each behind its length in eight bytes."""
    fields = (row.number, row.at, row.actor, row.action, row.object, row.reason, row.detail)
    hashed = hashlib.sha256(row.previous or b"")
    for field in fields:
        text = str(field).encode()
        hashed.update(len(text).to_bytes(8, "big") + text)
    return hashed.digest()


def parse_anchor(text: str) -> Anchor:
    """An anchor written `number:digest`; raise `ConfigError`."""
    noted = text.strip()
    if re.fullmatch(ANCHOR, noted) is None:
        raise ConfigError(f"an anchor is written number:digest, with 64 hex digits, not {text!r:.100}")
    number, _, digest = noted.partition(":")
    return Anchor(int(number), bytes.fromhex(digest))


class Checking:
    """Checks rows that are given in the order of their `seq`, from the beginning or from behind an anchor."""

    def __init__(self, since: int, anchor: Anchor | None = None) -> None:
        self.chained = 0
        self.early = 0
        self.fault_count = 0
        self.faults: list[Fault] = []
        self.last = anchor or Anchor(0, bytes(32))
        self._since = since
        self._last_is_told = False
        self._missing: dict[int, int] = {}

    def compare(self, noted: Anchor, row: AuditRow) -> None:
        """Check the row that somebody noted; the next one is held to it as it is now."""
        if row.digest != noted.digest or row_digest(row) != row.digest:
            self._changed(noted.number, row.seq)
        self.last = Anchor(noted.number, row.digest or bytes(32))

    def lacks(self, noted: Anchor) -> None:
        """Tell that a row that somebody noted is gone; all others are checked from the beginning."""
        self._fault("removed", noted.number, noted.number, None, f"row {noted.number}, which was noted, is missing")
        self.last = Anchor(0, bytes(32))

    def take(self, rows: Iterable[AuditRow]) -> None:
        """Check the next rows."""
        for row in rows:
            if row.number is None or row.digest is None:
                self._unchained(row)
            else:
                self._chained(row, row.number, row.digest)

    def reach(self, head: Head) -> None:
        """All rows up to `head` were given: tell what is missing, before it and up to it."""
        if head.number > self.last.number:
            self._missing[self.last.number + 1] = head.number
        elif head.number < self.last.number:
            self._fault("head", None, None, None, f"the chain is said to end at {head.number}, and goes on behind it")
        elif head.digest != self.last.digest and not self._last_is_told:
            self._changed(self.last.number, None)
        self.tell_missing()

    def tell_missing(self) -> None:
        """Tell what is missing between the rows that were given."""
        for first, last in sorted(self._missing.items()):
            rows = f"row {first} is" if first == last else f"rows {first} to {last} are"
            self._fault("removed", first, last, None, f"{rows} missing")
        self._missing.clear()

    def _unchained(self, row: AuditRow) -> None:
        if row.seq <= self._since:
            self.early += 1
            return
        told = f"the row with seq {row.seq} is in no chain: an older version wrote it, or somebody by hand"
        self._fault("unchained", None, None, row.seq, told)

    def _chained(self, row: AuditRow, number: int, digest: bytes) -> None:
        self.chained += 1
        is_changed = row_digest(row) != digest
        if is_changed:
            self._changed(number, row.seq)
        if number <= self.last.number:
            self._give_back(number)
            self._fault("reordered", number, number, row.seq, f"row {number} stands behind row {self.last.number}")
            return
        if number > self.last.number + 1:
            self._missing[self.last.number + 1] = number - 1
        elif row.previous != self.last.digest and not (is_changed or self._last_is_told):
            self._changed(self.last.number or number, None)
        self.last, self._last_is_told = Anchor(number, digest), is_changed

    def _give_back(self, number: int) -> None:
        """Take a row that comes late out of those that are missing."""
        for first, last in list(self._missing.items()):
            if first <= number <= last:
                del self._missing[first]
                self._missing |= {first: number - 1} if first < number else {}
                self._missing |= {number + 1: last} if number < last else {}

    def _changed(self, number: int, seq: int | None) -> None:
        self._fault("changed", number, number, seq, f"row {number} is not as it was written")

    def _fault(self, wrong: Wrong, first: int | None, last: int | None, seq: int | None, told: str) -> None:
        self.fault_count += 1
        if len(self.faults) < FAULTS:
            self.faults.append(Fault(wrong, first, last, seq, told))
