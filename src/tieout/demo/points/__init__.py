"""Points for a prize: two services that share no transaction, one of which lies, and both of which are killed.

`run` is the whole demo; `tieout demo points` is its command.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Literal, get_args

from tieout import ConfigError
from tieout.demo.services import ServiceFailed

DEFAULT_SECONDS = 30.0
DEFAULT_RATE = 150.0
DEFAULT_USERS = 200
Edition = Literal["by-hand", "once"]
"""How the prize service sees to it that a key is issued once: by itself, or with tieout."""


def run(
    *,
    db: str = "sqlite",
    seconds: float = DEFAULT_SECONDS,
    rate: float = DEFAULT_RATE,
    seed: int = 1,
    users: int = DEFAULT_USERS,
    json: bool = False,
    keep: bool = False,
    prizes: Edition = "by-hand",
    recon: bool = False,
    broker: str = "auto",
    port: int = 0,
    show: bool = False,
) -> int:
    """Run the demo and print its result; return the exit status, 0 only when both sides agree.

    db       "sqlite" (files in a temporary folder), or a `postgresql://` or `mysql://` URL where it may create two.
    seconds  how long users come and faults strike, 5 to 86,400; up to three times as long where the machine is too
             slow for a quarter of them. The draining after that is bounded too.
    rate     redemptions started per second, 1 to 2,000.
    users    accounts that are shared out among them, 2 to 100,000; every tenth has few points.
    json     print the figures as the last line of standard output, and everything else on standard error.
    keep     keep what was made, and serve without faults until Ctrl-C.
    prizes   how the prize service keeps from issuing twice: "by-hand", or under `@app.once`: "once".
    recon    follow both databases with a rule, and plant differences behind the services' backs; needs a server.
    broker   an `amqp://` URL of a RabbitMQ that tells half of what becomes of prizes; "auto": this machine's, if one
             answers where RabbitMQ does; "none": callbacks tell all of it.
    port     where the shop's page is served while it runs, on this machine's loopback; 0: a port that is free.
    show     open that page in the browser.
    """
    for name, value, low, high in (
        ("seconds", seconds, 5, 86_400),
        ("rate", rate, 1, 2_000),
        ("users", users, 2, 100_000),
        ("port", port, 0, 65_535),
    ):
        if not low <= value <= high:
            raise ConfigError(f"--{name} is {low} to {high}, not {value}")
    if prizes not in get_args(Edition):
        raise ConfigError(f"--prizes is {' or '.join(get_args(Edition))}, not {prizes!r}")
    if broker not in {"auto", "none"} and not broker.startswith(("amqp://", "amqps://")):
        raise ConfigError("--broker is amqp://user:password@host:port/, auto, or none")
    try:
        from tieout.demo.points.director import Options, direct

        if recon:
            from tieout.demo.points.reconciling import check_db

            check_db(db)
    except ImportError as error:
        raise ConfigError(f"the demo needs {error.name}: pip install 'tieout[demo]'") from error
    try:
        chosen = "once" if recon else prizes
        options = Options(db, seconds, rate, seed, users, json, keep, chosen, recon, broker, port, show)
        return asyncio.run(direct(options))
    except ServiceFailed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
