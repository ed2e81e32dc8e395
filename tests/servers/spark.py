"""Spark on this machine as a cluster is: a master, workers, and a Spark Connect server that has work done by them."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.servers.process import ServerProcess

ROOT = Path(__file__).parents[2]
PINNED = (ROOT / "tests/servers/spark_requirements.txt").read_text()
MEMORY = "768m"
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Programs that live for a minute are not worth compiling well."""


def version() -> str:
    """The pinned one."""
    found = re.search(r"^pyspark==(\S+)", PINNED, re.MULTILINE)
    assert found is not None
    return found[1]


@cache
def installed() -> Path:
    """Where Spark is; it is brought if it is not there yet, so that only tests which need it wait for it."""
    if shutil.which("java") is None:
        raise RuntimeError("Java is not installed: run scripts/servers.sh")
    subprocess.run(["/bin/bash", "scripts/spark.sh"], cwd=ROOT, check=True)
    return ROOT / ".cache" / f"spark-{version()}"


class SparkProcess(ServerProcess):
    """What the programs share. They write what their users can: here, the folder of the snapshots."""

    user = "root"
    start_seconds = 240.0

    def program(self, *arguments: str, **variables: str) -> list[str]:
        """A program of Spark's in an environment with these variables."""
        home = installed()
        told = {
            "SPARK_HOME": str(home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_DAEMON_JAVA_OPTS": QUICK,
            **variables,
        }
        return [
            "/usr/bin/env",
            *(f"{name}={value}" for name, value in told.items()),
            f"{home}/bin/{arguments[0]}",
            *arguments[1:],
        ]

    def answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
            return True
        return False


class Master(SparkProcess):
    @property
    def url(self) -> str:
        return f"spark://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--webui-port", "0"]
        return self.program("spark-class", "org.apache.spark.deploy.master.Master", *where)


class Worker(SparkProcess):
    def __init__(self, master: Master) -> None:
        super().__init__()
        self._master = master

    def command(self) -> list[str]:
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--webui-port", "0", "--work-dir", str(self.folder)]
        return self.program(
            "spark-class",
            "org.apache.spark.deploy.worker.Worker",
            *where,
            "--cores",
            "1",
            "--memory",
            MEMORY,
            self._master.url,
        )


class Connect(SparkProcess):
    def __init__(self, master: Master) -> None:
        super().__init__()
        self._master = master

    @property
    def url(self) -> str:
        return f"sc://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        settings = {
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": str(self.port),
            "spark.driver.host": "127.0.0.1",
            "spark.executor.memory": MEMORY,
            "spark.executor.extraJavaOptions": QUICK,
            "spark.sql.shuffle.partitions": "4",
            "spark.ui.enabled": "false",
        }
        told = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
        heap = {"SPARK_DAEMON_MEMORY": MEMORY}
        server = ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
        return self.program("spark-submit", "--master", self._master.url, *told, *server, **heap)


class SparkCluster:
    """One master, two workers as processes of their own, and the server that is asked, at `url`."""

    def __init__(self) -> None:
        self.master = Master()
        self.workers = [Worker(self.master) for _ in range(2)]
        self.connect = Connect(self.master)

    @property
    def url(self) -> str:
        return self.connect.url

    def start(self) -> None:
        for process in (self.master, *self.workers, self.connect):
            process.start()

    def remove(self) -> None:
        for process in (self.connect, *self.workers, self.master):
            process.remove()
