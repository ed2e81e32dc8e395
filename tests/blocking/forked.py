"""What gunicorn and Celery are given in the tests: an App, opened in each of their children."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown

from tests.blocking.shop import Shop, redeem
from tieout import blocking
from tieout.errors import TieoutError

app = blocking.App(os.environ["SHOP_DB"], deps=Shop())
Redeem = app.register(redeem())

if os.environ.get("OPENED") == "before the fork":
    app.__enter__()


def web(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Redeem once, the path being the request id; tell the state and who served it, or the error's code."""
    try:
        view = app.start(Redeem(request_id=environ["PATH_INFO"], user="ann", cost=1), wait=60)
    except TieoutError as error:
        start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
        return [error.code.encode()]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{view.state} {os.getpid()}".encode()]


queue = Celery("shop")
queue.conf.update(
    broker_url="filesystem://",
    broker_transport_options={
        "data_folder_in": f"{os.environ.get('BROKER')}/queue",
        "data_folder_out": f"{os.environ.get('BROKER')}/queue",
        "control_folder": f"{os.environ.get('BROKER')}/control",
    },
    task_acks_late=True,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
)


@worker_process_init.connect
def open_app(**_: Any) -> None:
    app.__enter__()


@worker_process_shutdown.connect
def close_app(**_: Any) -> None:
    app.close()


@queue.task(name="redeem")
def redeem_once(request_id: str) -> None:
    """Start a process; its end is looked up in the database by whoever asked."""
    app.start(Redeem(request_id=request_id, user="ann", cost=1), wait=60)
