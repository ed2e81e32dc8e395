"""A real server on a free port, in a folder of its own, stopped by its process id."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

GONE = {"Z", "X"}
"""What the kernel says of a process that has ended."""

START_SECONDS = 60.0
"""Longest that a server may take to answer, on a busy machine."""


PORTS = range(10_000, 20_000)
"""Below what Linux gives to outgoing connections, and below the demo's: neither takes a port while a server is away."""

GIVEN: set[int] = set()
"""Ports that this process was told of before."""


def free_port() -> int:
    """A port of 127.0.0.1 that nothing uses now; another one each time."""
    chance = random.SystemRandom()
    while True:
        port = chance.choice(PORTS)
        if port not in GIVEN and _is_free(port):
            GIVEN.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_for(ask: Callable[[str], str], sql: str, answer: str) -> None:
    """Ask again until this is the answer."""
    ends = time.monotonic() + START_SECONDS
    while (found := ask(sql)) != answer:
        if time.monotonic() > ends:
            raise RuntimeError(f"{sql} answers {found!r} and not {answer!r}")
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """The processes that `pid` has started and that still run."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


class ServerProcess:
    """What all servers share: a folder, a port, a user that is not root, and how to start, freeze and kill it.

    A kind of server says in `command` how it is started, in `answers` whether it is ready, in `user` who runs it when
    the tests run as root.
    """

    user = "nobody"
    stop_signal = signal.SIGTERM
    start_seconds = START_SECONDS

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"tieout-{type(self).__name__.lower()}-"))
        self.folder.chmod(0o755)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.own(self.folder)

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        """Start it and wait until it answers; it keeps its port and folder when it is started again."""
        log = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder, **self._as_user()
            )
        ends = time.monotonic() + self.start_seconds
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError(f"{self.command()[0]} did not start:\n{self.tail()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it in good order."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End it and all that it started as a power cut would: with SIGKILL, at once."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it without closing anything: it holds its connections and answers nothing.

        The signal only asks: a busy server's threads may answer one more statement before the last of them stands.
        """
        assert self.process is not None
        self._signal_all(signal.SIGSTOP)
        family = [self.process.pid, *children(self.process.pid)]
        ends = time.monotonic() + START_SECONDS
        while not all(_stands(pid) for pid in family):
            if time.monotonic() > ends:
                raise RuntimeError(f"{self.command()[0]} did not stop for its signal")
            time.sleep(0.001)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def remove(self) -> None:
        """Stop it if it runs, and delete its folder."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def tail(self) -> str:
        """The last lines of its log."""
        return "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-20:])

    def run(self, *command: str, **variables: str) -> str:
        """Run a command of the server's, as its user; return what it prints."""
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=os.environ | variables,
            **self._as_user(),
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def _signal_all(self, number: int) -> None:
        assert self.process is not None
        for pid in [self.process.pid, *children(self.process.pid)]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def _end(self, number: int) -> None:
        assert self.process is not None
        family = children(self.process.pid)
        if number == signal.SIGKILL:
            self._signal_all(number)
        else:
            self.process.send_signal(number)
        self.process.wait(START_SECONDS)
        ends = time.monotonic() + START_SECONDS
        while any(_runs(pid) for pid in family) and time.monotonic() < ends:
            time.sleep(0.01)

    def own(self, path: Path) -> None:
        """Give a file or folder to the user who runs the server."""
        if os.getuid() == 0:
            account = pwd.getpwnam(self.user)
            os.chown(path, account.pw_uid, account.pw_gid)

    def _as_user(self) -> dict:
        if os.getuid() != 0:
            return {}
        account = pwd.getpwnam(self.user)
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _runs(pid: int) -> bool:
    return _state(Path(f"/proc/{pid}")) not in GONE


def _stands(pid: int) -> bool:
    """Whether no thread of the process can run before it is thawed."""
    try:
        return all(_state(task) in {"T", *GONE} for task in Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return True


def _state(proc: Path) -> str:
    """The letter by which the kernel tells what a process or thread does; X for one that is no more."""
    try:
        return (proc / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"
