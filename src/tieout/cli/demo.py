"""`tieout demo`: complete businesses that fail on purpose."""

from __future__ import annotations

from typing import Annotated

import cyclopts
from cyclopts import Parameter

from tieout import ConfigError
from tieout.cli.printing import SWITCH
from tieout.demo import hotels as hotels_demo
from tieout.demo import points as points_demo

commands = cyclopts.App(name="demo", help="Complete businesses that fail on purpose, and an auditor that compares.")


@commands.command
def points(
    *,
    db: Annotated[
        str, Parameter(help="sqlite, or a postgresql:// or mysql:// URL where two databases may be created.")
    ] = "sqlite",
    seconds: Annotated[float, Parameter(help="How long users come and faults strike.")] = points_demo.DEFAULT_SECONDS,
    rate: Annotated[float, Parameter(help="Redemptions a second.")] = points_demo.DEFAULT_RATE,
    seed: Annotated[int, Parameter(help="The same seed plans the same faults.")] = 1,
    users: Annotated[int, Parameter(help="Accounts that are shared out among them.")] = points_demo.DEFAULT_USERS,
    prizes: Annotated[
        points_demo.Edition, Parameter(help="How the prize service keeps from issuing twice: itself, or by tieout.")
    ] = "by-hand",
    recon: Annotated[
        bool, SWITCH, Parameter(help="Follow both databases, and plant differences that must be found. Needs a server.")
    ] = False,
    broker: Annotated[
        str,
        Parameter(help="RabbitMQ that tells half of what becomes of prizes: amqp://…, auto (this machine's), or none."),
    ] = "auto",
    port: Annotated[int, Parameter(help="The port of the shop's page on 127.0.0.1: one that is free.")] = 0,
    show: Annotated[bool, SWITCH, Parameter(name="--open", help="Open the shop's page in the browser.")] = False,
    keep: Annotated[bool, SWITCH, Parameter(help="Keep what was made, and serve without faults until Ctrl-C.")] = False,
    json: Annotated[bool, SWITCH, Parameter(name="--json", help="Print the figures as one last line of JSON.")] = False,
) -> int:
    """Exchange points for prizes through a service that lies, while both sides are killed; exit 0 if they agree."""
    return points_demo.run(
        db=db,
        seconds=seconds,
        rate=rate,
        seed=seed,
        users=users,
        json=json,
        keep=keep,
        prizes=prizes,
        recon=recon,
        broker=broker,
        port=port,
        show=show,
    )


@commands.command
def hotels(
    *,
    small: Annotated[bool, SWITCH, Parameter(help="5 suppliers with 300 hotels, which is the default.")] = False,
    full: Annotated[bool, SWITCH, Parameter(help="200 suppliers with 30,000 hotels, on the server of --db.")] = False,
    suppliers: Annotated[int | None, Parameter(help="How many suppliers, instead.")] = None,
    hotels: Annotated[int | None, Parameter(help="How many hotels of each, instead.")] = None,
    db: Annotated[
        str, Parameter(help="sqlite, or a postgresql:// or mysql:// URL where a database may be created.")
    ] = "sqlite",
    seconds: Annotated[
        float | None, Parameter(help="How long people come and faults strike: 8, or 120 with --full.")
    ] = None,
    speed: Annotated[
        float, Parameter(help="How many times faster than the clock everything goes.")
    ] = hotels_demo.DEFAULT_SPEED,
    per_minute: Annotated[
        int, Parameter(help="Queries that each supplier allows in a minute of the demo's time.")
    ] = hotels_demo.DEFAULT_PER_MINUTE,
    seed: Annotated[int, Parameter(help="The same seed plans the same faults.")] = 1,
    bookings: Annotated[
        str | None, Parameter(env_var=hotels_demo.BOOKINGS_VARIABLE, help="A CSV with lead_time, to draw demand from.")
    ] = None,
    keep: Annotated[bool, SWITCH, Parameter(help="Keep what was made.")] = False,
    json: Annotated[bool, SWITCH, Parameter(name="--json", help="Print the figures as one last line of JSON.")] = False,
) -> int:
    """Follow suppliers that fail, within their limits, let people order, and audit the copy; exit 0 if all is kept."""
    if small and full:
        raise ConfigError("--small and --full are two sizes: give one")
    return hotels_demo.run(
        db=db,
        full=full,
        suppliers=suppliers,
        hotels=hotels,
        seconds=seconds,
        speed=speed,
        per_minute=per_minute,
        seed=seed,
        bookings=bookings,
        json=json,
        keep=keep,
    )
