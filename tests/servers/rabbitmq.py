"""A RabbitMQ server of one node, with a port mapper and a cookie of its own, for tests."""

from __future__ import annotations

import pwd
import secrets
import signal
import socket
import subprocess
from pathlib import Path

from tests.servers.process import ServerProcess, free_port

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Debian's wrapper on the PATH runs as one account and in one folder only; this is what it wraps."""


def _account() -> str:
    try:
        return pwd.getpwnam("rabbitmq").pw_name
    except KeyError:
        return "nobody"


class RabbitMQ(ServerProcess):
    """One server; its durable queues are in its folder, and there again when it is started again."""

    user = _account()
    start_seconds = 120.0  # it takes five where the machine is idle

    def __init__(self) -> None:
        super().__init__()
        self.mapper_port, self.node_port = free_port(), free_port()
        self.mapper: subprocess.Popen[bytes] | None = None
        cookie = self.folder / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        self.own(cookie)
        for name in ("plugins", "rabbitmq.conf"):
            (self.folder / name).write_text("[].\n" if name == "plugins" else "")
            self.own(self.folder / name)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def command(self) -> list[str]:
        if not SERVER.exists():
            raise RuntimeError("the Debian package rabbitmq-server is not installed")
        settings = {
            "HOME": self.folder,
            "ERL_EPMD_PORT": self.mapper_port,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"t{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": self.port,
            "RABBITMQ_DIST_PORT": self.node_port,
            "RABBITMQ_MNESIA_BASE": self.folder / "mnesia",
            "RABBITMQ_LOG_BASE": self.folder / "logs",
            "RABBITMQ_PID_FILE": self.folder / "pid",
            "RABBITMQ_CONFIG_FILE": self.folder / "rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.folder / "plugins",
            # Schedulers that spin while they wait would take a core from the tests.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none +S 1:1",
        }
        return ["/usr/bin/env", *(f"{name}={value}" for name, value in settings.items()), str(SERVER)]

    def start(self) -> None:
        if self.mapper is None:
            self._start_mapper()
        super().start()

    def answers(self) -> bool:
        """Whether it greets a client: it does so only when its queues can be used."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.5) as probe:
                probe.sendall(b"AMQP\x00\x00\x09\x01")
                return probe.recv(1) == b"\x01"
        except OSError:
            return False

    def remove(self) -> None:
        mapper, self.mapper = self.mapper, None
        if mapper is not None:
            mapper.send_signal(signal.SIGKILL)
            mapper.wait()
        super().remove()

    def _start_mapper(self) -> None:
        """Nodes look for one on their port and start one that outlives them: this one is ours to stop."""
        command = ["epmd", "-address", "127.0.0.1", "-port", str(self.mapper_port)]
        with (self.folder / "mapper.log").open("ab") as log:
            self.mapper = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, **self._as_user()
            )
