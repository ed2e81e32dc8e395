"""`tieout mirror`: how copies stand, and what people ask of them, each act with its reason in the audit."""

from __future__ import annotations

import asyncio
import importlib
import shutil
import sys
from datetime import UTC, datetime

import pytest

from tests.cli.conftest import HERE, Shop
from tests.mirror.waiting import until
from tieout.errors import UnknownItem


@pytest.fixture
def mirrored(tmp_path, monkeypatch, capsys):
    """A service whose mirror has been followed until every night is known."""
    made = Shop(tmp_path, capsys)
    shutil.copy(HERE / "rooms.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_DB", made.url)
    monkeypatch.setenv("TIEOUT_ACTOR", "alice")
    monkeypatch.setenv("TIEOUT_APP", "rooms:app")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    rooms = importlib.import_module("rooms")

    async def is_known(item):
        try:
            return (await rooms.rooms.read("acme", item, datetime.now(UTC).date(), 5, refresh=False)).values
        except UnknownItem:
            return None

    async def follow():
        async with rooms.app:
            await until(lambda: is_known("h1-double"))
            await until(lambda: is_known("h2-twin"))

    asyncio.run(follow())
    yield made
    sys.modules.pop("rooms", None)


def audited(shop):
    return [(row["action"], row["actor"], row["reason"]) for row in shop.run("audit", "list", "--json").documents]


def test_how_a_copy_stands(mirrored):
    """For programs one document for each copy, for people its facts; an unknown copy is refused."""
    status = mirrored.run("mirror", "status", "--json").document
    assert (status["mirror"], status["supplier"], status["groups"], status["items"]) == ("rooms", "acme", 2, 2)
    assert status["paused"] is False and status["measured"]["unknown"] == 0
    shown = mirrored.run("mirror", "status", "rooms/acme").out
    assert "rooms/acme" in shown and "groups" in shown and "catalogue" in shown
    refused = mirrored.run("mirror", "status", "rooms/nobody")
    assert refused.status != 0 and "unknown-item" in refused.err


def test_an_item(mirrored):
    """Each night of it, with its fields."""
    item = mirrored.run("mirror", "item", "rooms/acme", "h1-double", "--json").document
    assert [cell["values"]["price"] for cell in item["cells"]] == [100] * 5
    assert item["cells"][0]["values"]["rules"] == {"cancel": "free"}
    assert "100" in mirrored.run("mirror", "item", "rooms/acme", "h1-double").out
    assert "unknown-item" in mirrored.run("mirror", "item", "rooms/acme", "h9").err


def test_what_people_ask_is_done_and_audited(mirrored):
    """Pausing, resuming, boosting, excluding and restoring show in the status, and in the audit with their reasons."""

    def status():
        return mirrored.run("mirror", "status", "--json").document

    assert mirrored.run("mirror", "pause", "rooms/acme", "--reason", "they move").status == 0
    assert status()["paused"] is True
    done = mirrored.run("mirror", "resume", "rooms/acme", "--reason", "back", "--json").document
    assert done == {"copy": "rooms/acme", "action": "resume", "group": None} and status()["paused"] is False
    mirrored.run("mirror", "boost", "rooms/acme", "h1", "--for", "2h", "--reason", "a concert")
    mirrored.run("mirror", "exclude", "rooms/acme", "h2", "--reason", "winter")
    assert status()["choices"] == {"h1": "boost", "h2": "exclude"}
    mirrored.run("mirror", "restore", "rooms/acme", "h1", "--reason", "over")
    assert status()["choices"] == {"h2": "exclude"}
    assert ("mirror-exclude", "alice", "winter") in audited(mirrored)
    assert len([row for row in audited(mirrored) if row[0].startswith("mirror-")]) == 5
    for wrong in (("h9", "--reason", "x"), ()):
        assert mirrored.run("mirror", "exclude", "rooms/acme", *wrong).status != 0


def test_a_refresh_makes_the_cells_suspect_until_they_were_asked_for(mirrored):
    """One group's, or everybody's; which of both has to be said."""
    mirrored.run("mirror", "refresh", "rooms/acme", "h1", "--reason", "they called")

    def suspects(item):
        cells = mirrored.run("mirror", "item", "rooms/acme", item, "--json").document["cells"]
        return [cell["suspect"] for cell in cells]

    assert (suspects("h1-double"), suspects("h2-twin")) == ([True] * 5, [False] * 5)
    assert mirrored.run("mirror", "refresh", "rooms/acme", "--reason", "x").status != 0
    mirrored.run("mirror", "refresh", "rooms/acme", "--everything", "--reason", "x")
    assert suspects("h2-twin") == [True] * 5
