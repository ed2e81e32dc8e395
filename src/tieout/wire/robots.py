r"""How group robots of chat services want to be spoken to: signatures, bodies, and what their answers mean.

DingTalk    HMAC-SHA256 of "time\nsecret" under the secret, time in milliseconds, both in the query
Feishu      HMAC-SHA256 of nothing under "time\nsecret", time in seconds, both in the body
WeCom       none: the key in the address is the secret
Slack       none: the address is the secret
"""

from __future__ import annotations

import base64
import hmac
from typing import Any, Literal, TypeAlias
from urllib.parse import urlencode

import msgspec

Robot: TypeAlias = Literal["dingtalk", "feishu", "wecom", "slack"]

ROBOTS: tuple[Robot, ...] = ("dingtalk", "feishu", "wecom", "slack")

LONGEST = {"dingtalk": 18_000, "feishu": 18_000, "wecom": 2_000, "slack": 30_000}
"""Longest text in bytes of UTF-8, somewhat below what each service takes."""


class Post(msgspec.Struct, frozen=True):
    """An HTTP POST to be made: where to, the header fields, and the body."""

    url: str
    headers: dict[str, str]
    body: bytes


def robot_post(robot: Robot, url: str, secret: str, text: str, at: float) -> Post:
    """The request that has a robot say `text`; `at` is seconds since 1970."""
    text = shortened(_harmless(robot, text), LONGEST[robot])
    body: dict[str, Any]
    match robot:
        case "dingtalk":
            body = {"msgtype": "text", "text": {"content": text}}
            url = with_query(url, dingtalk_signature(secret, round(at * 1_000))) if secret else url
        case "feishu":
            signed = feishu_signature(secret, round(at)) if secret else {}
            body = {**signed, "msg_type": "text", "content": {"text": text}}
        case "wecom":
            body = {"msgtype": "text", "text": {"content": text}}
        case "slack":
            body = {"text": text}
    return Post(url, {"content-type": "application/json; charset=utf-8"}, msgspec.json.encode(body))


def robot_refusal(robot: Robot, status: int, body: bytes) -> str | None:
    """Why a robot did not take what it was sent; None when it did. Services answer 200 also when they refuse."""
    if not 200 <= status < 300:
        return f"HTTP {status}"
    if robot == "slack":
        return None
    try:
        told = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return "the answer is no JSON"
    code = told.get("errcode", told.get("code", told.get("StatusCode"))) if isinstance(told, dict) else None
    if code == 0:
        return None
    message = told.get("errmsg", told.get("msg", "")) if isinstance(told, dict) else ""
    return f"{robot} answered {code}: {message}"


def dingtalk_signature(secret: str, millis: int) -> dict[str, str]:
    """The query parameters that sign a message to DingTalk."""
    digest = hmac.digest(secret.encode(), f"{millis}\n{secret}".encode(), "sha256")
    return {"timestamp": str(millis), "sign": base64.b64encode(digest).decode()}


def feishu_signature(secret: str, seconds: int) -> dict[str, str]:
    """The fields that sign a message to Feishu."""
    digest = hmac.digest(f"{seconds}\n{secret}".encode(), b"", "sha256")
    return {"timestamp": str(seconds), "sign": base64.b64encode(digest).decode()}


def with_query(url: str, more: dict[str, str]) -> str:
    """The address with more parameters in its query."""
    return f"{url}{'&' if '?' in url else '?'}{urlencode(more)}"


def shortened(text: str, most: int) -> str:
    """At most `most` bytes of UTF-8 of a text, whole characters."""
    raw = text.encode()
    return text if len(raw) <= most else f"{raw[: most - 3].decode(errors='ignore')}…"


def _harmless(robot: Robot, text: str) -> str:
    """The text without what would call people or draw links: it may quote what anybody has sent."""
    if robot == "slack":
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("<", "‹").replace(">", "›").replace("@", "＠")  # noqa: RUF001 - a look-alike is the point
