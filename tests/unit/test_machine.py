"""The machine of a process type as drawings."""

from __future__ import annotations

from tests.unit.kinds import Order
from tieout.process.graph import dot, edges, mermaid
from tieout.process.process import type_of

ORDER = type_of(Order)
MOVES = [
    ("", "start", "reserve"),
    ("", "start", "refused"),
    ("reserve", "succeeded", "pay"),
    ("reserve", "succeeded", "reserve"),
    ("reserve", "failed", "refused"),
    ("pay", "succeeded", "completed"),
    ("pay", "failed", "refused"),
]


def test_every_declared_move_is_an_edge():
    """The drawing shows each move that a step declares, and no other."""
    assert [tuple(edge) for edge in edges(ORDER)] == MOVES


def test_mermaid_draws_every_move_and_end():
    """Each move is an arrow, the start and the finals are Mermaid's own points."""
    lines = [line.strip() for line in mermaid(ORDER).splitlines()]
    assert lines[0] == "stateDiagram-v2"
    assert [line for line in lines if ":" in line] == [f"{state or '[*]'} --> {to}: {why}" for state, why, to in MOVES]
    assert {"completed --> [*]", "refused --> [*]"} <= set(lines)


def test_graphviz_draws_every_move_and_end():
    """Each move is an edge, finals have a double border."""
    text = dot(ORDER)
    assert all(f'"{state}" -> "{to}" [label="{why}"];' for state, why, to in MOVES)
    assert [line for line in text.splitlines() if "->" in line] == [
        f'    "{state}" -> "{to}" [label="{why}"];' for state, why, to in MOVES
    ]
    assert text.count("doublecircle") == 2
    assert text.startswith('digraph "order" {')
    assert text.endswith("}\n")
