"""gunicorn's settings in the tests: loaded before the fork, and the App opened after it."""

from __future__ import annotations

import os
from typing import Any

preload_app = True
workers = 2
worker_class = "gthread"
threads = 4
graceful_timeout = 10
control_socket_disable = True


def post_fork(server: Any, worker: Any) -> None:
    from tests.blocking.forked import app

    if not os.environ.get("OPENED"):
        app.__enter__()


def worker_exit(server: Any, worker: Any) -> None:
    from tests.blocking.forked import app

    if not os.environ.get("OPENED"):
        app.close()
