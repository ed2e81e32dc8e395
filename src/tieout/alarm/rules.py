"""Kinds of alarm, how grave each is, and what identifies one: decisions without effects."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from tieout.identity import canonical_json, fingerprint

Severity: TypeAlias = Literal["warning", "serious", "critical"]

AlarmState: TypeAlias = Literal["open", "acknowledged", "resolved"]

SEVERITY: dict[str, Severity] = {
    "conflict": "critical",
    "breaker": "serious",
    "unconfirmed": "critical",
    "possible-loss": "critical",
    "unknown-state": "serious",
    "deadline": "serious",
    "step-failing": "serious",
    "dead-message": "serious",
    "mass-drop": "serious",
    "dictionary-full": "serious",
    "mirror-slo": "serious",
    "replication-lapsed": "serious",
    "recon-breaks": "serious",
    "feed-gap": "serious",
    "feed-silent": "serious",
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

FOLDED = frozenset({"deadline", "unfit-answer"})
"""Kinds that a downstream's outage brings about by the thousand: they fold under the alarm of its breaker."""

SECOND_PERSON = frozenset({"conflict", "unconfirmed"})
"""Kinds that two persons have to resolve, unless somebody says otherwise: money may have moved, or not."""

CLEARED = "cleared"
"""The resolution of an alarm whose cause went away by itself."""

MACHINE = "tieout"
"""Who did what no person did."""

NEVER = 1 << 62
"""Later than every time."""

LONGEST_SNOOZE = 30 * 86_400_000_000
"""Microseconds that an alarm may be snoozed at the most: what is put off for longer is forgotten."""

OWNER_LENGTH = 190
"""Longest name of an owner, in characters."""

Happening: TypeAlias = Literal[
    "opened",
    "reopened",
    "news",
    "acknowledged",
    "owned",
    "snoozed",
    "woken",
    "escalated",
    "folded",
    "unfolded",
    "wished",
    "resolved",
]
"""What may happen to an alarm; each is kept in its history."""

RESOLUTIONS = ("followed-first", "followed-other", "settled-outside", "false-alarm", "accepted")
"""How a person may have resolved an alarm."""


class NewAlarm(msgspec.Struct, frozen=True):
    """An alarm to raise: repeated ones of the same kind and object raise the count of the first.

    `lane` is the downstream that it is about, if there is one. `reopens`: it opens a resolved one also without new
    evidence, because its cause comes and goes.
    """

    kind: str
    object: str
    summary: str
    process: bytes | None = None
    evidence: tuple[dict[str, Any], ...] = ()
    lane: str = ""
    reopens: bool = False

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


class Standing(msgspec.Struct, frozen=True):
    """What of an alarm changes with time. Times are the server's, in microseconds."""

    state: AlarmState
    escalation: int
    opened_at: int
    snoozed_until: int | None
    parent: bytes | None


class Tended(msgspec.Struct, frozen=True):
    """What the time that has passed makes of an alarm: what happened, how it stands, when to look at it next."""

    happening: Happening | None
    standing: Standing
    attention: int


def tend(alarm: Standing, *, parent_is_open: bool, pause: int, levels: int, now: int) -> Tended:
    """What becomes of an alarm at `now`; it escalates each `pause` that it is open, at most `levels` times.

    A folded one waits for its parent, a snoozed one for its time, an acknowledged one for its owner.
    """
    replace = msgspec.structs.replace
    if alarm.state == "resolved" or (alarm.parent is not None and parent_is_open):
        return Tended(None, alarm, NEVER)
    if alarm.parent is not None:
        fresh = replace(alarm, parent=None, opened_at=now, escalation=0)
        return Tended("unfolded", fresh, _next_look(fresh, pause, levels))
    if alarm.snoozed_until is not None and alarm.snoozed_until > now:
        return Tended(None, alarm, alarm.snoozed_until)
    if alarm.snoozed_until is not None:
        fresh = replace(alarm, snoozed_until=None, opened_at=now, escalation=0)
        return Tended("woken", fresh, _next_look(fresh, pause, levels))
    look = _next_look(alarm, pause, levels)
    if look > now:
        return Tended(None, alarm, look)
    higher = replace(alarm, escalation=alarm.escalation + 1, opened_at=now)
    return Tended("escalated", higher, _next_look(higher, pause, levels))


def _next_look(alarm: Standing, pause: int, levels: int) -> int:
    return alarm.opened_at + pause if alarm.state == "open" and alarm.escalation < levels else NEVER


def is_seconded(stored: str | None, wish: dict[str, Any], actor: str) -> bool:
    """Whether somebody else than `actor` has asked for the same before; `stored` is what `wish_text` made of that."""
    before = msgspec.json.decode(stored) if stored else {}
    return before.get("wish") == wish and _person(before.get("actor", "")) != _person(actor)


def wish_text(wish: dict[str, Any], actor: str, reason: str) -> str:
    """What a first person asks for, to be stored until a second one asks for the same."""
    return msgspec.json.encode({"wish": wish, "actor": actor, "reason": reason}).decode()


def _person(actor: str) -> str:
    """Who that is: however spelt, logged in or by whichever of the tokens that they own."""
    name = actor.strip().casefold()
    if name.startswith("token:"):
        return name.removeprefix("token:").rpartition("/")[0]
    return name.removeprefix("user:")
