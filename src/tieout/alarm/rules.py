"""Kinds of alarm, how grave each is, and what identifies one: decisions without effects."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from tieout.identity import canonical_json, fingerprint

Severity: TypeAlias = Literal["warning", "serious", "critical"]

SEVERITY: dict[str, Severity] = {
    "conflict": "critical",
    "unconfirmed": "critical",
    "possible-loss": "critical",
    "unknown-state": "serious",
    "deadline": "serious",
    "step-failing": "serious",
    "mass-drop": "serious",
    "replication-lapsed": "serious",
    "unfit-answer": "warning",
    "unknown-call": "warning",
}
"""Every kind of alarm and its severity."""

EVIDENCE_BYTES = 16_384
"""Longest body of one piece of evidence; a longer one is kept as a string, cut."""

SUMMARY_LENGTH = 500
"""Longest summary, in characters; a longer one is cut."""

EVIDENCE_LIMIT = 50
"""Pieces of evidence that one alarm keeps: the first ones, since those began it."""

RESOLUTIONS = ("followed-first", "followed-other", "settled-outside", "false-alarm", "accepted")
"""How a person may have resolved an alarm."""


class NewAlarm(msgspec.Struct, frozen=True):
    """An alarm to raise: repeated ones of the same kind and object raise the count of the first."""

    kind: str
    object: str
    summary: str
    process: bytes | None = None
    evidence: tuple[dict[str, Any], ...] = ()

    @property
    def id(self) -> bytes:
        """The fingerprint of kind and object."""
        return fingerprint(self.kind, self.object)


_WHO_SAID_IT = frozenset({"source", "by"})


def evidence_digest(evidence: dict[str, Any]) -> str:
    """What makes a piece of evidence the same as another: what it says, and not who said it."""
    said = {name: value for name, value in evidence.items() if name not in _WHO_SAID_IT}
    return fingerprint(canonical_json(said)).hex()


def evidence_body(evidence: dict[str, Any]) -> str:
    """The stored JSON of one piece of evidence, bounded."""
    body = canonical_json(evidence)
    if len(body.encode()) <= EVIDENCE_BYTES:
        return body
    return canonical_json({"cut": body.encode()[: EVIDENCE_BYTES // 2].decode(errors="ignore")})
