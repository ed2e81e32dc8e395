"""The two services of a run, with all that each is told when it is started."""

from __future__ import annotations

import secrets
from base64 import b64encode
from pathlib import Path
from typing import NamedTuple

from tieout.demo.points.broker import Queue
from tieout.demo.points.places import Places
from tieout.demo.points.reached import SECRET
from tieout.demo.services import Service

MALL_PROGRAM = ["-m", "tieout.demo.points.mall"]


class Ports(NamedTuple):
    """Where on this machine's loopback each is reached."""

    mall: int
    api: int
    prizes: int


class Means(NamedTuple):
    """What both share: where things lie, how they reach each other, and the key by which calls back are signed."""

    places: Places
    ports: Ports
    queue: Queue
    secret: str


def new_secret() -> str:
    """A key as Standard Webhooks write it."""
    return f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"


def mall_service(means: Means) -> Service:
    """The mall, with its page and its API."""
    places, ports, queue, secret = means
    arguments = [*MALL_PROGRAM, "--db", places.mall_url, "--port", str(ports.mall), "--api-port", str(ports.api)]
    arguments += ["--prizes", f"http://127.0.0.1:{ports.prizes}", *queue.arguments(), "--tied"]
    return Service("mall", arguments, ports.mall, places.folder / "mall.log", environment={SECRET: secret})


def prize_service(means: Means, *, once: bool) -> Service:
    """The prize service: the edition that keeps by itself from issuing twice, or that which leaves it to tieout."""
    places, ports, queue, secret = means
    program = "tieout.demo.points.prizes_by_once" if once else "prize_service"
    arguments = ["-m", program, "--db", places.prizes_db, "--port", str(ports.prizes), *queue.arguments()]
    arguments += ["--callback", f"http://127.0.0.1:{ports.api}/v1/report"]
    arguments += ["--conflict-log", str(places.conflict_log), "--tied"]
    log, path = places.folder / "prizes" / "prizes.log", Path(__file__).parent
    return Service("prizes", arguments, ports.prizes, log, path=path, environment={SECRET: secret})
