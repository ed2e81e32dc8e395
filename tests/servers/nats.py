"""A NATS server with JetStream, for tests."""

from __future__ import annotations

import shutil
import socket

from tests.servers.process import ServerProcess


class Nats(ServerProcess):
    """One server; what its streams hold is in its folder, and there again when it is started again."""

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        program = shutil.which("nats-server", path="/usr/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            raise RuntimeError("the Debian package nats-server is not installed")
        store = self.folder / "streams"
        store.mkdir(exist_ok=True)
        self.own(store)
        return [program, "-js", "-sd", str(store), "-a", "127.0.0.1", "-p", str(self.port)]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.2) as probe:
                return probe.recv(4) == b"INFO"
        except OSError:
            return False
