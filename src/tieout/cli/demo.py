"""`tieout demo`: complete businesses that fail on purpose."""

from __future__ import annotations

from typing import Annotated

import cyclopts
from cyclopts import Parameter

from tieout.cli.printing import SWITCH
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
    keep: Annotated[bool, SWITCH, Parameter(help="Keep what was made, and serve without faults until Ctrl-C.")] = False,
    json: Annotated[bool, SWITCH, Parameter(name="--json", help="Print the figures as one last line of JSON.")] = False,
) -> int:
    """Exchange points for prizes through a service that lies, while both sides are killed; exit 0 if they agree."""
    return points_demo.run(
        db=db, seconds=seconds, rate=rate, seed=seed, users=users, json=json, keep=keep, prizes=prizes
    )
