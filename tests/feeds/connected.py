"""Databases that are fed by messages: a connector reads their log and writes to Kafka, and a feed reads that."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.channels.cases import KafkaCase
from tests.feeds.sources import MariaDBSource, PostgresSource, kept
from tieout.channels.kafka import KafkaChannel
from tieout.database import connect
from tieout.feeds import BrokerFeed, Canal, Debezium

NUMBERS = itertools.count(1)
CONNECTORS: list[Connected] = []
"""Those whose connector runs; it is stopped when a test ends."""


class Connected:
    """A database with a connector beside it, and feeds from what that one writes; else as the database itself."""

    def __init__(self, source: PostgresSource | MariaDBSource, case: KafkaCase) -> None:
        self.source, self.case = source, case
        is_canal = isinstance(source, MariaDBSource)
        self.kind = "canal" if is_canal else "debezium"
        common = {"open", "checks", "cuts"}
        self.lacks = frozenset(common | ({"whole", "exact", "again"} if is_canal else {"keys"}))
        self.topic = f"fed-{next(NUMBERS)}-{source.name}"
        self.url = source.server.url(source.name)
        self._kept = Path(tempfile.mkdtemp()) / "position"
        self._process: subprocess.Popen[str] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.source, name)

    def create(self, columns: str) -> None:
        self.source.create(columns)
        self.source.run("CREATE TABLE tieout_heartbeat (id int PRIMARY KEY, beat bigint)")
        self.source.run("INSERT INTO tieout_heartbeat VALUES (1, 0)")
        if self.kind == "debezium":
            self.source.run("ALTER TABLE tieout_heartbeat REPLICA IDENTITY FULL")
            self.source.run("ALTER PUBLICATION tieout ADD TABLE tieout_heartbeat")
        self.case.server.cluster.list_topics(self.topic, 10)
        CONNECTORS.append(self)
        self.start()

    def feed(self, *, tables: Any = ("t",)) -> BrokerFeed:
        inlet = KafkaChannel(self.case.server.url, group=self.topic, settings={"group.protocol": "consumer"})
        reader = Debezium(tables) if self.kind == "debezium" else Canal(tables, zone="Asia/Shanghai")
        database = connect(self.url)
        return kept(BrokerFeed(inlet, self.topic, reader, database=database, heartbeat="tieout_heartbeat"))

    def start(self) -> None:
        """Start the connector, and wait until it reads."""
        if self.kind == "debezium" and self._kept.exists():
            self.source.released()  # the server may take the reader that was killed to be there still
        slot = getattr(self.source, "slot", "")
        given = (self.kind, self.url, slot, self.case.server.url, self.topic, str(self._kept))
        command = [sys.executable, "-m", "tests.feeds.connector", *given]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def stop(self) -> None:
        """Kill the connector."""
        process, self._process = self._process, None
        if process is not None and process.stdout is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()

    def released(self) -> None:
        """Nothing to wait for: a reader that left its group holds up nobody."""

    def cut(self) -> None:
        """Have the connector crash, and begin once more."""
        self.stop()
        self.start()
