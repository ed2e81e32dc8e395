"""Which routes take what happened to an alarm, and how it is told: decisions without effects."""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias

import msgspec

from tieout.alarm.rules import SECOND_PERSON, SEVERITY, Happening, Severity
from tieout.config import microseconds
from tieout.errors import ConfigError

ReceiverKind: TypeAlias = Literal["webhook", "dingtalk", "feishu", "wecom", "slack", "email", "apprise"]

TOLD: tuple[Happening, ...] = (*("opened", "reopened", "news", "woken", "escalated", "unfolded", "wished", "resolved"),)
"""What is told unless a route says otherwise."""

ESCALATE_AFTER: dict[Severity, str] = {"critical": "15m", "serious": "1h", "warning": "24h"}
"""After how long an alarm that nobody has acknowledged is told again."""

DIGEST = 5
"""Messages that people are sent one by one; more at a time are told as one."""

DIGEST_LINES = 20
"""Alarms that such a message tells one by one."""

STALE = 86_400_000_000
"""Microseconds after which what happened to an alarm that is resolved by now is told to nobody any more."""

CHANNEL = "alarms:"
"""Begins the outbox channel of a route; its name follows."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whom some alarms are told to, and how.

    to            what receives: webhook, dingtalk, feishu, wecom, slack, email or apprise
    url           its address; of e-mail `smtp://user:password@host:587` or `smtps://…`; `env:NAME` is looked up
    secret        signs: a key `whsec_…` of Standard Webhooks, or the secret of a robot; `env:NAME` is looked up
    kinds, severities, owners   only alarms of these; none named: all
    happenings    what is told of them
    escalation    only alarms that have escalated at least so often
    sender, recipients          addresses of e-mail
    networks      private networks that the receiver may lie in; without them only public addresses, and TLS
    """

    to: ReceiverKind
    url: str
    secret: str = ""
    kinds: tuple[str, ...] = ()
    severities: tuple[Severity, ...] = ()
    owners: tuple[str, ...] = ()
    happenings: tuple[Happening, ...] = TOLD
    escalation: int = 0
    sender: str = ""
    recipients: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()

    def takes(self, happening: Happening, kind: str, severity: str, owner: str | None, escalation: int) -> bool:
        """Whether this is told here."""
        return (
            happening in self.happenings
            and (not self.kinds or kind in self.kinds)
            and (not self.severities or severity in self.severities)
            and (not self.owners or owner in self.owners)
            and escalation >= self.escalation
        )


class AlarmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What becomes of alarms. Durations are text such as `15m`.

    routes          whom they are told to, by name
    escalate_after  how long an alarm of each severity may be open before it is told again, unless `ESCALATE_AFTER`
                    is to hold
    escalations     how often at the most
    second_person   kinds that two persons have to resolve
    link            the address of an alarm's page, with `{id}` in it
    """

    routes: dict[str, Route] = {}
    escalate_after: dict[Severity, str] = {}
    escalations: int = 3
    second_person: tuple[str, ...] = tuple(sorted(SECOND_PERSON))
    link: str = ""

    def __post_init__(self) -> None:
        self.pauses()
        for name, route in self.routes.items():
            if not _NAME.fullmatch(name):
                raise ConfigError(f"a route is named with 1 to 63 of a-z, 0-9, '_' and '-', not {name!r:.80}")
            if unknown := set(route.kinds) - set(SEVERITY):
                raise ConfigError(f"alarms.routes.{name}: there is no kind {', '.join(sorted(unknown))}")
            if route.to == "email" and not (route.sender and route.recipients):
                raise ConfigError(f"alarms.routes.{name}: e-mail needs a sender and recipients")
            if route.to == "webhook" and not route.secret:
                raise ConfigError(f"alarms.routes.{name}: a webhook is signed: give it a secret, whsec_…")

    def pauses(self) -> dict[Severity, int]:
        """Microseconds until an alarm of each severity escalates; raise `ConfigError`."""
        return {severity: microseconds(text) for severity, text in (ESCALATE_AFTER | self.escalate_after).items()}


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to an alarm, as it stood then. Times are ISO 8601 in UTC."""

    id: str
    happening: Happening
    kind: str
    severity: str
    state: str
    object: str
    process: str | None
    summary: str
    count: int
    owner: str | None
    escalation: int
    at: str
    actor: str
    note: str
    resolution: str | None
    link: str


class Envelope(msgspec.Struct, frozen=True):
    """The body of a webhook, as Standard Webhooks propose it."""

    type: str
    timestamp: str
    data: Notice


def envelope(notice: Notice) -> bytes:
    """The JSON that is signed and sent; other receivers are told what it holds as text."""
    return msgspec.json.encode(Envelope(f"alarm.{notice.happening}", notice.at, notice))


def notice_of(body: bytes) -> Notice:
    """What an envelope holds."""
    return msgspec.json.decode(body, type=Envelope).data


def headline(notice: Notice) -> str:
    """What happened, in one line."""
    level = f", escalation {notice.escalation}" if notice.escalation else ""
    return one_line(f"[{notice.severity}] {notice.kind} {notice.happening}{level}: {notice.summary}")


def text_of(notice: Notice) -> str:
    """What happened, for people."""
    facts: list[tuple[str, Any]] = [
        ("about", notice.object),
        ("at", notice.at),
        ("times", notice.count if notice.count > 1 else None),
        ("owner", notice.owner),
        ("by", notice.actor if notice.actor != "tieout" else None),
        ("why", notice.note),
        ("resolution", notice.resolution if notice.happening == "resolved" else None),
        ("alarm", notice.link or notice.id),
    ]
    return "\n".join([headline(notice), *(f"{name}: {one_line(str(value))}" for name, value in facts if value)])


def digest_of(notices: list[Notice]) -> str:
    """Many at a time as one text."""
    lines = [headline(notice) for notice in notices[:DIGEST_LINES]]
    rest = len(notices) - len(lines)
    return "\n".join([f"{len(notices)} alarms", *lines, *([f"and {rest} more"] if rest else [])])


def one_line(text: str) -> str:
    """The text without line breaks and other control characters."""
    return "".join(char if char.isprintable() else " " for char in text)
