"""Roles and what each may do, and how a token is written: decisions without effects."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias, get_args

import msgspec

from tieout.errors import ConfigError, Forbidden

Role: TypeAlias = Literal["client", "viewer", "operator", "approver", "admin", "metrics"]

Permission: TypeAlias = Literal[
    "process:start",
    "process:read-own",
    "process:read",
    "process:command",
    "process:settle",
    "alarm:read",
    "alarm:handle",
    "message:read",
    "message:handle",
    "audit:read",
    "metrics:read",
    "unmasked:read",
    "mirror:read",
    "recon:read",
    "recon:command",
    "recon:repair",
]

ROLES: tuple[Role, ...] = get_args(Role)

_CLIENT: frozenset[Permission] = frozenset({"process:start", "process:read-own", "mirror:read"})
_VIEWER: frozenset[Permission] = frozenset({"process:read", "alarm:read", "mirror:read", "recon:read"})
_OPERATOR: frozenset[Permission] = _VIEWER | {
    *("process:command", "alarm:handle", "message:read", "message:handle", "audit:read", "unmasked:read"),
    "recon:command",
}
_APPROVER: frozenset[Permission] = _OPERATOR | {"process:settle", "recon:repair"}

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    "client": _CLIENT,
    "viewer": _VIEWER,
    "operator": _OPERATOR,
    "approver": _APPROVER,
    "admin": _CLIENT | _APPROVER | {"metrics:read"},
    "metrics": frozenset({"metrics:read"}),
}
"""What each role may do; whatever is not here, nobody may."""

PREFIX = "tieout"
"""Begins every token, so that scanners find those that were published by mistake."""

ID_BYTES, SECRET_BYTES = 6, 32

CLIENT = re.compile(r"[a-z0-9](?:[a-z0-9_-]|\.(?=[a-z0-9])){0,62}")
"""The names that owners of tokens may have."""

_TOKEN = re.compile(r"tieout_([0-9a-f]{12})_([0-9a-f]{64})")

NO_DIGEST = bytes(32)
"""The digest of no secret: what is compared where there is no token, so that it takes as long."""


class Caller(msgspec.Struct, frozen=True):
    """Who makes a request: the name that the audit keeps, the client that owns its keys, and what it may do.

    `is_ambient`: what says so is sent by a browser by itself, also when another site makes it send the request.
    """

    name: str
    client: str
    roles: tuple[Role, ...]
    permissions: frozenset[Permission]
    limit: str = ""
    is_ambient: bool = False

    def may(self, *wanted: Permission) -> bool:
        """Whether one of these is permitted."""
        return not self.permissions.isdisjoint(wanted)

    @property
    def sees(self) -> str:
        """The client to whose processes it is confined; "" when it sees all of them."""
        return "" if "process:read" in self.permissions else self.client


def caller(name: str, client: str, roles: tuple[Role, ...], limit: str = "", *, is_ambient: bool = False) -> Caller:
    """A caller with the permissions of its roles."""
    permissions: frozenset[Permission] = frozenset().union(*(PERMISSIONS[role] for role in roles))
    return Caller(name, client, roles, permissions, limit, is_ambient)


def check_client(name: str) -> str:
    """The name of a token's owner; raise `ConfigError` for what cannot be one."""
    if not CLIENT.fullmatch(name):
        raise ConfigError(f"an owner is 1 to 63 of a-z, 0-9, '_', '-' and inner '.', not {name!r:.80}")
    return name


def check_roles(roles: tuple[str, ...]) -> tuple[Role, ...]:
    """Roles, each once; raise `ConfigError` for none and for unknown ones."""
    known = tuple(role for role in ROLES if role in roles)
    if not roles or len(known) != len(set(roles)):
        raise ConfigError(f"name one or more of the roles {', '.join(ROLES)}; not {', '.join(roles) or 'none'}")
    return known


def granted(groups: Iterable[str], roles: Mapping[str, Role]) -> tuple[Role, ...]:
    """The roles of somebody in these groups; raise `Forbidden` for nobody's."""
    has = {roles[group] for group in groups if group in roles}
    if not has:
        raise Forbidden("none of your groups has a role here")
    return tuple(role for role in ROLES if role in has)


def write_token(token_id: bytes, secret: bytes) -> str:
    """The text of a token, which its holder sends."""
    return f"{PREFIX}_{token_id.hex()}_{secret.hex()}"


def parse_token(text: str) -> tuple[bytes, bytes] | None:
    """The id and the digest of the secret of a token; None for what is none."""
    match = _TOKEN.fullmatch(text)
    return None if match is None else (bytes.fromhex(match[1]), digest(bytes.fromhex(match[2])))


def digest(secret: bytes) -> bytes:
    """What is stored of a secret. It has 256 random bits, which no dictionary holds: one round is enough."""
    return hashlib.sha256(secret).digest()


def same_digest(left: bytes, right: bytes) -> bool:
    """Whether they are equal, compared in constant time."""
    return hmac.compare_digest(left, right)
