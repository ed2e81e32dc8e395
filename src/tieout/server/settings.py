"""What the server is told: a TOML file, then `TIEOUT_*` from the environment, then the command line."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from tieout.access.rules import Role
from tieout.errors import ConfigError
from tieout.wire.oidc import LOOPBACK, is_safe
from tieout.wire.standard_webhooks import parse_key

ENVIRONMENT = "TIEOUT_"

CALLBACK = "/v1/login/callback"
"""Where the OpenID provider sends browsers back to."""

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


Algorithm: TypeAlias = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""How a provider's tokens may be signed: by a key pair only, so that nobody who can check one can make one."""


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


class Oidc(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An OpenID provider that people log in at. Times are in seconds.

    issuer         its address, letter by letter as it writes it itself
    client_id, client_secret   what the provider knows this server by; `env:NAME` is looked up
    roles          which role each value of `roles_claim` has; a person without any is refused
    roles_claim    tells a person's groups; of that very name, or behind a path such as `realm_access.roles`
    name_claim     names a person in the audit: what two persons never share, and nobody can change by themselves
    scopes         asked for beside `openid`
    audience       whom the provider's access tokens have to be for, to be taken from programs; none: they are not
    algorithms     by which its tokens may be signed
    idle, life     how long a session may go unused, and how long it counts at the most
    """

    issuer: str
    client_id: str
    client_secret: str
    roles: dict[str, Role] = {}
    roles_claim: str = "groups"
    name_claim: str = "sub"
    scopes: tuple[str, ...] = ()
    audience: str = ""
    algorithms: tuple[Algorithm, ...] = ("RS256", "PS256", "ES256", "EdDSA")
    idle: float = 1_800.0
    life: float = 43_200.0

    def __post_init__(self) -> None:
        if not is_safe(self.issuer):
            raise ConfigError(f"oidc.issuer is an address by TLS, or of this machine, not {self.issuer!r:.200}")
        if not (self.client_id and self.client_secret):
            raise ConfigError("oidc needs a client_id and a client_secret: public clients are not served")
        if self.audience == self.client_id:
            raise ConfigError("oidc.audience is not the client_id: ID tokens, which browsers see, would be let in")
        if not 0 < self.idle <= self.life:
            raise ConfigError("oidc.idle is more than nothing, and at most oidc.life")


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
    oidc            the OpenID provider that people log in at
    public_url      where browsers reach this server, with the prefix: other pages do nothing in a person's name
    mask            fields that are hidden in logs, and from viewers; `SECRET_NAMES` unless given
    log_messages    whether logs tell the messages of errors that are not tieout's, which may hold anything
    open_docs       whether the description of the API is there for everybody
    documentation   address of a page that explains the codes of problems
    recon_folder    where snapshots of comparisons lie that the API begins, until those have ended
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
    oidc: Oidc | None = None
    public_url: str = ""
    mask: tuple[str, ...] = SECRET_NAMES
    log_messages: bool = False
    open_docs: bool = True
    documentation: str = ""
    recon_folder: str = "recon"

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65_535:
            raise ConfigError(f"a port is 1 to 65535, not {self.port}")
        if self.prefix and (not self.prefix.startswith("/") or self.prefix.endswith("/")):
            raise ConfigError(f"a prefix begins with a slash and does not end with one, not {self.prefix!r}")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ConfigError("TLS needs both tls_cert and tls_key")
        for name in ("max_body", "max_headers", "body_seconds", "rate", "burst", "event_clients", "event_queue"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be more than nothing, not {getattr(self, name)}")
        if self.public_url and (not is_safe(self.public_url) or self.public_url.endswith("/")):
            raise ConfigError(
                f"public_url is by TLS, or of this machine, with no slash at its end: {self.public_url!r}"
            )
        if self.oidc and not self.public_url and not self.is_local:
            raise ConfigError("oidc needs public_url: the provider sends browsers back there")
        self.sender_keys()
        self.proxy_networks()

    @property
    def address(self) -> str:
        """The URL that all paths stand behind."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.tls_cert else ''}://{host}:{self.port}{self.prefix}"

    @property
    def reached_at(self) -> str:
        """The URL that browsers find all paths behind."""
        return self.public_url or self.address

    @property
    def origin(self) -> str:
        """What browsers call this server's pages; "" where that is not known."""
        if not (self.public_url or self.oidc):
            return ""
        parts = urlsplit(self.reached_at)
        return f"{parts.scheme}://{parts.netloc}".lower()

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
