"""The auditor finds what is planted, and nothing where all is well."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.kill import auditor, downstream
from tests.kill.auditor import Effect, Evidence, Note, Sent, violations

ARGS = '{"price": 100, "sku": "mug"}'
BEGIN = Note("r1", "p1", "begin", -100, "")
COMPLETE = Note("r1", "p1", "complete", 0, "c1")
ASKED, ACCEPTED = {"what": "asked", "request": "r1"}, {"what": "accepted", "request": "r1"}
TOLD = {"what": "told", "request": "r1", "state": "completed", "result": "c1"}
SENT, EFFECT = Sent("p1:1", "prizes", ARGS), Effect("p1:1", "prizes", "c1")
WELL = Evidence(1_000, 900, [BEGIN, COMPLETE], [SENT], [EFFECT], [ASKED, ACCEPTED, TOLD], {"p1": "final"}, [])


def test_nothing_where_all_is_well():
    """A redemption that came to its end, one that was refunded, and one that a person has to look at."""
    refund = Note("r1", "p1", "refund", 100, "sold-out")
    refunded = TOLD | {"state": "refunded", "result": "sold-out"}
    pigeon = Sent("p1:1", "pigeons", "{}")
    alone = WELL._replace(notes=[BEGIN], sent=[pigeon], client=[ASKED, ACCEPTED], states={"p1": "held"})
    assert violations(WELL) == []
    assert violations(WELL._replace(points=1_000, notes=[BEGIN, refund], effects=[], client=[ASKED, refunded])) == []
    assert violations(alone._replace(alarms=["unconfirmed"])) == []


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        ({"notes": [BEGIN, BEGIN._replace(process="p2"), COMPLETE]}, "I1: r1 was begun 2 times"),
        ({"states": {"p1": "final", "p2": "final"}}, "I1: p2 has a row"),
        ({"notes": [], "points": 1_000}, "I2: r1 was accepted"),
        ({"client": [*WELL.client, {"what": "cancel noted", "request": "r1"}]}, "I2: that r1 is called off"),
        ({"notes": [BEGIN, COMPLETE, COMPLETE]}, "I3: complete of p1 was written 2 times"),
        ({"points": 800}, "I3: the account holds 800"),
        ({"effects": [EFFECT, EFFECT]}, "I3: prizes did p1:1 2 times"),
        ({"notes": [BEGIN, COMPLETE, Note("r2", "user", "own", 0, "")]}, "I3: what the user wrote"),
        ({"client": [*WELL.client, TOLD | {"state": "refunded"}]}, "I4: the client was told of r1"),
        ({"client": [TOLD | {"state": "refunded"}]}, "I4: the client was told that r1"),
        ({"notes": [Note("r1", "once", "bought", 0, "c2")], "points": 1_000}, "I4: the answer to r1"),
        ({"alarms": ["conflict"]}, "I4: an alarm of the kind conflict"),
        ({"states": {"p1": "running"}}, "I5: p1 is running"),
        ({"states": {"p1": "held"}, "notes": [BEGIN], "alarms": ["unconfirmed"]}, "I5: p1 is held"),
        ({"notes": [BEGIN], "client": [ASKED]}, "I5: p1 is final, with the ends []"),
        ({"sent": [SENT, SENT._replace(args='{"price": 100, "sku": "cup"}')]}, "I6: p1:1 was sent as"),
        ({"sent": [Sent("p1:1", "pigeons", "{}")] * 2}, "I6: p1:1 was sent 2 times"),
        ({"sent": [SENT._replace(args='{"price": 101}')]}, "I7: p1:1 was sent with the price 101"),
        ({"effects": []}, "the business has p1 complete as c1"),
        ({"notes": [BEGIN, COMPLETE._replace(what="refund")]}, "p1 was refunded, and the companies"),
        ({"notes": [BEGIN, COMPLETE._replace(what="cancel")]}, "p1 was called off"),
    ],
)
def test_each_fault_is_found(planted, told):
    """Each kind of disagreement is told, by its invariant."""
    assert [what for what in violations(WELL._replace(**planted)) if what.startswith(told)]


@pytest.mark.parametrize("module", [auditor, downstream])
def test_it_knows_nothing_of_tieout(module):
    """Neither the auditor nor the other companies take anything from tieout, or from what does."""
    tree = ast.parse(Path(module.__file__).read_text())
    taken = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    taken += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert [name for name in taken if name.partition(".")[0] in ("tieout", "tests")] == []
