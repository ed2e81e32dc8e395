"""What rules are tried on: a process's row, its calls and their rules, with what a test needs to differ."""

from __future__ import annotations

from typing import Any

import msgspec

from tieout.process.record import Entry, Record
from tieout.process.rules import CallRules, claim_of

SECOND = 1_000_000
NOW = 1_000 * SECOND
"""When a row was created, and its first call opened."""

RULES = CallRules(
    timeout=2 * SECOND,
    query_after=5 * SECOND,
    settle=12 * SECOND,
    key_valid=None,
    retry_cap=300 * SECOND,
    identity=("code",),
    echo=(("sku", "sku"),),
    spellings={},
    idempotent=True,
    has_query=True,
)


def rules(**changes: Any) -> CallRules:
    """The rules of a call, durations in microseconds."""
    return msgspec.structs.replace(RULES, **changes)


def entry(n: int = 1, **changes: Any) -> Entry:
    """A call to issue a mug."""
    return Entry(n, "issue", msgspec.Raw(b'{"sku":"mug"}'), **changes)


def claim(outcome: Any, given: CallRules = RULES) -> Any:
    """The final claim that an immediate answer made."""
    return claim_of(outcome, "immediate", "call", NOW, given, entry())


def record(*, status: Any = "running", entries: list[Entry] | None = None, **changes: Any) -> Record:
    """A process that stands at its call."""
    made = Record(
        id=b"i" * 16,
        type="redeem",
        owner=b"ann",
        request_key=b"r1",
        version=1,
        state="issue",
        status=status,
        fence=1,
        due=NOW + 10 * SECOND if status == "running" else None,
        lane="redeem.issue",
        params="{}",
        snapshots="{}",
        calls=[entry()] if entries is None else entries,
        trail=[],
        result=None,
        note=None,
        attempts=0,
        errors=0,
        duplicates=0,
        deadline=None,
        wish=None,
        parent=None,
        created=NOW,
        changed=NOW,
        now=NOW,
    )
    return msgspec.structs.replace(made, **changes)
