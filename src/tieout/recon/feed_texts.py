"""Texts as the databases' own logs have them, made the canonical ones. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from tieout.recon.values import EPOCH, micros

ENDS = ("0", ".")
"""How a decimal ends that is not canonical."""


def written_moment(value: str) -> str:
    """Microseconds since 1970 of a time as databases write it, UTC where it names no zone; others stay as they are."""
    try:
        return str(_since_epoch(datetime.fromisoformat(value)))
    except ValueError:
        return value


def written_micros(value: str) -> int | None:
    """What `micros` makes of a `written_moment`, without the text in between."""
    try:
        return _since_epoch(datetime.fromisoformat(value))
    except ValueError:
        return micros(value)


def _since_epoch(at: datetime) -> int:
    since = at - EPOCH if at.tzinfo is not None else at.replace(tzinfo=UTC) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def written_bytes(value: str) -> str:
    """The hex digits of bytes as feeds tell them."""
    return value.removeprefix("\\x")


def without_zeros(value: str) -> str:
    """A decimal without the zeros at its end; what has no point stays as it is."""
    return value.rstrip("0").rstrip(".") if value.endswith(ENDS) and "." in value else value
