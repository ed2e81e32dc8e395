"""Which processes a command is for: one, by its id or by what its client sent; or all that a filter matches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from msgspec.structs import replace

from tieout.app import App
from tieout.cli.printing import SWITCH
from tieout.cli.where import server_now
from tieout.config import microseconds
from tieout.errors import ConfigError
from tieout.identity import key_bytes, process_id, raw_id
from tieout.process.record import Status
from tieout.process.store import LAST, Filter

Id = Annotated[str | None, Parameter(help="The process's id, 32 hex digits; or give --type, --owner and --key.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RequestKey:
    """A process by what its client sent."""

    type: Annotated[str | None, Parameter(help="The process type; with --key, or to narrow --all.")] = None
    owner: Annotated[str | None, Parameter(help="With --key: the owner, if the type has one.")] = None
    key: Annotated[str | None, Parameter(help="The request key.", allow_leading_hyphen=True)] = None

    def id_or(self, id: str | None) -> str:
        """The process's id; raise `ConfigError` unless exactly one process is named."""
        if (id is None) == (self.key is None) or (self.key is None) != (self.type is None):
            raise ConfigError("name the process: by its id, or by --type, --key and, if the type has one, --owner")
        if id is not None or self.key is None or self.type is None:
            return id or ""
        owner = b"" if self.owner is None else key_bytes(self.owner, "owner")
        return process_id(self.type, owner, key_bytes(self.key)).hex()


BY_ID = RequestKey()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Many:
    """All processes that a filter matches, instead of one."""

    all: Annotated[bool, SWITCH, Parameter(help="All processes that the options match, not one.")] = False
    state: Annotated[str | None, Parameter(help="With --all: only processes at this state.")] = None
    status: Annotated[Status | None, Parameter(help="With --all: only processes of this status.")] = None
    lane: Annotated[str | None, Parameter(help="With --all: only processes that wait on this lane.")] = None
    note: Annotated[str | None, Parameter(help="With --all: only processes whose note begins so.")] = None
    since: Annotated[str | None, Parameter(help="With --all: created since 24h, or 2030-01-31T12:00 (UTC).")] = None
    until: Annotated[str | None, Parameter(help="With --all: created before 1h ago, or that time.")] = None
    after: Annotated[str | None, Parameter(help="With --all: go on behind the process with this id.")] = None
    limit: Annotated[
        int | None, Parameter(validator=Number(gte=1), help="With --all: so many at the most, the newest first.")
    ] = None
    yes: Annotated[bool, SWITCH, Parameter(help="With --all: do not ask.")] = False

    def are_meant(self, id: str | None, by: RequestKey) -> bool:
        """Whether many are; raise `ConfigError` for options that do not go together."""
        if not self.all and self != ONE:
            raise ConfigError(
                "--state, --status, --lane, --note, --since, --until, --after, --limit and --yes go with --all"
            )
        if self.all and (id is not None or by.key is not None or by.owner is not None):
            raise ConfigError("--all means every process that matches: name none by its id or key")
        return self.all

    async def filter(self, app: App, type: str | None) -> Filter:
        """What they have in common; raise `ConfigError`, or `UnknownProcess` for what comes after --after."""
        wanted = Filter(
            type=type or "",
            state=self.state or "",
            status=self.status or "",
            lane=self.lane or "",
            note=self.note or "",
        )
        if self.since is not None or self.until is not None:
            now = await server_now(app)
            since = 0 if self.since is None else moment(self.since, now)
            before = LAST if self.until is None else moment(self.until, now)
            wanted = replace(wanted, since=since, before=before)
        if self.after is not None:
            last = await app.engine.read(raw_id(self.after))
            if last.created < wanted.before:
                wanted = replace(wanted, before=last.created, before_id=last.id)
        return wanted


ONE = Many()


def moment(text: str, now: int) -> int:
    """A time in microseconds, from ISO 8601 (UTC unless it says otherwise) or from how long ago it was."""
    try:
        return now - microseconds(text)
    except ConfigError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is neither a duration such as 24h nor a time such as 2030-01-31T12:00") from error
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return round(at.timestamp() * 1_000_000)
