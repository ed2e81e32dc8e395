"""RFC 9421, HTTP Message Signatures, as a second way to sign a callback or a push: HMAC-SHA256 only, one signature.

Unlike Standard Webhooks it covers the address too. A message has to be signed over `@method`, `@path`, `@query` where
there is one, and `content-digest` (RFC 9530), with `created`, `nonce` and `keyid`; more may be covered. What is allowed
to be written in several ways (RFC 8941) is read in one only, the one in which a signature's base holds it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

import msgspec

from tieout.wire.standard_webhooks import TOLERANCE, Fault, Signed

INPUT, SIGNATURE, DIGEST = "signature-input", "signature", "content-digest"

COVERED = frozenset({"@method", "@path", DIGEST})
"""What every signature covers, beside `@query` where there is one."""

COMPONENTS = 32
"""Most components of a signature."""

ALGORITHM = "hmac-sha256"

_DIGESTS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
_PARAM = r';([a-z]{1,16})=("[ -!#-\[\]-~]*"|[0-9]{1,12})'
_SIGNED = re.compile(
    rf'([a-z][a-z0-9_.*-]{{0,63}})=(\(("[a-z@][a-z0-9-]*"(?: "[a-z@][a-z0-9-]*")*)\)((?:{_PARAM})*))', re.ASCII
)
_EACH_PARAM = re.compile(_PARAM, re.ASCII)
_BYTES = r":[A-Za-z0-9+/]+=*:"
_GIVEN = re.compile(rf"([a-z][a-z0-9_.*-]{{0,63}})=({_BYTES})", re.ASCII)
_DIGEST_MEMBER = re.compile(rf"([a-z][a-z0-9-]{{0,31}})=({_BYTES})", re.ASCII)
_NONCE = re.compile(r"[!-~]{1,128}")
_TEXTS = frozenset({"nonce", "keyid", "alg", "tag"})
_NUMBERS = frozenset({"created", "expires"})


class Asked(msgspec.Struct, frozen=True):
    """A request as it was sent: path and query as they stand in its target, header fields by names in small letters."""

    method: str
    path: str
    query: str
    headers: Mapping[str, Sequence[str]]
    body: bytes


class Params(msgspec.Struct, frozen=True):
    """What a signature says of itself; times in seconds since 1970."""

    created: int
    expires: int | None
    nonce: str
    keyid: str
    alg: str = ALGORITHM
    tag: str = ""


class Claim(msgspec.Struct, frozen=True):
    """A signature as it was sent: what it covers and says, `written` as in the header, and its bytes in base64."""

    components: list[str]
    params: Params
    written: str
    given: str


def verify(asked: Asked, keys: Mapping[str, Sequence[bytes]], now: float) -> Signed | Fault:
    """Who signed a request, or what is wrong with it; its id is the nonce.

    `keys` are those of each sender, which `keyid` names; `now` is seconds since 1970. Every key of the sender is tried,
    and in constant time.
    """
    fields = [asked.headers.get(name, ()) for name in (INPUT, SIGNATURE, DIGEST)]
    if not all(fields):
        return "unsigned"
    claim = read_claim(*fields)
    if claim is None or not _is_digest_right(fields[2][0], asked.body):
        return "malformed"
    params, base = claim.params, signature_base(asked, claim.components, claim.written)
    if base is None or params.alg != ALGORITHM:
        return "malformed"
    if not (COVERED | ({"@query"} if asked.query else set())) <= set(claim.components):
        return "incomplete"
    if abs(age := now - params.created) > TOLERANCE:
        return "too old" if age > 0 else "too new"
    if params.expires is not None and now > params.expires:
        return "too old"
    right = [signature(key, base) for key in keys.get(params.keyid, ())]
    is_right = any([hmac.compare_digest(one, claim.given) for one in right])  # noqa: C419 - all are compared, always
    return Signed(params.nonce, params.keyid) if is_right else "wrong signature"


def sign(key: bytes, keyid: str, asked: Asked, *, created: int, nonce: str) -> dict[str, str]:
    """The header fields that sign a request, over what has to be covered."""
    digest = f"sha-256={_base64(hashlib.sha256(asked.body).digest())}"
    components = ["@method", "@path", *(["@query"] if asked.query else []), DIGEST]
    covered = " ".join(f'"{name}"' for name in components)
    written = f'({covered});created={created};nonce="{nonce}";keyid="{keyid}";alg="{ALGORITHM}"'
    base = signature_base(
        msgspec.structs.replace(asked, headers={**asked.headers, DIGEST: [digest]}), components, written
    )
    assert base is not None, "what has to be covered is there"  # noqa: S101 - it was put there a line above
    return {DIGEST: digest, INPUT: f"sig1={written}", SIGNATURE: f"sig1={signature(key, base)}"}


def signature(key: bytes, base: bytes) -> str:
    """The signature of a base, as it stands in the header."""
    return _base64(hmac.digest(key, base, "sha256"))


def signature_base(asked: Asked, components: Sequence[str], written: str) -> bytes | None:
    """What is signed (RFC 9421, 2.5), with `written` as its parameters; None when a component is not there."""
    lines = []
    for name in components:
        value = _value(asked, name)
        if value is None:
            return None
        lines.append(f'"{name}": {value}\n')
    return f'{"".join(lines)}"@signature-params": {written}'.encode("latin-1")


def read_claim(inputs: Sequence[str], signatures: Sequence[str], digests: Sequence[str]) -> Claim | None:
    """The one signature of a message; None when there are several, or something about it cannot be read."""
    if not len(inputs) == len(signatures) == len(digests) == 1:
        return None
    signed, given = _SIGNED.fullmatch(inputs[0]), _GIVEN.fullmatch(signatures[0])
    if signed is None or given is None or signed[1] != given[1]:
        return None
    components = [name.strip('"') for name in signed[3].split(" ")]
    params = _params(signed[4])
    if params is None or len(components) > COMPONENTS or len(set(components)) != len(components):
        return None
    return Claim(components, params, signed[2], given[2])


def _params(written: str) -> Params | None:
    found = _EACH_PARAM.findall(written)
    told = dict(found)
    if len(told) != len(found) or not {"created", "nonce", "keyid"} <= set(told) <= _TEXTS | _NUMBERS:
        return None
    if any(value.startswith('"') is (name in _NUMBERS) for name, value in told.items()):
        return None
    texts = {name: value.strip('"') for name, value in told.items() if name in _TEXTS}
    if not _NONCE.fullmatch(texts["nonce"]):
        return None
    expires = int(told["expires"]) if "expires" in told else None
    return Params(int(told["created"]), expires=expires, **texts)


def _value(asked: Asked, name: str) -> str | None:
    """A component's value (RFC 9421, 2.1 and 2.2); None for one that is not there, or that only a proxy could know."""
    match name:
        case "@method":
            return asked.method
        case "@path":
            return asked.path
        case "@query":
            return f"?{asked.query}"
        case "@authority":
            return ", ".join(asked.headers.get("host", ())).lower() or None
    fields = asked.headers.get(name)
    return ", ".join(field.strip() for field in fields) if fields else None


def _is_digest_right(written: str, body: bytes) -> bool:
    """Whether every digest is of the body, and one of them of a kind that nobody can forge."""
    members = [_DIGEST_MEMBER.fullmatch(member) for member in written.split(", ")]
    found = {match[1]: match[2] for match in members if match is not None}
    known = {name: value for name, value in found.items() if name in _DIGESTS}
    if len(found) != len(members) or not known:
        return False
    return all(value == _base64(_DIGESTS[name](body).digest()) for name, value in known.items())


def _base64(raw: bytes) -> str:
    return f":{base64.b64encode(raw).decode()}:"
