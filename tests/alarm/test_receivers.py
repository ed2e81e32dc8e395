"""Where nothing is sent to, and settings that cannot work."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.alarm.receivers import KEY, LOOPBACK, Hooks, Post
from tieout.alarm.notify.addresses import AddressRefused, is_allowed, networks_of
from tieout.alarm.notify.receivers import read_alarm_settings, receiver
from tieout.alarm.notify.routing import AlarmSettings, Notice, Route, envelope
from tieout.contracts import Message
from tieout.errors import ConfigError
from tieout.wire.robots import dingtalk_signature, feishu_signature, robot_post, shortened

INSIDE = (
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),  # noqa: S104 - an address to be refused
    *("100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "64:ff9b::a9fe:a9fe"),
)
OUTSIDE = ("8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8")

NOTICE = Notice(
    id="a" * 32,
    happening="opened",
    kind="deadline",
    severity="serious",
    state="open",
    object="p-1",
    process=None,
    summary="too late",
    count=1,
    owner=None,
    escalation=0,
    at="2030-01-01T00:00:00.000000Z",
    actor="tieout",
    note="",
    resolution=None,
    link="",
)
DINGTALK = "fFV9t5lBS7KH4+5B0JjR99ab+AJkXFauQXycgTkS/tc="
FEISHU = "mrvWG34HKV6PqBObvxHSEHK+ExNfDb38Dqx7z7qYW68="
MESSAGE = Message("b" * 32, "deadline", "a" * 32, {}, envelope(NOTICE), 0)


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_that_only_insiders_reach_are_refused(address):
    """Loopback, private, link-local, shared, multicast, and IPv6 addresses that stand for one of these."""
    assert not is_allowed(address, ())


@pytest.mark.parametrize("address", OUTSIDE)
def test_public_addresses_are_allowed(address):
    """Those that everybody can reach."""
    assert is_allowed(address, ())


def test_a_named_network_is_allowed_and_no_other():
    """Also where an address stands for one of it."""
    networks = networks_of(["10.0.0.0/8", "fc00::/7"])
    assert [is_allowed(one, networks) for one in ("10.1.2.3", "::ffff:10.1.2.3", "fc00::1", "192.168.1.1", "::1")] == [
        *(True, True, True, False, False),
    ]


@pytest.fixture
async def hooks():
    server = Hooks()
    await server.start()
    yield server
    await server.stop()


async def sent(route):
    made = receiver(route)
    await made.open()
    try:
        return await made.publish([MESSAGE])
    finally:
        await made.close()


WRITTEN = (
    *("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433"),
    *("127\u30020\u30020\u30021", "\uff11\uff12\uff17.0.0.1"),  # which the client takes for digits and full stops
)


@pytest.mark.parametrize("host", WRITTEN)
@pytest.mark.parametrize("to", ["webhook", "slack"])
async def test_nothing_is_sent_inside_unless_its_network_is_named(hooks, host, to):
    """By address or by name; naming another network does not help."""
    url = f"http://{host}:{hooks.port}/hook"
    with pytest.raises(AddressRefused):
        await sent(Route(to=to, url=url, secret=KEY, networks=("10.0.0.0/8",)))
    assert hooks.requests == 0


async def test_a_name_with_one_address_inside_is_refused(hooks, monkeypatch):
    """Otherwise the order of its addresses would decide where a message goes."""

    async def both(host, port, **_):
        found = ("8.8.8.8", "127.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
    with pytest.raises(AddressRefused):
        await sent(Route(to="webhook", url=f"https://rebinds.example:{hooks.port}/hook", secret=KEY))
    assert hooks.requests == 0


async def test_a_name_is_looked_up_once(hooks, monkeypatch):
    """The connection goes to the address that was looked at, not to what the name means a moment later."""
    asked = []

    async def once(host, port, **_):
        asked.append(host)
        assert len(asked) == 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", once)
    url = hooks.url("hook", host="hooks.example")
    assert await sent(Route(to="webhook", url=url, secret=KEY, networks=LOOPBACK)) == [None]
    assert (asked, hooks.requests) == (["hooks.example"], 1)


async def test_a_mail_that_breaks_the_connection_holds_up_no_other():
    """What was taken before it is not sent again with it, and what is behind it is sent too."""
    server = Post()
    await server.start()
    server.moods = [None, "drop"]
    url = f"smtp://127.0.0.1:{server.port}"
    made = receiver(
        Route(to="email", url=url, sender="t@example.com", recipients=("l@example.com",), networks=LOOPBACK)
    )
    first, breaks, last = await made.publish([MESSAGE._replace(id=f"{number:032x}") for number in range(3)])
    await server.stop()
    assert (first, last) == (None, None) and "Disconnected" in breaks
    assert [f"{number:032x}" in text for number, text in zip((0, 2), server.taken, strict=True)] == [True, True]


async def test_redirects_are_not_followed(hooks):
    """They are an answer like any other that is no yes."""
    assert await sent(Route(to="webhook", url=hooks.url("moved/hook"), secret=KEY, networks=LOOPBACK)) == ["HTTP 307"]
    assert hooks.requests == 0


@pytest.mark.parametrize(
    "told",
    [
        {"routes": {"a": {"to": "pigeon", "url": "https://x.example"}}},
        {"routes": {"a": {"to": "webhook", "url": "https://x.example"}}},
        {"routes": {"A!": {"to": "slack", "url": "https://x.example"}}},
        {"routes": {"a": {"to": "slack", "url": "https://x.example", "kinds": ["no-such-kind"]}}},
        {"routes": {"a": {"to": "slack", "url": "https://x.example", "colour": "red"}}},
        {"routes": {"a": {"to": "email", "url": "smtp://x.example"}}},
        {"escalate_after": {"grave": "1h"}},
    ],
)
def test_settings_that_cannot_work_are_refused(told):
    """Before anything is sent."""
    with pytest.raises(ConfigError):
        read_alarm_settings(told)


@pytest.mark.parametrize(
    "route",
    [
        Route(to="slack", url="http://hooks.example/x"),
        Route(to="slack", url="ftp://hooks.example/x"),
        Route(to="webhook", url="https://hooks.example", secret="whsec_short"),
        Route(to="slack", url="env:TIEOUT_NO_SUCH_VARIABLE"),
        Route(to="slack", url="https://hooks.example", networks=("10.0.0.0/99",)),
        Route(to="email", url="https://mail.example", sender="a@example.org", recipients=("b@example.org",)),
        Route(to="apprise", url="nonsense"),
    ],
)
def test_routes_that_cannot_work_are_refused(route):
    """When they are made: an address without TLS, a key that is none, a variable that is not set."""
    with pytest.raises(ConfigError):
        receiver(route)


def test_secrets_may_stand_in_the_environment():
    """A file with routes need not hold any."""
    told = read_alarm_settings({"routes": {"a": {"to": "webhook", "url": "env:URL", "secret": "env:KEY"}}})
    made = receiver(told.routes["a"], {"URL": "https://hooks.example/x", "KEY": KEY})
    assert made.route.url == "https://hooks.example/x"
    assert AlarmSettings().second_person == ("conflict", "unconfirmed")


def test_signatures_are_those_of_the_services():
    """Computed apart, with `openssl dgst -sha256 -hmac KEY -binary | base64`."""
    assert dingtalk_signature("this is secret", 1_577_836_800_000)["sign"] == DINGTALK
    assert feishu_signature("this is secret", 1_577_836_800)["sign"] == FEISHU


def test_long_texts_are_cut_between_characters():
    """In bytes, since that is what services count."""
    text = robot_post("wecom", "https://x.example", "", "警" * 2_000, 0).body.decode()
    assert "警…" in text
    assert len(text.encode()) < 2_100
    assert shortened("abc", 3) == "abc"
