"""Rules, comparisons and breaks as documents: what the HTTP API and `--json` tell. Times are ISO 8601 in UTC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tieout.audit.rules import AuditRow
from tieout.documents import ActDocument, act_document
from tieout.recon.define import Rule
from tieout.recon.health import FeedStatus, RuleStatus
from tieout.recon.periods import iso
from tieout.recon.statement import Statement
from tieout.recon.store import Break, Run


class StandingDocument(msgspec.Struct, frozen=True):
    """How a rule stands that is followed: green is only *agreed*. `coverage` is the share of keys that are judged."""

    health: str
    feeds: list[str]
    totals: dict[str, int]
    waiting: int
    coverage: float | None


class RuleDocument(msgspec.Struct, frozen=True):
    """A rule of the App; `grace` is in seconds, `breaks` counts open ones by kind, `live` is null unless followed."""

    rule: str
    version: str
    owner: str
    zone: str
    grace: float
    offline: bool
    breaks: dict[str, int]
    live: StandingDocument | None


class FollowedFeedDocument(msgspec.Struct, frozen=True):
    """A feed: `lag` is how many seconds it is behind its source, `age` since how many nothing was kept of it."""

    feed: str
    health: str
    lag: float | None
    age: float
    gap: str | None


class RunDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The latest comparison of a rule over a period; `totals` is null until it has ended.

    `progress` is how many rows or keys each piece of work has come to, `aborted` whether somebody wants its end, and
    `note` why it failed.
    """

    id: str
    rule: str
    version: str
    since: str
    until: str
    state: str
    attempt: int
    started: str
    ended: str | None
    progress: dict[str, int]
    aborted: bool
    note: str | None
    totals: dict[str, Any] | None


class BreakDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A key that does not agree: what each side has of it, what differs, where that came from, possible causes.

    `provenance` is there of what was found live: when each side's fact was committed, and at which position. The last
    process that was started to repair it is `process`.
    """

    id: str
    rule: str
    key: list[str | None]
    outcome: str
    state: str
    sides: list[str]
    differences: list[dict[str, Any]]
    upstream: dict[str, Any]
    downstream: dict[str, Any]
    causes: list[str]
    provenance: dict[str, Any]
    first_at: str
    last_at: str
    closed_at: str | None
    actor: str | None
    note: str | None
    process: str | None


class BreakDetailDocument(BreakDocument, frozen=True, kw_only=True):
    """A break with its history: what persons did with it, oldest first."""

    acts: list[ActDocument]


class ReportDocument(RunDocument, frozen=True, kw_only=True):
    """A comparison with its breaks."""

    breaks: list[BreakDocument]


class DecisionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A break that a person has settled or ignored, when and why."""

    id: str
    key: list[str | None]
    outcome: str
    state: str
    actor: str
    reason: str
    at: str


class IgnoredDocument(msgspec.Struct, frozen=True):
    """A time in which breaks are counted and not told, and why."""

    since: str
    until: str
    reason: str


class StatementDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a period. Counts are by outcome.

    `opening` counts breaks of earlier periods that are open; `found` all that were ever found of this one, which are
    now `open`, `settled`, `ignored`, or agree again (`mended`); `closing` is `opening` and `open` together. `excluded`
    counts what was not compared, or not told of. `why` says what makes it incomplete. `version` is the rule's now.
    """

    rule: str
    owner: str
    since: str
    until: str
    state: str
    why: list[str]
    opening: dict[str, int]
    matched: dict[str, int]
    found: dict[str, int]
    mended: dict[str, int]
    settled: dict[str, int]
    ignored: dict[str, int]
    open: dict[str, int]
    closing: int
    excluded: dict[str, int]
    unplaced: int
    coverage: float | None
    version: str
    versions: list[str]
    ignores: list[IgnoredDocument]
    run: RunDocument | None
    decided: list[DecisionDocument]


def rule_document(rule: Rule, breaks: dict[str, int], status: RuleStatus | None) -> RuleDocument:
    """A rule, and how it stands."""
    return RuleDocument(
        rule.name,
        rule.version,
        rule.owner,
        rule.zone,
        rule.grace / 1e6,
        not rule.needs_time,
        breaks,
        None if status is None else _standing(status),
    )


def feed_document(feed: FeedStatus) -> FollowedFeedDocument:
    """A feed, and how it is."""
    lag = None if feed.lag is None else max(0, feed.lag) / 1e6
    return FollowedFeedDocument(feed.name, feed.health, lag, feed.age / 1e6, feed.gap)


def run_document(run: Run) -> RunDocument:
    """A comparison."""
    return RunDocument(**_run(run))


def statement_document(said: Statement, decided: Sequence[Break]) -> StatementDocument:
    """A statement with some of what persons have decided."""
    return StatementDocument(
        rule=said.rule.name,
        owner=said.rule.owner,
        since=iso(said.period.since),
        until=iso(said.period.until),
        state=said.state,
        why=list(said.why),
        opening=dict(said.opening),
        matched=dict(said.matched),
        found=dict(said.found),
        mended=dict(said.breaks["closed"]),
        settled=dict(said.breaks["settled"]),
        ignored=dict(said.breaks["ignored"]),
        open=dict(said.breaks["open"]),
        closing=said.closing,
        excluded=dict(said.excluded),
        unplaced=said.unplaced,
        coverage=said.coverage,
        version=said.rule.version,
        versions=list(said.versions),
        ignores=[IgnoredDocument(iso(one.period.since), iso(one.period.until), one.reason) for one in said.ignores],
        run=None if said.run is None else run_document(said.run),
        decided=[_decision(one) for one in decided],
    )


def _decision(found: Break) -> DecisionDocument:
    return DecisionDocument(
        id=found.id.hex(),
        key=found.key,
        outcome=found.outcome,
        state=found.state,
        actor=found.actor or "",
        reason=found.note or "",
        at=iso(found.closed_at or found.last_at),
    )


def report_document(run: Run, breaks: Sequence[Break]) -> ReportDocument:
    """A comparison with some of its breaks."""
    return ReportDocument(**_run(run), breaks=[break_document(one) for one in breaks])


def break_document(found: Break) -> BreakDocument:
    """A break."""
    return BreakDocument(**_break(found))


def break_detail(found: Break, acts: Sequence[AuditRow]) -> BreakDetailDocument:
    """A break with its history."""
    return BreakDetailDocument(**_break(found), acts=[act_document(one) for one in acts])


def _standing(status: RuleStatus) -> StandingDocument:
    return StandingDocument(status.health, list(status.feeds), dict(status.totals), status.waiting, status.coverage)


def _run(run: Run) -> dict[str, Any]:
    return {
        "id": run.id.hex(),
        "rule": run.rule,
        "version": run.version,
        "since": iso(run.since),
        "until": iso(run.until),
        "state": run.state,
        "attempt": run.attempt,
        "started": iso(run.started),
        "ended": None if run.ended is None else iso(run.ended),
        "progress": run.progress,
        "aborted": run.is_aborted,
        "note": run.note,
        "totals": run.totals,
    }


def _break(found: Break) -> dict[str, Any]:
    detail = found.detail
    return {
        "id": found.id.hex(),
        "rule": found.rule,
        "key": found.key,
        "outcome": found.outcome,
        "state": found.state,
        **{name: detail.get(name, []) for name in ("sides", "differences", "causes")},
        **{name: detail.get(name, {}) for name in ("upstream", "downstream", "provenance")},
        "first_at": iso(found.first_at),
        "last_at": iso(found.last_at),
        "closed_at": None if found.closed_at is None else iso(found.closed_at),
        "actor": found.actor,
        "note": found.note,
        "process": None if found.process is None else found.process.hex(),
    }
