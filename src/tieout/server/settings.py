"""What the server is told: a TOML file, then `TIEOUT_*` from the environment, then the command line."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tieout.access.rules import Role
from tieout.errors import ConfigError
from tieout.wire.standard_webhooks import parse_key

ENVIRONMENT = "TIEOUT_"

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

SECRET_NAMES = (
    "*password*",
    "*passwd*",
    "*secret*",
    "*token*",
    "authorization",
    "api_key",
    "apikey",
    "private_key",
    "card_number",
    "cvc",
    "cvv",
    "iban",
    "pin",
)
"""Fields that are masked unless somebody says otherwise."""


class Sender(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may report by signed callbacks, and push to mirrors.

    keys        several count at a time, so that they can be rotated without a pause
    lanes       whose calls it may report on; none named: all, unless it has suppliers
    suppliers   which suppliers' data it may push; none named: that of the supplier of its own name
    """

    keys: tuple[str, ...]
    lanes: tuple[str, ...] = ()
    suppliers: tuple[str, ...] = ()


class Proxy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A proxy that has logged people in, and tells who they are.

    addresses     networks that the proxy's connections come from; from elsewhere the headers are refused
    user_header   names the person
    roles_header  names the person's groups, separated by commas
    roles         which role each group has; a person without any is refused
    """

    addresses: tuple[str, ...]
    user_header: str = "x-forwarded-user"
    roles_header: str = "x-forwarded-groups"
    roles: dict[str, Role] = {}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every setting of the server. Sizes are in bytes, times in seconds.

    host, port      where it listens
    tls_cert, tls_key   files in PEM: with both, it speaks TLS
    behind_proxy    TLS is somebody else's: another address than the machine's own may be used without
    prefix          the path that all addresses begin with
    max_body        longest body, also after it was unpacked
    max_headers     longest header fields together
    body_seconds    how long the body of a request may take to come
    max_wait        longest wait that `Prefer: wait=` is given
    rate, burst     requests of one token: in a second on average, and at once
    event_clients, event_queue   listeners of `/v1/events`, and hints kept for one that does not keep up
    drain           how long requests may take to end after SIGTERM
    senders         who may report by callbacks, by name
    proxy           the proxy that logs people in
    mask            fields that are hidden in logs, and from viewers; `SECRET_NAMES` unless given
    log_messages    whether logs tell the messages of errors that are not tieout's, which may hold anything
    open_docs       whether the description of the API is there for everybody
    documentation   address of a page that explains the codes of problems
    """

    host: str = "127.0.0.1"
    port: int = 8080
    tls_cert: str = ""
    tls_key: str = ""
    behind_proxy: bool = False
    prefix: str = ""
    max_body: int = 1_048_576
    max_headers: int = 16_384
    body_seconds: float = 10.0
    max_wait: float = 30.0
    rate: float = 200.0
    burst: float = 400.0
    event_clients: int = 200
    event_queue: int = 1_000
    drain: float = 30.0
    senders: dict[str, Sender] = {}
    proxy: Proxy | None = None
    mask: tuple[str, ...] = SECRET_NAMES
    log_messages: bool = False
    open_docs: bool = True
    documentation: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"a port is 0 to 65535, not {self.port}")
        if self.prefix and (not self.prefix.startswith("/") or self.prefix.endswith("/")):
            raise ConfigError(f"a prefix begins with a slash and does not end with one, not {self.prefix!r}")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ConfigError("TLS needs both tls_cert and tls_key")
        for name in ("max_body", "max_headers", "body_seconds", "rate", "burst", "event_clients", "event_queue"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be more than nothing, not {getattr(self, name)}")
        self.sender_keys()
        self.proxy_networks()

    @property
    def address(self) -> str:
        """The URL that all paths stand behind."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.tls_cert else ''}://{host}:{self.port}{self.prefix}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in LOOPBACK

    def sender_keys(self) -> dict[str, tuple[bytes, ...]]:
        """The keys of every sender; raise `ConfigError`."""
        return {name: tuple(parse_key(key) for key in sender.keys) for name, sender in self.senders.items()}

    def proxy_networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """The networks that the proxy connects from; raise `ConfigError`."""
        try:
            return tuple(ipaddress.ip_network(one) for one in (self.proxy.addresses if self.proxy else ()))
        except ValueError as error:
            raise ConfigError(f"proxy.addresses: {error}") from error

    def check_exposure(self, tokens: int) -> None:
        """Raise `ConfigError` for an address that others reach without TLS, or without any token."""
        if self.is_local:
            return
        if not (self.tls_cert or self.behind_proxy):
            raise ConfigError(f"{self.host} is reached by others: give tls_cert and tls_key, or say --behind-proxy")
        if not tokens:
            raise ConfigError(f"{self.host} is reached by others, and nobody has a token: `tieout token create` first")


def read_settings(path: Path | None, environment: Mapping[str, str], **given: Any) -> Settings:
    """Settings from a file, the environment, and what was given; raise `ConfigError` that names what is wrong."""
    told = {**_from_file(path), **_from_environment(environment)}
    told |= {name: value for name, value in given.items() if value is not None}
    try:
        return msgspec.convert(told, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"settings: {error}") from error


def _from_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return dict(told.get("server", {}))


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings that are one plain value each; lists and tables stand in a file."""
    plain = {info.name for info in msgspec.structs.fields(Settings) if info.type in (str, int, float, bool)}
    return {name: value for name in plain if (value := environment.get(f"{ENVIRONMENT}{name.upper()}"))}
