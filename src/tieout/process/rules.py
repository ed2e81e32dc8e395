"""What a report means for a process, and what a process needs next: decisions without effects.

Nothing here reads a clock, draws a number, or awaits. Times are the server's, in microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from tieout.identity import Spelling, digest, one_spelling, storable_text
from tieout.process.outcomes import Failed, NotFound, NotSentYet, Pending, Reported, Succeeded
from tieout.process.record import By, Entry, FinalClaim, Record, Source

LEASE_MARGIN = 1_000_000
"""Microseconds between the last moment of a worker's own work on a process and its due time."""

RETRY_AFTER_CAP = 3_600_000_000
"""Longest wait that a downstream can ask for, in microseconds: an hour."""

ERRORS_BEFORE_ALARM = 5
"""Exceptions of one step in a row before a person is told."""

NOTE_LENGTH = 500
"""Characters kept of the reason why a process waits."""

HoldReason: TypeAlias = Literal["key-expired", "sent-once", "unknown-state", "conflict", "operator"]
"""Why a process is held; "conflict" and the first three come with an alarm."""


NO_SPELLINGS: Mapping[str, Spelling] = {}


class CallRules(msgspec.Struct, frozen=True):
    """The limits of a call step; durations in microseconds. The words are those of `tieout.call`."""

    timeout: int
    query_after: int
    settle: int
    key_valid: int | None
    retry_cap: int
    identity: tuple[str, ...]
    echo: tuple[tuple[str, str], ...]
    spellings: dict[str, Spelling]
    idempotent: bool
    has_query: bool

    @property
    def first_due(self) -> int:
        """How long whoever opens a call has for it alone: the call, the wait, the query, and a margin."""
        return 2 * self.timeout + self.query_after + LEASE_MARGIN


class Advance(msgspec.Struct, frozen=True):
    """The call's first final claim: run its transaction step and move on."""

    entry: Entry
    claim: FinalClaim


class Keep(msgspec.Struct, frozen=True):
    """The call's first final claim, but the process is held: keep the claim for when it resumes."""

    entry: Entry
    claim: FinalClaim


class Duplicate(msgspec.Struct, frozen=True):
    """The same final once more."""

    entry: Entry


class Conflict(msgspec.Struct, frozen=True):
    """A final that contradicts the first one, or the arguments that were sent."""

    entry: Entry
    claim: FinalClaim
    fields: tuple[str, ...]


class Wait(msgspec.Struct, frozen=True):
    """Not final: look again after `delay` microseconds."""

    entry: Entry
    delay: int
    note: str


class Ignore(msgspec.Struct, frozen=True):
    """Not final, and of no interest: the call has its final, or somebody else looks after the process."""


class Stray(msgspec.Struct, frozen=True):
    """The process has no such call."""


Verdict: TypeAlias = Advance | Keep | Duplicate | Conflict | Wait | Ignore | Stray


class Send(msgspec.Struct, frozen=True):
    """Send the call, after marking it sent when `mark`."""

    mark: bool


class Query(msgspec.Struct, frozen=True):
    """Ask the downstream what became of the call."""


class Apply(msgspec.Struct, frozen=True):
    """The call has a final claim that has not been applied yet."""

    claim: FinalClaim


class Rest(msgspec.Struct, frozen=True):
    """Whoever marked the call may still be about to send it: look again after `left` microseconds."""

    left: int


class Hold(msgspec.Struct, frozen=True):
    """Nothing more can be done without a person."""

    reason: HoldReason


Move: TypeAlias = Send | Query | Apply | Rest | Hold


def verdict(
    record: Record, n: int, outcome: Reported, source: Source, by: By, rules: CallRules | None, at: int
) -> Verdict:
    """What a report of call `n` means, judged on the process as it stands."""
    entry = record.entry(n)
    if entry is None:
        return Stray()
    if isinstance(outcome, (Succeeded, Failed)):
        return _judge_final(record, entry, claim_of(outcome, source, by, at, rules, entry))
    if rules is None or entry.closed or entry.final is not None or record.status != "running":
        return Ignore()
    return Wait(entry, delay(outcome, record.attempts, rules), note_of(outcome))


def claim_of(
    outcome: Succeeded[Any] | Failed, source: Source, by: By, at: int, rules: CallRules | None, entry: Entry
) -> FinalClaim:
    """The claim that a final outcome makes, with digests of its identity fields and the echoes that do not match."""
    if isinstance(outcome, Failed):
        return FinalClaim("failed", source, by, at, code=outcome.code, detail=outcome.detail)
    fields = outcome.value if isinstance(outcome.value, dict) else {}
    identity = _identity(fields, rules) if rules else {}
    mismatch = _broken_echoes(fields, rules, entry) if rules and rules.echo else ()
    return FinalClaim("succeeded", source, by, at, value=outcome.value, identity=identity, mismatch=mismatch)


def differing(first: FinalClaim, second: FinalClaim) -> tuple[str, ...]:
    """In what two final claims of one call contradict each other: "kind", or identity fields; empty if they agree."""
    if first.kind != second.kind:
        return ("kind",)
    return tuple(
        name for name, value in second.identity.items() if name in first.identity and first.identity[name] != value
    )


def delay(outcome: Reported, attempts: int, rules: CallRules) -> int:
    """Microseconds until a process with this non-final outcome is looked at next, before jitter."""
    if isinstance(outcome, Pending) and outcome.after is not None and outcome.after >= 0:
        return min(round(min(outcome.after, RETRY_AFTER_CAP / 1e6) * 1e6), RETRY_AFTER_CAP)
    return back_off(attempts, rules.query_after, rules.retry_cap)


def back_off(attempts: int, first: int, cap: int) -> int:
    """`first` doubled for each attempt after the first one, up to `cap`."""
    doubled = max(first, 1) << min(max(attempts - 1, 0), 40)
    return min(doubled, cap)


def next_move(record: Record, entry: Entry, rules: CallRules, at: int) -> Move:
    """What whoever has just claimed a process does about its open call.

    A call that may have been sent is queried before it is sent again; without a query, an idempotent one is re-sent.
    """
    if entry.final is not None:
        return Apply(entry.final)
    certainly_unsent = not rules.idempotent and entry.sent is None
    if certainly_unsent:
        return Send(mark=True) if key_is_valid(record, entry, rules, at) else Hold("key-expired")
    if rules.has_query:
        return Query()
    if not rules.idempotent:
        left = last_send(record, entry, rules) + rules.timeout - at
        return Rest(left) if left > 0 else Hold("sent-once")
    return Send(mark=True) if key_is_valid(record, entry, rules, at) else Hold("key-expired")


def after_not_found(record: Record, entry: Entry, rules: CallRules, at: int) -> Move | None:
    """What a claimant does when the query knows nothing of the call; None before the settle time."""
    if at < last_send(record, entry, rules) + rules.settle:
        return None
    if not rules.idempotent:
        return Hold("sent-once")
    return Send(mark=True) if key_is_valid(record, entry, rules, at) else Hold("key-expired")


def last_send(record: Record, entry: Entry, rules: CallRules) -> int:
    """When the call may have been sent last, as far as that matters.

    A call that is sent once may be sent until the lease ends that its mark gave, even when somebody has made the
    process due before that. Of one that can be sent again, an early guess costs no more than one more send.
    """
    sent = entry.sent or opened_at(record, entry)
    return sent if rules.idempotent else sent + rules.first_due - rules.timeout


def key_is_valid(record: Record, entry: Entry, rules: CallRules, at: int) -> bool:
    """Whether the downstream still remembers the key when a try that begins now arrives: sending again is safe."""
    return rules.key_valid is None or at + rules.timeout < opened_at(record, entry) + rules.key_valid


def opened_at(record: Record, entry: Entry) -> int:
    """When the call was opened; the first one's time is the row's own."""
    return entry.opened or record.created


def changed_params(
    stored: dict[str, Any], given: dict[str, Any], spellings: Mapping[str, Spelling] = NO_SPELLINGS
) -> tuple[str, ...]:
    """The params in which a repeated request differs from the stored one; those that it never stored do not count."""
    return tuple(
        name for name, value in stored.items() if name in given and not _equal(given[name], value, spellings.get(name))
    )


def note_of(outcome: Reported) -> str:
    """A short reason why a process is still waiting, for people."""
    match outcome:
        case Pending():
            return "pending"
        case NotFound():
            return "not found yet"
        case NotSentYet(reason):
            return storable_text(f"not sent: {reason}", NOTE_LENGTH)
        case _:
            return storable_text(f"unknown: {getattr(outcome, 'reason', '')}", NOTE_LENGTH)


def _judge_final(record: Record, entry: Entry, claim: FinalClaim) -> Verdict:
    if claim.mismatch:
        return Conflict(entry, claim, claim.mismatch)
    if entry.final is not None:
        fields = differing(entry.final, claim)
        return Conflict(entry, claim, fields) if fields else Duplicate(entry)
    return Advance(entry, claim) if record.status == "running" else Keep(entry, claim)


def _identity(fields: dict[str, Any], rules: CallRules) -> dict[str, str]:
    return {
        name: digest(one_spelling(fields[name], rules.spellings.get(name))) for name in rules.identity if name in fields
    }


def _broken_echoes(fields: dict[str, Any], rules: CallRules, entry: Entry) -> tuple[str, ...]:
    args = msgspec.json.decode(entry.args)
    return tuple(
        name
        for name, argument in rules.echo
        if name in fields and argument in args and not _equal(fields[name], args[argument], rules.spellings.get(name))
    )


def _equal(left: Any, right: Any, spelling: Spelling | None) -> bool:
    if left is right or (left == right and isinstance(left, str)):
        return True
    return digest(one_spelling(left, spelling)) == digest(one_spelling(right, spelling))
