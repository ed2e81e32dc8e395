"""`tieout alarm test-route`: whether a route for alarms leads where it should."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.alarm.receivers import KEY, Hooks


@pytest.fixture
def hooks():
    """A receiver that serves in a thread of its own, since commands have an event loop of theirs."""
    server, loop = Hooks(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(30)
    yield server
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def config(shop, hooks, monkeypatch):
    """A file with two routes to that receiver, of which one may not go there."""
    monkeypatch.setenv("HOOK_KEY", KEY)
    route = f'to = "webhook"\nurl = "http://localhost:{hooks.port}/hook"\nsecret = "env:HOOK_KEY"\n'
    file = shop.folder / "alarms.toml"
    file.write_text(
        f'[alarms.routes.team]\n{route}networks = ["127.0.0.0/8", "::1/128"]\n'
        f'[alarms.routes.elsewhere]\n{route}networks = ["10.0.0.0/8"]\n'
    )
    return str(file)


def test_a_route_is_tried(shop, hooks, config):
    """Status 0 when the receiver has taken the message, which calls itself a test and is signed as any other."""
    told = shop.run("alarm", "test-route", "team", "--config", config, "--json")
    assert (told.status, told.document) == (0, {"route": "team", "taken": True, "why": None})
    ((_, body),) = hooks.taken
    assert body["data"]["kind"] == "test"
    assert "this is a test" in body["data"]["summary"]


def test_why_a_message_was_not_taken_is_told(shop, hooks, config):
    """Status 1: the receiver has said no, or it lies where nothing is sent to."""
    hooks.moods = [503]
    refused = shop.run("alarm", "test-route", "team", "--config", config)
    assert (refused.status, refused.out) == (1, "team: not taken: HTTP 503\n")
    inside = shop.run("alarm", "test-route", "elsewhere", "--config", config, "--json")
    assert inside.status == 1
    assert "AddressRefused" in inside.document["why"]
    assert hooks.taken == []


def test_a_route_that_is_none_is_refused(shop, config, tmp_path):
    """Status 2: an unknown name, a file without the table, one that cannot work, and an App without routes."""
    (tmp_path / "empty.toml").write_text("[server]\n")
    (tmp_path / "wrong.toml").write_text('[alarms.routes.team]\nto = "webhook"\nurl = "https://x.example"\n')
    for args in (
        ("nobody", "--config", config),
        ("team", "--config", str(tmp_path / "empty.toml")),
        ("team", "--config", str(tmp_path / "wrong.toml")),
        ("team", "--config", str(tmp_path / "none.toml")),
        ("team",),
    ):
        refused = shop.run("alarm", "test-route", *args)
        assert (refused.status, refused.out) == (2, "")
        assert "[config]" in refused.err
