"""A shop in a folder of its own: its App, its database, its downstream's mood, and the commands run there."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import tieout
from tieout.cli import main

HERE = Path(__file__).parent
TIEOUT = Path(sys.executable).with_name("tieout")
PATIENCE = 60.0
"""Longest wait for a command to come that far, on a busy machine."""


@dataclass(frozen=True)
class Result:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document that it printed."""
        return json.loads(self.out)

    @property
    def documents(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Shop:
    """The service under test and what an operator does beside it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.file = folder / "shop.db"
        self.url = f"sqlite:///{self.file}"
        self._capsys = capsys

    def run(self, *args: str) -> Result:
        """A command, in this interpreter: the same code, without its start."""
        self._capsys.readouterr()
        status = main(args)
        out, err = self._capsys.readouterr()
        return Result(status, out, err)

    def spawn(self, *args: str, **variables: str) -> subprocess.Popen[str]:
        """A command as a program of its own, which the test ends."""
        return subprocess.Popen(
            [TIEOUT, *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=os.environ | variables,
        )

    def command(self, *args: str, **variables: str) -> Result:
        """A command as a program of its own, to its end."""
        process = self.spawn(*args, **variables)
        try:
            out, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
        return Result(process.returncode, out, err)

    def feels(self, call: str = "succeed", query: str = "succeed") -> None:
        """Set the downstream's mood, for every program at once."""
        new = self.folder / "downstream.new"
        new.write_text(json.dumps({"call": call, "query": query}))
        new.replace(self.folder / "downstream.json")

    def inside(self, work: Callable[[tieout.App, Any], Awaitable[Any]]) -> Any:
        """Let the service itself do something, with a worker that drives nothing."""

        async def run() -> Any:
            shop = importlib.import_module("shop")
            shop.app.sweeps, shop.app.limits = False, tieout.Limits(in_flight=0)
            async with shop.app:
                return await work(shop.app, shop)

        return asyncio.run(run())

    def start(self, key: str = "r-1", user: str = "alice") -> str:
        """Start a process that nobody drives yet; its id."""
        return self.inside(lambda app, shop: app.start(shop.Redeem(request_id=key, user=user))).id

    def report(self, process: str, outcome: Callable[[Any], Any]) -> str:
        """Report on the first call of a process, as a callback would."""
        return self.inside(lambda app, shop: app.report(f"{process}:1", outcome(shop)))

    def conflict(self, key: str = "r-1") -> str:
        """A process that is held, because a claim contradicts what was sent; its id."""
        process = self.start(key)
        assert self.report(process, lambda shop: tieout.Succeeded(shop.Prize("A1", "umbrella"))) == "conflict"
        return process

    def state(self, process: str) -> str:
        return self.inside(lambda app, _: app.get(process)).state

    def delivered(self, process: str) -> int:
        """How often the prize of a process was written down."""
        with sqlite3.connect(self.file) as database:
            counted = database.execute("SELECT count(*) FROM delivered WHERE id = ?", (process,)).fetchone()[0]
        database.close()
        return counted

    def wait_for(self, condition: Callable[[], Any], what: str) -> None:
        ends = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < ends, f"waited too long for {what}"
            time.sleep(0.02)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shop]:
    """The shop before its first migration: there is no database yet."""
    shop = Shop(tmp_path, capsys)
    shutil.copy(HERE / "shop.py", tmp_path)
    shop.feels()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_DB", shop.url)
    monkeypatch.setenv("TIEOUT_ACTOR", "alice")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield shop
    sys.modules.pop("shop", None)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the shop's tables and tieout's, to be copied."""
    file = tmp_path_factory.mktemp("migrated") / "shop.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE delivered (id TEXT, code TEXT)")
    database.close()
    assert main(["migrate", f"sqlite:///{file}"]) == 0
    return file


@pytest.fixture
def shop(bare: Shop, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The shop with its tables, and named by the environment."""
    monkeypatch.setenv("TIEOUT_APP", "shop:app")
    shutil.copy(migrated, bare.file)
    return bare
