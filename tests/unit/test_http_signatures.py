"""HTTP Message Signatures: RFC 9421's own example, what is signed counts, and nothing else does."""

from __future__ import annotations

import base64

import pytest
from msgspec.structs import replace

from tieout.wire.http_signatures import COMPONENTS, Asked, sign, signature, signature_base, verify
from tieout.wire.standard_webhooks import Signed

KEY, OTHER = b"k" * 32, b"o" * 32
NOW = 1_893_456_000
KEYS = {"acme": (OTHER, KEY), "bank": (OTHER,)}
REQUEST = Asked("POST", "/v1/push/acme", "mirror=rooms", {"host": ["Example.com"], "x-two": [" a", "b "]}, b"{}")

# Appendix B.1.5 and B.2.5 of RFC 9421.
RFC_KEY = base64.b64decode("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
RFC_WRITTEN = '("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"'
RFC_SIGNATURE = ":pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:"


def signed(request: Asked = REQUEST, key: bytes = KEY, created: int = NOW, keyid: str = "acme") -> Asked:
    fields = sign(key, keyid, request, created=created, nonce="n-1")
    return replace(request, headers={**request.headers, **{name: [value] for name, value in fields.items()}})


def changed(name: str, old: str, new: str) -> Asked:
    """A signed request with part of a header field replaced."""
    request = signed()
    (value,) = request.headers[name]
    assert old in value
    return replace(request, headers={**request.headers, name: [value.replace(old, new)]})


def covering(*components: str, params: str = "") -> Asked:
    """A request that is rightly signed over these components."""
    request = signed()
    covered = " ".join(f'"{name}"' for name in components)
    written = f'({covered});created={NOW};nonce="n";keyid="acme"{params}'
    base = signature_base(request, components, written)
    given = signature(KEY, b"" if base is None else base)
    fields = {"signature-input": [f"s={written}"], "signature": [f"s={given}"]}
    return replace(request, headers={**request.headers, **fields})


WHOLE = ("@method", "@path", "@query", "content-digest")


def test_the_example_of_the_rfc():
    """The base and the signature of RFC 9421's example with a shared secret come out as they stand there."""
    headers = {"date": ["Tue, 20 Apr 2021 02:07:55 GMT"], "host": ["example.com"], "content-type": ["application/json"]}
    asked = Asked("POST", "/foo", "param=Value&Pet=dog", headers, b'{"hello": "world"}')
    base = signature_base(asked, ["date", "@authority", "content-type"], RFC_WRITTEN)
    assert base is not None
    assert base.decode().splitlines()[1] == '"@authority": example.com'
    assert signature(RFC_KEY, base) == RFC_SIGNATURE


def test_what_is_rightly_signed_counts():
    """With any key of the sender that it names, within five minutes, also over more than has to be covered."""
    assert verify(signed(), KEYS, NOW) == Signed("n-1", "acme")
    assert verify(signed(key=OTHER), KEYS, NOW + 300) == Signed("n-1", "acme")
    assert verify(covering(*WHOLE, "@authority", "x-two"), KEYS, NOW) == Signed("n", "acme")
    assert verify(covering(*WHOLE, params=f';expires={NOW};tag="t"'), KEYS, NOW) == Signed("n", "acme")
    bare = replace(REQUEST, query="")
    assert verify(signed(bare), KEYS, NOW) == Signed("n-1", "acme")


@pytest.mark.parametrize(
    ("request_", "fault"),
    [
        (REQUEST, "unsigned"),
        (signed(key=b"x" * 32), "wrong signature"),
        (signed(keyid="bank"), "wrong signature"),
        (replace(signed(), method="PUT"), "wrong signature"),
        (replace(signed(), path="/v1/push/other"), "wrong signature"),
        (replace(signed(), query="mirror=other"), "wrong signature"),
        (replace(signed(), query=""), "wrong signature"),
        (replace(signed(), body=b"{} "), "malformed"),
        (signed(created=NOW - 301), "too old"),
        (signed(created=NOW + 301), "too new"),
        (covering(*WHOLE, params=f";expires={NOW - 1}"), "too old"),
        (covering("@method", "@path", "content-digest"), "incomplete"),
        (covering("@method", "@path", "@query"), "incomplete"),
        (covering("@path", "@query", "content-digest"), "incomplete"),
        (covering(*WHOLE, "@method"), "malformed"),
        (covering(*WHOLE, "x-none"), "malformed"),
        (covering(*WHOLE, "@target-uri"), "malformed"),
        (covering(*WHOLE, *(f"x-{n}" for n in range(COMPONENTS))), "malformed"),
        (covering(*WHOLE, params=';alg="ed25519"'), "malformed"),
        (covering(*WHOLE, params=';color="red"'), "malformed"),
        (covering(*WHOLE, params=';nonce="n"'), "malformed"),
        (changed("signature-input", "acme", "bank"), "wrong signature"),
        (changed("signature-input", "acme", "nobody"), "wrong signature"),
        (changed("signature-input", "n-1", "n-2"), "wrong signature"),
        (changed("signature-input", f"={NOW}", f"={NOW + 1}"), "wrong signature"),
        (changed("signature-input", '"@method" "@path"', '"@path" "@method"'), "wrong signature"),
        (changed("signature-input", '"@method" ', '"@method"  '), "malformed"),
        (changed("signature-input", '"@path"', '"@path";req'), "malformed"),
        (changed("signature-input", "sig1=", "sig2="), "malformed"),
        (changed("signature-input", f";created={NOW}", ""), "malformed"),
        (changed("signature-input", ';nonce="n-1"', ""), "malformed"),
        (changed("signature-input", f"={NOW}", f'="{NOW}"'), "malformed"),
        (changed("signature", "=:", "="), "malformed"),
        (changed("signature", "sig1=", "sig1=:AAAA:, sig2="), "malformed"),
        (changed("content-digest", "sha-256", "sha-512"), "malformed"),
        (changed("content-digest", "sha-256", "md5"), "malformed"),
        (changed("content-digest", "sha-256=", "sha-512=:AAAA:, sha-256="), "malformed"),
        (changed("content-digest", "sha-256=", "sha-256=:AAAA:, sha-256="), "malformed"),
        (changed("content-digest", "sha-256=", "sha-256, sha-256="), "malformed"),
    ],
)
def test_nothing_else_counts(request_, fault):
    """Another key, address, body or time, too little covered, what cannot be read, or can be read in two ways."""
    assert verify(request_, KEYS, NOW) == fault


def test_a_signature_that_comes_twice_is_none():
    """Two fields of one name leave open which one was meant."""
    request = signed()
    for name in ("signature-input", "signature", "content-digest"):
        twice = {**request.headers, name: request.headers[name] * 2}
        assert verify(replace(request, headers=twice), KEYS, NOW) == "malformed"


def test_a_digest_in_two_ways_has_to_be_right_in_both():
    """A kind of digest that is not known may stand beside one that is."""
    (value,) = signed().headers["content-digest"]
    assert verify(changed("content-digest", value, value), KEYS, NOW) == Signed("n-1", "acme")
    request = replace(REQUEST, headers={**REQUEST.headers, "content-digest": [f"{value}, unixsum=:AAAA:"]})
    written = f'("@method" "@path" "@query" "content-digest");created={NOW};nonce="n";keyid="acme"'
    base = signature_base(request, list(WHOLE), written)
    assert base is not None
    fields = {"signature-input": [f"s={written}"], "signature": [f"s={signature(KEY, base)}"]}
    assert verify(replace(request, headers={**request.headers, **fields}), KEYS, NOW) == Signed("n", "acme")
