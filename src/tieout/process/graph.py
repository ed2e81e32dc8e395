"""The machine of a process type as a drawing, and a check of stored processes against the code."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from tieout.contracts import Database
from tieout.process.fitting import why_lost
from tieout.process.process_type import CANCEL, ProcessType
from tieout.process.record import Record
from tieout.process.sql_store import SqlProcessStore
from tieout.process.store import Filter

PAGE = 500
"""Processes decoded at a time."""


class Edge(NamedTuple):
    """One move of the machine: from a state ("" is the start), by an outcome, to a state."""

    state: str
    outcome: str
    to: str


class Problem(NamedTuple):
    """A stored process that this code could not carry on, and why."""

    process: str
    type: str
    state: str
    why: str


def edges(process_type: ProcessType) -> list[Edge]:
    """Every move that the type declares, in the order of its steps; a wish to cancel is one from every state."""
    declared = [Edge(state, outcome, to) for state, outcome, handler in process_type.handlers() for to in handler.to]
    return [
        Edge(state, edge.outcome, edge.to)
        for edge in declared
        for state in (process_type.states if edge.state == CANCEL else (edge.state,))
    ]


def mermaid(process_type: ProcessType) -> str:
    """The machine as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    %% {process_type.name} version {process_type.version}"]
    lines += [f"    {state or '[*]'} --> {to}: {outcome}" for state, outcome, to in edges(process_type)]
    lines += [f"    {final} --> [*]" for final in process_type.finals]
    return "\n".join(lines) + "\n"


def dot(process_type: ProcessType) -> str:
    """The machine as a Graphviz graph."""
    lines = [f'digraph "{process_type.name}" {{', '    "" [shape=point];']
    lines += [f'    "{final}" [shape=doublecircle];' for final in process_type.finals]
    lines += [f'    "{state}" -> "{to}" [label="{outcome}"];' for state, outcome, to in edges(process_type)]
    return "\n".join([*lines, "}"]) + "\n"


def text(process_type: ProcessType) -> str:
    """The machine as lines of text, one for each move."""
    moves = [(state or "(start)", outcome, to) for state, outcome, to in edges(process_type)]
    left, middle = (max(len(move[column]) for move in moves) for column in (0, 1))
    lines = [f"{process_type.name} version {process_type.version}"]
    lines += [
        f"  {state:<{left}}  {outcome:<{middle}}  ->  {to}{' (final)' if to in process_type.finals else ''}"
        for state, outcome, to in moves
    ]
    return "\n".join(lines) + "\n"


async def check(database: Database, store: SqlProcessStore, types: dict[str, ProcessType]) -> list[Problem]:
    """Decode every process that is not final with this code, and return those that it could not carry on."""
    problems: list[Problem] = []
    for status in ("running", "held"):
        wanted = Filter(status=status, limit=PAGE)
        while True:
            page = await database.read(partial(store.page, wanted=wanted))
            problems += [problem for record in page if (problem := _problem(record, types)) is not None]
            if len(page) < PAGE:
                break
            last = page[-1]
            wanted = Filter(status=status, before=last.created, before_id=last.id, limit=PAGE)
    return problems


def _problem(record: Record, types: dict[str, ProcessType]) -> Problem | None:
    why = _why_not(record, types.get(record.type))
    return None if why is None else Problem(record.id.hex(), record.type, record.state, why)


def _why_not(record: Record, process_type: ProcessType | None) -> str | None:
    if process_type is None:
        return "this code has no such process type"
    if record.version > process_type.version:
        return f"its version {record.version} is newer than this code's {process_type.version}"
    return why_lost(process_type, record) or None
