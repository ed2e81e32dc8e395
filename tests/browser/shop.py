"""The demo's mall and prize service as programs, and what their databases say in the end."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from tests.servers.process import free_port
from tieout.demo.points import prize_service
from tieout.demo.points.shopfront import VISITOR, VISITOR_POINTS

SECRET = "whsec_" + "dGhlLWtleS1vZi10aGUtcHJpemUtc2VydmljZS0wMDAx"
FOLDER = Path(prize_service.__file__).parent.parent
PATIENCE = 60.0
MUG = 120
"""Points for one."""


COUNTED = {
    "processes": ("SELECT state FROM tieout_process ORDER BY created", "mall.db"),
    "changes": ("SELECT delta, reason FROM points_change ORDER BY rowid", "mall.db"),
    "prizes": ("SELECT code FROM prize ORDER BY rowid", "prizes.db"),
}
"""What a test leaves, in the order in which it came."""


class Program:
    """A service on a port, started, killed and started again; it ends with the tests."""

    def __init__(self, arguments: list[str], port: int, log: Path) -> None:
        self.arguments = arguments
        self.port = port
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        environment = os.environ | {"PRIZES_SECRET": SECRET, "PYTHONPATH": str(FOLDER)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", *self.arguments, "--tied"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
            )
        until(self._answers, f"{self.arguments[1]} to start:\n{self.log.read_text()}")

    def kill(self) -> None:
        """Kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process = None

    def _answers(self) -> bool:
        try:
            return httpx.get(self.url).status_code < 500
        except httpx.TransportError:
            assert self.process.poll() is None, self.log.read_text()
            return False


class Shop:
    """Both services, with new databases."""

    def __init__(self, folder: Path) -> None:
        port, api_port, prizes_port = free_port(), free_port(), free_port()
        self.folder = folder
        self.db = f"sqlite:///{folder}/mall.db"
        self.api = f"http://127.0.0.1:{api_port}"
        mall = ["-m", "tieout.demo.points.mall", "--db", self.db, "--port", str(port), "--api-port", str(api_port)]
        mall += ["--prizes", f"http://127.0.0.1:{prizes_port}"]
        prizes = ["-m", "prize_service", "--db", str(folder / "prizes.db"), "--port", str(prizes_port)]
        prizes += ["--callback", f"{self.api}/v1/report", "--conflict-log", str(folder / "conflicts.jsonl")]
        self.mall = Program(mall, port, folder / "mall.log")
        self.prizes = Program(prizes, prizes_port, folder / "prizes.log")
        self.before: dict[str, int] = {}

    @property
    def url(self) -> str:
        return self.mall.url

    def start(self) -> None:
        command = [sys.executable, "-m", "tieout.demo.points.mall", "--db", self.db, "--open-accounts", "2"]
        subprocess.run(command, check=True, capture_output=True)
        self.prizes.start()
        self.mall.start()

    def kill(self) -> None:
        self.mall.kill()
        self.prizes.kill()

    def begin(self) -> None:
        """What is counted from now on is new; the visitor has all points, and the prize service behaves."""
        if self.mall.process is None:
            self.mall.start()
        self.plan()
        until(lambda: not self.running(), "everything to become final")
        with closing(sqlite3.connect(self.folder / "mall.db", timeout=PATIENCE)) as found, found:
            found.execute(f"UPDATE account SET points = {VISITOR_POINTS} WHERE name = '{VISITOR}'")
        self.before = {name: len(self.rows(sql, db)) for name, (sql, db) in COUNTED.items()}

    def plan(self, **aspects: str) -> None:
        """Have the prize service do everything in this manner: `answer="pending"`."""
        shares = {aspect: {behaviour: 1.0} for aspect, behaviour in aspects.items()}
        httpx.post(f"{self.prizes.url}/plan", json={"shares": shares}).raise_for_status()

    def rows(self, sql: str, database: str = "mall.db") -> list[tuple[Any, ...]]:
        """What stands in a database."""
        with closing(sqlite3.connect(self.folder / database, timeout=PATIENCE)) as found:
            return found.execute(sql).fetchall()

    def new(self, name: str) -> list[tuple[Any, ...]]:
        """The rows of this name that have come since the beginning."""
        sql, database = COUNTED[name]
        return self.rows(sql, database)[self.before[name] :]

    def running(self) -> int:
        """How many processes have not come to an end."""
        return self.rows("SELECT count(*) FROM tieout_process WHERE status = 'running'")[0][0]

    def accepted(self) -> int:
        """How many requests were accepted."""
        return len(self.new("processes"))

    def points(self) -> int:
        """What the visitor has."""
        return self.rows(f"SELECT points FROM account WHERE name = '{VISITOR}'")[0][0]

    def check_redeemed(self, times: int = 1, *, points: int = MUG) -> None:
        """Exactly so many redemptions on both sides, each final, each with its points taken once."""
        until(lambda: self.accepted() and not self.running(), "everything to become final")
        assert self.new("processes") == [("completed",)] * times
        assert self.new("changes") == [(-points, "redeemed")] * times
        assert self.points() == VISITOR_POINTS - times * points
        assert len(self.new("prizes")) == times

    def check_untouched(self) -> None:
        """Nothing was accepted, and no points were taken."""
        assert (self.accepted(), self.points()) == (0, VISITOR_POINTS)


def until(true: Any, what: str) -> None:
    """Wait until it is true."""
    ends = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < ends, f"waited too long for {what}"
        time.sleep(0.02)
