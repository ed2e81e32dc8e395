"""The kinds of proof: each a folder of tests/ that has a `prove.py`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Kind(NamedTuple):
    """One kind of proof: its folder, what it is called, and what it does."""

    name: str
    title: str
    does: str

    @property
    def is_there(self) -> bool:
        return (ROOT / "tests" / self.name / "prove.py").exists()


KINDS = (
    Kind(
        "simulation",
        "Simulation",
        "The real engine in virtual time: nodes crash and freeze, the database deadlocks, loses its answers and fails "
        "over, downstreams lie. An auditor that knows nothing of the engine compares both sides. Each schedule is one "
        "seed.",
    ),
    Kind(
        "recon_simulation",
        "Simulation, both sides followed",
        "Two sources and their feeds in virtual time: lags, repetitions, logs that are cut off, nodes that crash and "
        "freeze, answers to COMMIT that are lost. A judge replays both logs by itself, and knows what was true when.",
    ),
    Kind(
        "mirror_simulation",
        "Simulation, mirrors",
        "Nodes that follow a supplier in virtual time: answers late, torn, partial and garbled, pushes late, "
        "doubled, lost and overtaken, nodes that crash and freeze. A judge knows what was true when, and reads the "
        "copy by itself.",
    ),
    Kind(
        "interleavings",
        "Interleavings",
        "Two actors on a real server, and every order in which their statements can come.",
    ),
    Kind(
        "kill",
        "Kill",
        "A process is killed with SIGKILL before and after every statement, commit and call; so is the process that "
        "recovers from that, again at every point.",
    ),
    Kind(
        "recon_kill",
        "Kill, both sides followed",
        "A node that follows both sides is killed before and after every statement, commit and call of a feed, and the "
        "next one again while it recovers. What is told in the end is what there is, each break once.",
    ),
    Kind(
        "mirror_kill",
        "Kill, mirrors",
        "Two nodes on one database: the one that follows a supplier is killed before and after every statement, commit "
        "and query, and the other has to go on.",
    ),
    Kind("proxy", "Network", "A proxy cuts, delays and swallows what the database or a downstream answers."),
    Kind("ha", "Failover", "A primary and its standby: killed, frozen, promoted and thawed under load."),
    Kind("disk", "Disk", "Power lost at every write, full disks, and an fsync that fails."),
    Kind("clock", "Clocks", "Nodes whose clocks are wrong, or jump."),
    Kind("conflicts", "Conflicts", "Answers that contradict each other: each is told to a person, once."),
    Kind(
        "messages",
        "Messages",
        "From one service to another through RabbitMQ and NATS, which are killed meanwhile: none is lost, and none has "
        "two effects.",
    ),
    Kind(
        "alarm",
        "Alarms",
        "Webhooks, the robots of chat services and mail, which refuse, cut connections, forget and go away: all that "
        "happened to an alarm reaches each of them, in order, rightly signed.",
    ),
    Kind(
        "server",
        "Server",
        "Callbacks and pushes forged, replayed, cut and shifted, of which none may be accepted; requests of every "
        "kind; secrets planted wherever one can be put, of which none may come to light.",
    ),
    Kind(
        "mutants",
        "Mutants",
        "The engine with one guard taken out at a time: the test that is named for the guard has to notice.",
    ),
    Kind(
        "recon",
        "Reconciliation",
        "Differences of every kind planted among many rows of two databases: live, by a worker that is killed, and "
        "offline, each is found and nothing else.",
    ),
)


def all_kinds() -> list[Kind]:
    """Those above, and behind them every other folder that has a `prove.py`."""
    named = {kind.name for kind in KINDS}
    there = {path.parent.name for path in (ROOT / "tests").glob("*/prove.py")}
    return [*KINDS, *(Kind(name, name.capitalize(), "") for name in sorted(there - named))]
